"""A model that is here is pulled again: a newer version is fetched, and without a network all stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from peersky.core.errors import NotSupported
from peersky.core.model_names import ModelName, parse_model_name
from peersky.llm.library.store import ModelStore
from tests.fakes.registry_server import Fault, RegistryServer
from tests.unit.llm.library.conftest import Progress, PullerMaker


@pytest.fixture
def model(tiny: Path) -> bytes:
    return tiny.read_bytes()


@pytest.fixture
async def name(registry: RegistryServer, make_puller: PullerMaker, model: bytes) -> ModelName:
    """A model that is here."""
    name = parse_model_name(registry.add("tiny", {"model": model, "system": b"Version 1."}))
    await make_puller().pull(name, Progress())
    return name


def system(store: ModelStore, name: ModelName) -> str:
    installed = store.installed(name)
    assert installed is not None
    return installed.extras.system


async def test_the_newest_version_costs_one_question(
    make_puller: PullerMaker, registry: RegistryServer, name: ModelName
) -> None:
    registry.seen.clear()
    progress = Progress()
    await make_puller().update(name, progress)
    assert [seen.path for seen in registry.seen] == ["/v2/library/tiny/manifests/latest"]
    last = progress.all[-1]
    assert (last.status, last.nothing_to_do) == (f"{name} is up to date", True)
    assert last.completed_bytes == last.total_bytes > 0


async def test_a_newer_version_takes_the_place_of_the_old_one(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName, model: bytes
) -> None:
    registry.add("tiny", {"model": model, "system": b"Version 2."})
    before = registry.sent_bytes
    progress = Progress()
    await make_puller().update(name, progress)
    assert system(store, name) == "Version 2."
    assert registry.sent_bytes - before == len(b"Version 2."), "the weights are the same"
    assert not progress.all[-1].nothing_to_do
    contents = [file.read_bytes() for file in store.blobs.folder.iterdir()]
    assert b"Version 2." in contents
    assert b"Version 1." not in contents


async def test_without_a_network_all_stays_as_it_is(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName
) -> None:
    for status in (500, 404):
        registry.manifest_status = status
        progress = Progress()
        await make_puller().update(name, progress)
        assert progress.all[-1].nothing_to_do
        assert progress.all[-1].status.startswith(
            f"{name} is here; whether there is a newer version is not known: 127.0.0.1"
        )
    assert system(store, name) == "Version 1."


async def test_the_old_version_stays_while_the_newer_one_comes_and_if_it_cannot_be_run(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName, model: bytes
) -> None:
    registry.add("tiny", {"model": model, "adapter": b"an adapter", "system": b"Version 2."})
    with pytest.raises(NotSupported):
        await make_puller().update(name, Progress())
    assert system(store, name) == "Version 1."
    assert not [path for path in (store.folder / "pending").rglob("*") if path.is_file()]
    registry.add("tiny", {"model": model[:-1] + bytes([model[-1] ^ 1]), "system": b"Version 2."})
    registry.faults.append(None)
    registry.always = Fault("flip")
    with pytest.raises(Exception, match="digest differs"):
        await make_puller().update(name, Progress())
    assert system(store, name) == "Version 1."
    installed = store.installed(name)
    assert installed is not None
    assert installed.file.read_bytes() == model


async def test_what_was_imported_is_nothing_of_a_registry(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, tiny: Path
) -> None:
    name = parse_model_name("mine:v1")
    await store.import_file(tiny, name)
    progress = Progress()
    await make_puller().update(name, progress)
    assert (progress.all[-1].status, progress.all[-1].nothing_to_do) == ("mine:v1 was imported from a file", True)
    assert registry.seen == []


async def test_hugging_face(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, model: bytes
) -> None:
    registry.hub["user/Tiny-GGUF"] = {"tiny-Q4_K_M.gguf": model}
    name = parse_model_name("hf.co/user/Tiny-GGUF")
    await make_puller().pull(name, Progress())
    progress = Progress()
    await make_puller().update(name, progress)
    assert progress.all[-1].status == f"{name} is up to date"
    newer = model[:-1] + bytes([model[-1] ^ 1])
    registry.hub["user/Tiny-GGUF"] = {"tiny-Q4_K_M.gguf": newer}
    await make_puller().update(name, Progress())
    installed = store.installed(name)
    assert installed is not None
    assert installed.file.read_bytes() == newer
