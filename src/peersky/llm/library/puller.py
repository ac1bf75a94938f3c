"""Downloads models: finds out what belongs to one, refuses what the engine cannot run, fetches, checks, publishes."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from peersky.core.errors import BackendFailed, ModelFileInvalid, NotSupported, PeerSkyError, QuotaExceeded
from peersky.core.manifest import TEXTS, WEIGHTS, Layer, Manifest, check_runnable
from peersky.core.model_names import ModelName
from peersky.core.sizes import size_text
from peersky.llm.gguf_head import (
    GgufHead,
    HeadIncomplete,
    projector_type_of_part,
    read_head,
    read_head_of_part,
)
from peersky.llm.library.architectures import check_architecture, check_projector
from peersky.llm.library.blobs import disk_error
from peersky.llm.library.hugging_face import ENDPOINT, find_on_hub
from peersky.llm.library.registry import (
    SLOW_BYTES,
    STALL_S,
    Fetcher,
    Refused,
    Source,
    find_in_registry,
    refusal_error,
)
from peersky.llm.library.store import ModelStore
from peersky.llm.library.transfer import MIB, Transfer, TransferOptions
from peersky.llm.providers.base import PullProgress
from peersky.system.files import make_directory

DISK_MARGIN: Final = 1.05
MAX_HEAD_BYTES: Final = 64 * MIB
"""How much of a model file is fetched to find its description; with a vocabulary of 260,000 words it is 16 MB."""

PROJECTOR_HEAD_BYTES: Final = MIB

Report = Callable[[PullProgress], None]


def free_bytes_of(folder: Path) -> int:
    """Bytes that can be written to the disk with ``folder``."""
    return shutil.disk_usage(folder).free


class Puller:
    """Brings models into a store. Belongs to one event loop.

    Args:
        store: where they go.
        options: how files are fetched.
        stall_s: longest silence of a connection, in seconds.
        slow_bytes: what a connection must bring in that time.
        free_bytes: tells how much fits on the disk with a directory.
        hub: the site that ``hf.co`` means.
    """

    def __init__(
        self,
        store: ModelStore,
        *,
        options: TransferOptions | None = None,
        stall_s: float = STALL_S,
        slow_bytes: int = SLOW_BYTES,
        free_bytes: Callable[[Path], int] = free_bytes_of,
        hub: str = ENDPOINT,
    ) -> None:
        self._store = store
        self._options = options or TransferOptions()
        self._fetcher = Fetcher(stall_s, slow_bytes)
        self._free_bytes = free_bytes
        self._hub = hub
        self._turns: dict[str, asyncio.Lock] = {}

    async def close(self) -> None:
        """Close the connections. Downloads must have ended. Safe to call twice."""
        await self._fetcher.close()

    async def pull(self, name: ModelName, report: Report) -> None:
        """Download a model that is not here, or is older; what is here of it is not fetched again.

        Cancelling keeps what arrived, and the next call goes on from there; :meth:`ModelStore.discard` throws it away.

        Raises:
            NotSupported: there is no such model (``model_missing``), or the engine cannot run it.
            QuotaExceeded: ``disk_full``: it does not fit on the disk; with the numbers.
            ProfileUnusable: the disk cannot be written.
            BackendFailed: the server cannot be reached, the connection broke again and again, or what came was wrong.
        """
        report(PullProgress(f"Looking for {name}"))
        await self._pull(name, await self._find(name), report)

    async def update(self, name: ModelName, report: Report) -> None:
        """Download the newer version of a model that is here, if there is one; until it is here, the old one stays.

        Whether there is one may not be found out, without a network for instance: then nothing happens, and it is said.

        Raises:
            NotSupported, QuotaExceeded, ProfileUnusable, BackendFailed: as :meth:`pull`, of the newer version.
        """
        here = await asyncio.to_thread(self._store.manifest, name)
        size = here.size_bytes if here else 0
        if here is not None and not name.is_hugging_face and not here.of("config"):
            # A registry may have another model of that name.
            report(PullProgress(f"{name} was imported from a file", size, size, nothing_to_do=True))
            return
        report(PullProgress(f"Looking for a newer version of {name}"))
        try:
            source = await self._find(name)
        except PeerSkyError as error:
            status = f"{name} is here; whether there is a newer version is not known: {error.message.rstrip('.')}"
            report(PullProgress(status, size, size, nothing_to_do=True))
            return
        if here is not None and source.manifest.raw == here.raw:
            report(PullProgress(f"{name} is up to date", size, size, nothing_to_do=True))
        else:
            await self._pull(name, source, report)

    async def _pull(self, name: ModelName, source: Source, report: Report) -> None:
        manifest = source.manifest
        try:
            # What is no GGUF at all is refused before a byte of it is fetched, as far as the manifest tells.
            check_runnable(manifest, {}, str(name))
            tally = _Tally(manifest, report)
            await asyncio.to_thread(self._check_disk, name, manifest)
            await asyncio.to_thread(self._store.mark_pending, name, manifest)
            for layer in manifest.of(*TEXTS):
                await self._bring(layer, source, tally)
            check_runnable(manifest, await asyncio.to_thread(self._config, manifest), str(name))
            for layer in manifest.of("projector"):
                await self._check_projector(layer, source.url_of(layer), name)
            for layer in manifest.of(*WEIGHTS):
                check = (lambda head: check_architecture(head, name)) if layer.kind == "model" else None
                await self._bring(layer, source, tally, check)
        except NotSupported:
            await asyncio.to_thread(self._store.discard, name)
            raise
        except OSError as error:
            raise disk_error(error, self._store.folder) from error
        await asyncio.to_thread(self._store.publish, name, manifest)
        report(PullProgress(f"{name} is here", tally.total, tally.total))

    async def _find(self, name: ModelName) -> Source:
        if name.is_hugging_face:
            return await find_on_hub(self._fetcher, name, self._hub)
        return await find_in_registry(self._fetcher, name)

    def _config(self, manifest: Manifest) -> dict[str, Any]:
        for layer in manifest.of("config"):
            try:
                found = json.loads(self._store.text(layer))
            except (ValueError, RecursionError):
                return {}
            return found if isinstance(found, dict) else {}
        return {}

    def _check_disk(self, name: ModelName, manifest: Manifest) -> None:
        blobs = self._store.blobs
        make_directory(blobs.folder)
        blobs.tidy()
        need = 0
        for layer in manifest.used:
            if blobs.locate(layer) is None and not blobs.is_offered(layer):
                need += max(0, layer.size - blobs.written(layer))
        need = int(need * DISK_MARGIN)
        free = self._free_bytes(blobs.folder)
        if need > free:
            raise QuotaExceeded(
                f"{name} needs {size_text(need)} of disk space, and {size_text(free)} are free where the models are "
                f"({self._store.folder}). Free {size_text(need - free)}, or choose a smaller model.",
                reason="disk_full",
                requested=need,
                quota=free,
            )

    async def _check_projector(self, layer: Layer, url: str, name: ModelName) -> None:
        """Look at the part for images before anything large is fetched."""
        found = await asyncio.to_thread(self._store.blobs.locate, layer)
        if found is not None:
            start = await asyncio.to_thread(_beginning, found)
        else:
            try:
                start = await self._fetcher.read_start(url, PROJECTOR_HEAD_BYTES)
            except Refused as error:
                raise refusal_error(error, name) from error
        try:
            check_projector(projector_type_of_part(start, "The model's part for images", layer.size), name)
        except HeadIncomplete:
            raise ModelFileInvalid("The model's part for images begins with a description without end.") from None

    async def _bring(
        self, layer: Layer, source: Source, tally: _Tally, check: Callable[[GgufHead], None] | None = None
    ) -> None:
        """Have one file here, checked: found, taken over from Ollama, or downloaded; one task at a time per digest."""
        blobs = self._store.blobs
        async with self._turns.setdefault(layer.digest, asyncio.Lock()):
            found = await asyncio.to_thread(blobs.locate, layer)
            if found is None and blobs.is_offered(layer) and await blobs.adopt(layer, tally.verifier(layer)):
                found = await asyncio.to_thread(blobs.locate, layer)
            if found is None:
                async with blobs.lock(layer, lambda: tally.say("Waiting for another PeerSky that downloads it")):
                    if await asyncio.to_thread(blobs.locate, layer) is None:
                        await self._download(layer, source.url_of(layer), tally, check)
                tally.update(layer, layer.size)
                return
            if check is not None:
                check(await asyncio.to_thread(read_head, found))
            tally.found(layer, layer.size)

    async def _download(self, layer: Layer, url: str, tally: _Tally, check: Callable[[GgufHead], None] | None) -> None:
        blobs = self._store.blobs
        for attempt in (1, 2):
            transfer = Transfer(
                layer,
                url,
                blobs.partial(layer),
                blobs.state_file(layer),
                self._fetcher,
                self._options,
                lambda done: tally.update(layer, done),
            )
            await asyncio.to_thread(transfer.prepare)
            tally.found(layer, transfer.completed)
            if check is not None:
                check(await _head(layer, transfer, self._options.head_bytes))
            await transfer.run()
            if await blobs.finish(layer, tally.verifier(layer)):
                return
            tally.update(layer, 0)
            # Bytes of an earlier time may have been lost in a power cut. Fresh ones that are wrong stay wrong.
            if not transfer.resumed or attempt == 2:
                break
        raise BackendFailed(
            "The downloaded file is not the one that the model's description names (its SHA-256 digest differs). "
            "It was deleted; try again, and if it happens again, choose another source.",
            reason="digest_mismatch",
        )


def _beginning(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(PROJECTOR_HEAD_BYTES)


class _Tally:
    """The progress over all files of a model."""

    def __init__(self, manifest: Manifest, report: Report) -> None:
        self.total = manifest.size_bytes
        self._done = {layer.digest: 0 for layer in manifest.used}
        self._found = dict(self._done)
        self._report = report

    def found(self, layer: Layer, size: int) -> None:
        """So much of a file was here before."""
        self._found[layer.digest] = size
        self.update(layer, size)

    def update(self, layer: Layer, done: int) -> None:
        self._done[layer.digest] = done
        self.say("Downloading")

    def say(self, status: str) -> None:
        self._tell(status, verifying=False)

    def _tell(self, status: str, verifying: bool) -> None:
        done, found = sum(self._done.values()), sum(self._found.values())
        self._report(PullProgress(status, done, self.total, verifying, min(found, done)))

    def verifier(self, layer: Layer) -> Callable[[int], None]:
        """Takes the progress of checking a file's digest."""

        def verified(done: int) -> None:
            percent = 100 * done // layer.size if layer.size else 100
            status = f"Checking the digest ({percent} %)"
            self._tell(status, verifying=True)

        return verified


async def _head(layer: Layer, transfer: Transfer, first_bytes: int) -> GgufHead:
    size = first_bytes
    while True:
        await transfer.run(up_to=size)
        start = await asyncio.to_thread(transfer.head, size)
        try:
            return await asyncio.to_thread(read_head_of_part, start, "The model's file", layer.size)
        except HeadIncomplete:
            if size >= MAX_HEAD_BYTES:
                raise ModelFileInvalid(
                    f"The model's file begins with a description of more than {MAX_HEAD_BYTES // MIB} MB; "
                    "it is not downloaded."
                ) from None
        size *= 2
