"""Which model a name means: the starter model, a GGUF file by its path or in the models directory, or the library's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from peersky.core.errors import InvalidRequest, ModelFileInvalid
from peersky.core.model_names import ModelName, parse_model_name
from peersky.core.settings_schema import STARTER_MODEL
from peersky.llm.gguf_head import GgufHead, read_head
from peersky.llm.library.store import ModelStore
from peersky.llm.library.templates import Extras

STARTER_FILE: Final = Path(__file__).parents[2] / "assets" / "models" / "starter.gguf"


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model file as it is on disk now; a replaced file is another model.

    Attributes:
        name: as it was asked for.
        file: the weights.
        extras: what the library has beside them.
        projector, projector_bytes: the part for images.
    """

    name: str = field(compare=False)
    file: Path
    modified_ns: int
    size_bytes: int
    head: GgufHead
    extras: Extras = field(default_factory=Extras, compare=False)
    projector: Path | None = None
    projector_bytes: int = 0

    @property
    def capabilities(self) -> frozenset[str]:
        """Those of the weights, and ``vision`` with a part for images."""
        found = self.head.capabilities
        return found | {"vision"} if self.projector and "completion" in found else found

    @property
    def chat_template(self) -> str:
        """The template that the engine must be given; empty where the file brings its own, or none is known."""
        return "" if self.head.chat_template else self.extras.chat_template


class Catalogue:
    """Finds models. All methods block.

    Args:
        models_dir: has NAME.gguf files.
        store: the library.
        starter_file: the demonstration model.
    """

    def __init__(self, models_dir: Path, store: ModelStore, starter_file: Path) -> None:
        self._models_dir = models_dir
        self._store = store
        self._starter_file = starter_file
        self._known: dict[Path, FoundModel] = {}

    def names(self) -> list[str]:
        """The models that are here: the starter, the files in the directory, the library."""
        files = [file.stem for file in _gguf_files(self._models_dir) if file.stem != STARTER_MODEL]
        return [STARTER_MODEL, *files, *(str(name) for name in self._store.names())]

    def find(self, name: str) -> FoundModel | None:
        """The model that a name means; None where it is not here.

        Raises:
            ModelFileInvalid: the file is damaged, or one of several.
        """
        file = self.file_of(name)
        if file is not None:
            return self._read(name, file)
        library_name = library_name_of(name)
        installed = self._store.installed(library_name) if library_name is not None else None
        if installed is None:
            return None
        found = self._read(name, installed.file)
        if found is None:
            return None
        projector, projector_bytes = installed.projector or (None, 0)
        return replace(
            found,
            size_bytes=installed.size_bytes,
            extras=installed.extras,
            projector=projector,
            projector_bytes=projector_bytes,
        )

    def file_of(self, name: str) -> Path | None:
        """The file that a name means which is not the library's; None for names of the library."""
        if name == STARTER_MODEL:
            return self._starter_file
        path = Path(name)
        if path.is_absolute():
            return path if path.suffix.lower() == ".gguf" else None
        if not name or name.startswith(".") or any(c in name for c in "/\\\0"):
            return None
        file = self._models_dir / f"{name}.gguf"
        return file if _is_file(file) else None

    def _read(self, name: str, path: Path) -> FoundModel | None:
        try:
            if not path.is_file():
                return None
            stat = path.stat()
        except (OSError, ValueError):  # ValueError: a name that no file can have.
            return None
        known = self._known.get(path)
        if known and (known.modified_ns, known.size_bytes) == (stat.st_mtime_ns, stat.st_size):
            return replace(known, name=name)
        found = FoundModel(name, path, stat.st_mtime_ns, stat.st_size, read_head(path))
        if found.head.parts > 1:
            raise ModelFileInvalid(
                f"{path.name} is one of {found.head.parts} parts of a model. Join them with llama.cpp's gguf-split."
            )
        self._known[path] = found
        return found


def library_name_of(name: str) -> ModelName | None:
    """The name as one of the library; None where it is none."""
    if name == STARTER_MODEL or Path(name).is_absolute():
        return None
    try:
        return parse_model_name(name)
    except InvalidRequest:
        return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _gguf_files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.suffix == ".gguf" and not file.name.startswith("."))
    except OSError:
        return []
