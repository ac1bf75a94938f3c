"""Saving another model: stored at once where it can answer, else downloaded first while the old one goes on serving.

Runs on the service loop. What waits for a download is kept in a file of the profile, so that a restart loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from peersky.core.errors import BackendFailed, NotSupported, PeerSkyError, SettingInvalid
from peersky.core.settings_schema import STARTER_MODEL, setting
from peersky.llm.choice import KEY, chosen, typed_key
from peersky.llm.connections import Candidate, Connections
from peersky.llm.downloads import Download, DownloadManager
from peersky.llm.endpoint import Endpoint
from peersky.system.files import write_atomically
from peersky.system.settings_store import SettingsStore

_log = logging.getLogger(__name__)

CHOICE: Final = ("llm.provider", "llm.baseURL", "llm.model")
"""Settings that say who answers; they change together, once that one can answer."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A choice that waits for its download.

    Attributes:
        changes: what will be stored, of :data:`CHOICE`.
    """

    download: str
    provider: str
    base_url: str
    model: str
    changes: dict[str, Any]

    def as_object(self) -> dict[str, Any]:
        return {
            "download": self.download,
            "provider": self.provider,
            "baseURL": self.base_url,
            "model": self.model,
            "changes": self.changes,
        }


@dataclass(slots=True)
class Saved:
    """What became of a save.

    Attributes:
        download: id of the download that it started or joined; empty if none was needed.
        notes: sentences for the user.
    """

    download: str = ""
    notes: list[str] = field(default_factory=list)


class ModelSwitch:
    """Applies what the settings page saves.

    Args:
        settings: changed at once, or when a download is done.
        connections: asked whether a model is there.
        downloads: fetches what is missing.
        file: where a pending choice is kept.
    """

    def __init__(
        self, settings: SettingsStore, connections: Connections, downloads: DownloadManager, file: Path
    ) -> None:
        self._settings = settings
        self._connections = connections
        self._downloads = downloads
        self._file = file
        self._turn = asyncio.Lock()
        self.pending: Pending | None = None
        known = {download.id: download for download in downloads.list()}
        found = _read(file)
        if found is not None and found.download in known:
            self.pending = found
            self._on_download(known[found.download])
        self._unsubscribe = downloads.subscribe(self._on_download)

    def close(self) -> None:
        """Follow the downloads no longer."""
        self._unsubscribe()

    def download_endpoint(self) -> Endpoint:
        """Where Ollama downloads: at the server that was chosen, be it stored yet or not."""
        pending = self.pending
        base_url = self._settings.text("llm.baseURL")
        if pending is not None and pending.provider == "ollama":
            base_url = pending.base_url
        return Endpoint(base_url, self._settings.secret(KEY, base_url))

    async def save(self, changes: Mapping[str, Any]) -> Saved:
        """Store settings; a model that is missing is downloaded first, and who answers changes after that.

        A service on the network is never asked to download anything.

        Raises:
            SettingInvalid: a refused value, or no model; nothing was changed.
            ProfileUnusable: the settings cannot be written.
        """
        checked = {key: value if value is None else setting(key).check(value) for key, value in changes.items()}
        async with self._turn:
            kind, base_url, model = await asyncio.to_thread(chosen, self._settings, checked)
            if not model:
                raise SettingInvalid("Name a model, or choose one from the list.", param="llm.model")
            saved = Saved()
            missing = kind != "openai" and await self._is_missing(
                Candidate(kind, base_url, typed_key(checked)), model, saved
            )
            if missing:
                await asyncio.to_thread(self._store_rest, checked, base_url)
                answers_already = (kind, base_url, model) == await asyncio.to_thread(chosen, self._settings, {})
                choice: dict[str, Any] = {key: checked[key] for key in CHOICE if key in checked}
                saved.download = self._downloads.start(kind, model).id
                if answers_already:
                    self._forget()
                    await asyncio.to_thread(self._settings.change, choice)
                else:
                    self._remember(Pending(saved.download, kind, base_url, model, choice))
            else:
                self._forget()
                await asyncio.to_thread(self._settings.change, checked)
            return saved

    async def _is_missing(self, candidate: Candidate, model: str, saved: Saved) -> bool:
        try:
            async with self._connections.open(candidate) as provider:
                return not (await provider.describe(model)).present
        except NotSupported as error:
            if error.reason != "model_missing" or Path(model).is_absolute() or model == STARTER_MODEL:
                raise SettingInvalid(error.message, param="llm.model") from error
            return True
        except BackendFailed as error:
            # Whether the model is there cannot be known now; the user may start the server later.
            saved.notes.append(error.message)
            return False
        except PeerSkyError as error:
            if error.param == "llm.baseURL":
                raise
            raise SettingInvalid(error.message, param="llm.model") from error

    def _store_rest(self, changes: Mapping[str, Any], base_url: str) -> None:
        """Store what does not change who answers. A key is the key of the address that it was typed with."""
        rest = {key: value for key, value in changes.items() if key not in (*CHOICE, KEY)}
        if rest:
            self._settings.change(rest)
        if KEY in changes:
            self._settings.set_secret(KEY, base_url, changes[KEY])

    def _on_download(self, download: Download) -> None:
        pending = self.pending
        if pending is None or download.id != pending.download:
            return
        if download.state == "removed":
            self._forget()
        elif download.state == "done":
            self._forget()
            try:
                self._settings.change(pending.changes)
            except PeerSkyError as error:
                _log.error("%s is there, but could not be chosen: %s", pending.model, error.message)

    def _remember(self, pending: Pending) -> None:
        write_atomically(self._file, json.dumps(pending.as_object(), indent=2).encode() + b"\n")
        self.pending = pending

    def _forget(self) -> None:
        self.pending = None
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)


def _read(file: Path) -> Pending | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, SettingInvalid):
        raw = json.loads(file.read_bytes())
        changes = {key: setting(key).check(value) for key, value in raw["changes"].items() if key in CHOICE and value}
        return Pending(str(raw["download"]), str(raw["provider"]), str(raw["baseURL"]), str(raw["model"]), changes)
    return None
