"""The models on disk: which there are, what belongs to each, import and removal.

Layout below the profile's ``models``, as Ollama's: ``manifests/<host>/<namespace>/<model>/<tag>`` and ``blobs/``.
``pending/`` has the manifests of unfinished downloads in the same form, so that it is known what to throw away.
All methods block, but for those that are coroutines.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from peersky.core.errors import BackendFailed, InvalidRequest, ModelFileInvalid, NotSupported, PeerSkyError
from peersky.core.manifest import Layer, Manifest, make_manifest, parse_manifest
from peersky.core.model_names import ModelName, name_from_path, parse_model_name
from peersky.llm.gguf_head import read_head
from peersky.llm.library.architectures import check_architecture
from peersky.llm.library.blobs import Blobs, digest_of
from peersky.llm.library.templates import Extras, read_extras
from peersky.system.files import make_directory, unusable, write_atomically

EXTRA_KINDS: Final = ("template", "prompt", "system", "params", "messages")


@dataclass(frozen=True, slots=True)
class Installed:
    """A model that can be used.

    Attributes:
        name: as it is stored.
        file: the weights.
        size_bytes: of all its files.
        extras: what stands beside the weights.
        projector: the part for images, where there is one, with its size.
        layers: all its files.
    """

    name: ModelName
    file: Path
    size_bytes: int
    extras: Extras
    projector: tuple[Path, int] | None
    layers: tuple[Layer, ...]


class ModelStore:
    """The models below one directory.

    Args:
        folder: the profile's ``models``.
        foreign: stores of Ollama on this computer.
    """

    def __init__(self, folder: Path, foreign: Sequence[Path] = ()) -> None:
        self.folder = folder
        self.blobs = Blobs(folder / "blobs", foreign)
        self._manifests = folder / "manifests"
        self._pending = folder / "pending"

    def names(self) -> list[ModelName]:
        """The models that are here, by name."""
        return sorted((name for name, _ in _below(self._manifests)), key=str)

    def manifest(self, name: ModelName) -> Manifest | None:
        """The manifest of a model that is here; letter case does not count.

        Raises:
            BackendFailed: it is damaged.
        """
        found = self._find(self._manifests, name)
        return _read(found[1]) if found else None

    def installed(self, name: ModelName) -> Installed | None:
        """A model with everything that it needs; None where any of it is missing."""
        found = self._find(self._manifests, name)
        if found is None:
            return None
        with contextlib.suppress(PeerSkyError, OSError, IndexError):
            manifest = _read(found[1])
            files = {layer.digest: self.blobs.locate(layer) for layer in manifest.used}
            weights = files[manifest.model.digest]
            if weights is None or None in files.values():
                return None
            texts = {layer.kind: _content(files[layer.digest]) for layer in manifest.of(*EXTRA_KINDS)}
            eyes = [(file, layer.size) for layer in manifest.of("projector") if (file := files[layer.digest])]
            return Installed(
                found[0], weights, manifest.size_bytes, read_extras(texts), eyes[0] if eyes else None, manifest.used
            )
        return None

    def text(self, layer: Layer) -> bytes:
        """The content of a text layer that is here.

        Raises:
            OSError: it is not.
        """
        return _content(self.blobs.locate(layer))

    def publish(self, name: ModelName, manifest: Manifest) -> None:
        """Make a model whose files are all here known: the last step, and an atomic one.

        Raises:
            ProfileUnusable: the disk is full or read-only.
        """
        old = self._find(self._manifests, name)
        before = None
        if old is not None:
            with contextlib.suppress(PeerSkyError):
                before = _read(old[1])
        path = old[1] if old else self._manifests.joinpath(*name.path_parts)
        _write(path, manifest.raw)
        self._unmark(name)
        if before is not None:
            self._sweep(before.layers)

    def mark_pending(self, name: ModelName, manifest: Manifest) -> None:
        """Note that the files of this manifest are being downloaded.

        Raises:
            ProfileUnusable: the disk is full or read-only.
        """
        before = self._find(self._pending, name)
        layers: tuple[Layer, ...] = ()
        with contextlib.suppress(PeerSkyError):
            layers = _read(before[1]).layers if before else ()
        _write(before[1] if before else self._pending.joinpath(*name.path_parts), manifest.raw)
        self._sweep(layers)  # The registry may have replaced the model since.

    def discard(self, name: ModelName) -> None:
        """Throw away what an unfinished download of this model left, but for files that others need."""
        found = self._find(self._pending, name)
        if found is None:
            return
        layers: tuple[Layer, ...] = ()
        with contextlib.suppress(PeerSkyError):
            layers = _read(found[1]).layers
        self._unmark(name)
        self._sweep(layers)

    def remove(self, name: ModelName) -> int | None:
        """Delete a model and the files that no other needs.

        Returns:
            The bytes that this freed; None where there is no such model.

        Raises:
            ProfileUnusable: a file cannot be deleted.
        """
        found = self._find(self._manifests, name)
        if found is None:
            return None
        layers: tuple[Layer, ...] = ()
        with contextlib.suppress(PeerSkyError):  # A damaged manifest must not keep its model from being removed.
            layers = _read(found[1]).layers
        try:
            found[1].unlink(missing_ok=True)
            _prune(found[1].parent, self._manifests)
            return self._sweep(layers)
        except OSError as error:
            raise unusable(error, found[1], "delete") from error

    async def import_file(self, file: Path, name: ModelName) -> None:
        """Make a GGUF file of the user's a model of the library. The file stays where it is.

        Raises:
            ModelFileInvalid, NotSupported: the engine cannot run it.
            QuotaExceeded: the disk is too full for a copy.
            ProfileUnusable: the file cannot be read, or the profile not written.
        """
        try:
            head = await asyncio.to_thread(read_head, file)
            check_architecture(head, None)
            layer = Layer("model", await digest_of(file), head.size_bytes)
            if self.blobs.locate(layer) is None:
                await self.blobs.add_file(file, layer, digest_known=True)
        except OSError as error:
            raise unusable(error, file, "import") from error
        raw = make_manifest(None, [layer])
        await asyncio.to_thread(self.publish, name, parse_manifest(raw, "The import"))

    def _find(self, root: Path, name: ModelName) -> tuple[ModelName, Path] | None:
        exact = root.joinpath(*name.path_parts)
        if exact.is_file():
            return name, exact
        return next(((other, path) for other, path in _below(root) if other.is_same(name)), None)

    def _unmark(self, name: ModelName) -> None:
        if found := self._find(self._pending, name):
            found[1].unlink(missing_ok=True)
            _prune(found[1].parent, self._pending)

    def _sweep(self, layers: Sequence[Layer]) -> int:
        """Delete these files unless a model, or an unfinished download, needs them; the bytes that this freed."""
        needed = set()
        for root in (self._manifests, self._pending):
            for _, path in _below(root):
                with contextlib.suppress(PeerSkyError):
                    needed |= {layer.digest for layer in _read(path).layers}
        freed = 0
        for layer in layers:
            if layer.digest not in needed:
                freed += self.blobs.remove(layer)
                self.blobs.discard(layer)
        return freed


def name_for_file(file: Path, wanted: str | None) -> ModelName:
    """The name that an imported file gets.

    Args:
        wanted: as the user wrote it; None: made of the file's name.

    Raises:
        InvalidRequest: ``wanted`` is no name of a model, or of one that lies elsewhere.
    """
    if wanted is not None:
        name = parse_model_name(wanted)
        if name.is_hugging_face:
            raise InvalidRequest("A name of Hugging Face cannot be given to a file; leave hf.co/… out.", param="name")
        return name
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", file.stem).strip("-.")[:80]
    return parse_model_name(stem or "model")


def _below(root: Path) -> Iterator[tuple[ModelName, Path]]:
    with contextlib.suppress(OSError):
        for path in root.glob("*/*/*/*"):
            name = name_from_path(path.relative_to(root).parts)
            if name is not None and path.is_file():
                yield name, path


def _read(path: Path) -> Manifest:
    try:
        manifest = parse_manifest(path.read_bytes(), f"The file {path}")
    except OSError as error:
        raise BackendFailed(f"{path} cannot be read: {error.strerror or error}.", reason="backend_error") from error
    if not manifest.of("model"):
        raise NotSupported(f"The file {path} names no weights.")
    return manifest


def _content(path: Path | None) -> bytes:
    if path is None:
        raise ModelFileInvalid("A part of the model is missing. Download it again.")
    return path.read_bytes()


def _write(path: Path, data: bytes) -> None:
    try:
        make_directory(path.parent)
    except OSError as error:
        raise unusable(error, path.parent) from error
    write_atomically(path, data)


def _prune(folder: Path, root: Path) -> None:
    """Remove empty directories up to ``root``."""
    with contextlib.suppress(OSError):
        while folder != root:
            folder.rmdir()
            folder = folder.parent
