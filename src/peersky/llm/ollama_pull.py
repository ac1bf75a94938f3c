"""The progress of a download by Ollama: its lines, which tell of one layer at a time, as one overall figure. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from peersky.core.errors import PeerSkyError
from peersky.llm.ollama_errors import pull_error
from peersky.llm.providers.base import PullProgress


class PullReader:
    """Reads the lines of ``POST /api/pull``.

    What is reported never goes back: neither the bytes (Ollama takes back a part that failed) nor their share of the
    total, which grows with each layer as long as nobody knows the manifest.

    Args:
        model: for sentences.
        sizes: of all layers by digest, from the manifest; empty where it is not known.
    """

    def __init__(self, model: str, sizes: Mapping[str, int]) -> None:
        self._model = model
        self._totals = dict(sizes)
        self._completed: dict[str, int] = {}
        self._status = ""
        self._share = 0.0
        self.is_done = False
        """The model is there."""

    def read(self, line: Mapping[str, Any]) -> PullProgress:
        """What is known after this line.

        Raises:
            NotSupported: there is no such model.
            QuotaExceeded: the disk is full.
            BackendFailed: the download failed; what arrived is kept.
        """
        error = line.get("error")
        if error:
            raise self._failure(error)
        status, digest = line.get("status"), line.get("digest")
        if isinstance(status, str):
            self._status = "downloading" if isinstance(digest, str) else status
            self.is_done = self.is_done or status == "success"
        if isinstance(digest, str):
            total = _size(line.get("total"))
            self._totals[digest] = max(self._totals.get(digest, 0), total)
            now = min(_size(line.get("completed")), self._totals[digest])
            self._completed[digest] = max(self._completed.get(digest, 0), now)
        return self._progress()

    def _progress(self) -> PullProgress:
        total = sum(self._totals.values())
        done = total if self.is_done else sum(self._completed.values())
        self._share = max(self._share, done / total if total else 0.0)
        shown = max(done, int(self._share * total))
        verifying = self._status.startswith("verifying")
        return PullProgress(self._status, min(shown, total), total, verifying=verifying)

    def _failure(self, error: Any) -> PeerSkyError:
        return pull_error(error if isinstance(error, str) else "it failed", self._model)


def _size(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
