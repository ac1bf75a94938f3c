"""The store on disk: listing, import, removal, and what a damaged or foreign file does to it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from peersky.core.errors import InvalidRequest, ModelFileInvalid, NotSupported, ProfileUnusable
from peersky.core.manifest import Layer, make_manifest, parse_manifest
from peersky.core.model_names import parse_model_name
from peersky.llm.library.blobs import ollama_stores
from peersky.llm.library.store import ModelStore, name_for_file

NAME = parse_model_name("one:1b")


def put(store: ModelStore, content: bytes, kind: str = "model") -> Layer:
    layer = Layer(kind, "sha256:" + hashlib.sha256(content).hexdigest(), len(content))
    store.blobs.folder.mkdir(parents=True, exist_ok=True)
    (store.blobs.folder / layer.file_name).write_bytes(content)
    return layer


def publish(store: ModelStore, text: str, *layers: Layer) -> None:
    store.publish(parse_model_name(text), parse_manifest(make_manifest(None, list(layers)), "R"))


def files(store: ModelStore) -> set[str]:
    return {str(path.relative_to(store.folder)) for path in store.folder.rglob("*") if path.is_file()}


def test_the_layout_is_ollamas(store: ModelStore) -> None:
    weights = put(store, b"weights")
    publish(store, "one:1b", weights)
    assert files(store) == {"manifests/registry.ollama.ai/library/one/1b", f"blobs/{weights.file_name}"}
    raw = (store.folder / "manifests/registry.ollama.ai/library/one/1b").read_bytes()
    assert json.loads(raw)["layers"][0]["mediaType"] == "application/vnd.ollama.image.model"


def test_letter_case_does_not_count(store: ModelStore) -> None:
    publish(store, "One:1B", put(store, b"weights"))
    installed = store.installed(NAME)
    assert installed is not None
    assert str(installed.name) == "One:1B"
    publish(store, "one:1b", put(store, b"newer"))
    assert [str(name) for name in store.names()] == ["One:1B"]
    assert store.remove(parse_model_name("ONE:1b")) == 5
    assert store.names() == []


def test_a_new_version_leaves_nothing_of_the_old(store: ModelStore) -> None:
    shared = put(store, b"text", "license")
    publish(store, "one:1b", put(store, b"old"), shared)
    publish(store, "one:1b", new := put(store, b"new weights"), shared)
    assert {path.name for path in store.blobs.folder.iterdir()} == {new.file_name, shared.file_name}


def test_a_missing_part_is_a_missing_model(store: ModelStore) -> None:
    weights, system = put(store, b"weights"), put(store, b"Be brief.", "system")
    publish(store, "one:1b", weights, system)
    assert store.installed(NAME) is not None
    (store.blobs.folder / system.file_name).write_bytes(b"Be brief, please.")
    assert store.installed(NAME) is None
    (store.blobs.folder / system.file_name).unlink()
    assert store.installed(NAME) is None
    assert store.remove(NAME) == len(b"weights")


@pytest.mark.parametrize("damage", [b"", b"{", b'{"layers":[]}', b"\0" * 100])
def test_a_damaged_manifest_is_a_missing_model(store: ModelStore, damage: bytes) -> None:
    publish(store, "one:1b", put(store, b"weights"))
    publish(store, "two:1b", put(store, b"weights"))
    (store.folder / "manifests/registry.ollama.ai/library/one/1b").write_bytes(damage)
    assert store.installed(NAME) is None
    assert store.installed(parse_model_name("two:1b")) is not None
    assert store.remove(NAME) == 0
    assert [str(name) for name in store.names()] == ["two:1b"]


def test_strange_files_are_no_models(store: ModelStore) -> None:
    publish(store, "one:1b", put(store, b"weights"))
    root = store.folder / "manifests"
    (root / "registry.ollama.ai/library/one/.1b.tmp").write_bytes(b"")
    (root / "registry.ollama.ai/library/DS_Store").write_bytes(b"")
    (root / "a/b/c/d/e").mkdir(parents=True)
    assert store.names() == [NAME]


def test_removing_what_is_not_there(store: ModelStore) -> None:
    assert store.remove(NAME) is None
    store.discard(NAME)


@pytest.fixture
def content(tiny: Path) -> bytes:
    return tiny.read_bytes()


@pytest.fixture
def mine(tmp_path: Path, content: bytes) -> Path:
    """A file of the user's."""
    file = tmp_path / "My model (v2).gguf"
    file.write_bytes(content)
    return file


async def test_an_imported_file_is_linked(store: ModelStore, mine: Path, content: bytes) -> None:
    inode = os.stat(mine).st_ino  # noqa: PTH116
    name = name_for_file(mine, None)
    assert str(name) == "My-model-v2:latest"
    await store.import_file(mine, name)
    installed = store.installed(name)
    assert installed is not None
    assert os.stat(installed.file).st_ino == inode  # noqa: PTH116
    assert installed.file.name == "sha256-" + hashlib.sha256(content).hexdigest()
    assert store.remove(name) == 0
    assert _content(mine) == content


async def test_an_imported_file_of_another_disk_is_copied(
    store: ModelStore, mine: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError("another disk")

    monkeypatch.setattr(os, "link", refuse)
    await store.import_file(mine, NAME)
    installed = store.installed(NAME)
    assert installed is not None
    assert _content(installed.file) == content
    assert store.remove(NAME) == len(content)
    assert store.blobs.disk_use() == 0


def _content(file: Path) -> bytes:
    return file.read_bytes()


async def test_what_is_no_model_is_not_imported(store: ModelStore, tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF but no model")
    with pytest.raises(ModelFileInvalid):
        await store.import_file(bad, NAME)
    with pytest.raises((ProfileUnusable, NotSupported)):
        await store.import_file(tmp_path / "none.gguf", NAME)
    assert store.names() == []
    assert not store.blobs.folder.exists() or not list(store.blobs.folder.iterdir())


def test_names_for_files() -> None:
    assert str(name_for_file(Path("/x/äöü.gguf"), None)) == "model:latest"
    assert str(name_for_file(Path("/x/a.gguf"), "team/own:v1")) == "team/own:v1"
    with pytest.raises(InvalidRequest):
        name_for_file(Path("/x/a.gguf"), "../x")
    with pytest.raises(InvalidRequest, match="Hugging Face"):
        name_for_file(Path("/x/a.gguf"), "hf.co/u/r")


def test_where_ollama_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "home/.ollama/models/blobs").mkdir(parents=True)
    (tmp_path / "named/blobs").mkdir(parents=True)
    own = tmp_path / "home/.ollama/models"
    assert ollama_stores({}, tmp_path / "home")[:1] == [own]
    assert ollama_stores({"OLLAMA_MODELS": str(tmp_path / "named")}, tmp_path / "home")[:2] == [tmp_path / "named", own]
    assert own not in ollama_stores({"OLLAMA_MODELS": str(tmp_path / "none")}, tmp_path / "elsewhere")
