"""Pulls from a registry over real HTTP: every kind of break, all that a registry can get wrong, and Ollama's files."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import inspect
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from peersky.core.errors import BackendFailed, NotSupported, PeerSkyError, QuotaExceeded
from peersky.core.model_names import ModelName, parse_model_name
from peersky.llm.library.puller import Puller
from peersky.llm.library.store import ModelStore
from tests.fakes.registry_server import Fault, RegistryServer
from tests.unit.llm.library.conftest import PART, Naps, Progress, PullerMaker

SYSTEM = b"You are brief."


@pytest.fixture
def model(tiny: Path) -> bytes:
    return tiny.read_bytes()


@pytest.fixture
def name(registry: RegistryServer, model: bytes) -> ModelName:
    layers = {"model": model, "system": SYSTEM, "params": b'{"stop":["<|im_end|>"]}', "license": b"Free."}
    return parse_model_name(registry.add("tiny", layers))


def files_in(store: ModelStore) -> list[str]:
    return sorted(path.name for path in store.blobs.folder.iterdir()) if store.blobs.folder.exists() else []


def check(store: ModelStore, name: ModelName, model: bytes) -> None:
    """The model is here, whole, and nothing else lies about."""
    installed = store.installed(name)
    assert installed is not None
    assert installed.file.read_bytes() == model
    assert installed.extras.system == "You are brief."
    assert installed.extras.stop == ("<|im_end|>",)
    for file in store.blobs.folder.iterdir():
        assert file.name == "sha256-" + hashlib.sha256(file.read_bytes()).hexdigest()
    assert not [path for path in (store.folder / "pending").rglob("*") if path.is_file()]


async def test_a_pull(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName, model: bytes
) -> None:
    progress = Progress()
    await make_puller().pull(name, progress)
    check(store, name, model)
    assert store.names() == [name]
    assert registry.seen[0].agent.startswith("PeerSky/")
    # The head alone, then the parts, several at once.
    assert registry.ranges()[-1 - (len(model) - 1) // PART :][0] == f"bytes=0-{PART - 1}"
    last = progress.all[-1]
    assert last.completed_bytes == last.total_bytes == store.installed(name).size_bytes  # type: ignore[union-attr]
    assert {report.total_bytes for report in progress.all[1:]} == {last.total_bytes}
    assert any(report.verifying for report in progress.all)


async def test_a_registry_that_answers_itself(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName, model: bytes
) -> None:
    registry.redirect = False
    await make_puller().pull(name, Progress())
    check(store, name, model)


FAULTS: dict[str, list[Fault | None]] = {
    "dropped": [Fault("drop", after=5000)],
    "dropped at once": [Fault("drop")],
    "dropped often": [Fault("drop", after=9000)] * 30,
    "stalled": [Fault("stall", after=5000)],
    "silent from the start": [Fault("stall")],
    "trickling": [Fault("trickle", after=5000)],
    "trickling from the start": [Fault("trickle")],
    "unavailable": [Fault("status", code=503), Fault("status", code=500)],
    "expired": [Fault("status", code=403)],
    "range refused": [Fault("status", code=416)],
    "short": [Fault("length", value="20000")],
}


@pytest.mark.fault("A registry breaks while a model is downloaded")
@pytest.mark.parametrize("kind", FAULTS)
async def test_breaks_are_mended(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName, model: bytes, kind: str
) -> None:
    for skip in (3, 5):  # within the head, and among the parts
        registry.faults.extend([None] * skip + FAULTS[kind])
        await make_puller(stall_s=0.3, slow_bytes=1000).pull(name, Progress())
        check(store, name, model)
        store.remove(name)
        registry.faults.clear()


@pytest.mark.fault("A registry that trickles, for ever")
async def test_a_connection_that_only_ever_trickles_is_given_up(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName, model: bytes, naps: Naps
) -> None:
    """Each connection brings something, so that counting failures that bring nothing would go on for ever."""
    registry.faults.extend([None] * 6)
    registry.always = Fault("trickle", after=100)
    puller = make_puller(stall_s=0.1, slow_bytes=1000, options={"connections": 1})
    with pytest.raises(BackendFailed, match=r"broke off: .* sent only \d+ bytes in 0\.1 s\. What arrived is kept"):
        await puller.pull(name, Progress())
    assert naps.taken == [0.5, 1.0, 2.0, 4.0, 8.0]
    registry.always = None
    before = registry.sent_bytes
    await make_puller().pull(name, Progress())
    check(store, name, model)
    assert registry.sent_bytes - before < len(model)


async def test_a_server_that_ignores_range(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName, model: bytes
) -> None:
    registry.always = Fault("whole")
    await make_puller().pull(name, Progress())
    check(store, name, model)


async def test_a_server_that_ignores_range_and_always_breaks(
    make_puller: PullerMaker, registry: RegistryServer, model: bytes, naps: Naps
) -> None:
    name = parse_model_name(registry.add("only", {"model": model}))
    registry.faults.extend([None, Fault("whole")])
    registry.redirect = False
    registry.always = Fault("drop", after=40_000)
    with pytest.raises(BackendFailed, match="broke off"):
        await make_puller().pull(name, Progress())
    assert len(naps.taken) < 20


@pytest.mark.parametrize("every", [True, False], ids=["always", "once"])
async def test_another_etag_begins_again_once(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName, model: bytes, every: bool
) -> None:
    registry.faults.extend([None] * 6)
    registry.faults.extend([Fault("etag", value=f'"{n}"') for n in range(40 if every else 1)])
    await make_puller().pull(name, Progress())
    check(store, name, model)
    assert registry.sent_bytes > len(model) + PART


async def test_signed_addresses_are_used_once(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName, model: bytes
) -> None:
    registry.signed_uses = 1
    registry.faults.extend([None] * 4 + [Fault("drop", after=100)] * 3)
    await make_puller().pull(name, Progress())
    check(store, name, model)


async def test_what_arrived_is_not_fetched_again(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName, model: bytes, naps: Naps
) -> None:
    small = sum(map(len, registry.blobs.values())) - len(model)
    registry.faults.extend([None] * (4 + 4))
    registry.always = Fault("status", code=503)
    with pytest.raises(BackendFailed, match=r"broke off: .* answered 503\. What arrived is kept"):
        await make_puller(options={"connections": 1}).pull(name, Progress())
    assert naps.taken == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert store.installed(name) is None
    before = registry.sent_bytes
    assert before == small + 4 * PART
    registry.always = None
    progress = Progress()
    await make_puller().pull(name, progress)
    check(store, name, model)
    assert registry.sent_bytes == small + len(model)
    assert progress.all[-2].found_bytes == before


async def test_a_cancelled_pull_goes_on_later(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName, model: bytes
) -> None:
    registry.faults.extend([None] * 6)
    registry.always = Fault("stall", after=CHUNKS_BEFORE_STALL)
    task = asyncio.ensure_future(make_puller().pull(name, Progress()))
    await asyncio.to_thread(registry.stalled.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert any(file.endswith("-partial") for file in files_in(store))
    registry.always = None
    before = registry.sent_bytes
    await make_puller().pull(name, Progress())
    check(store, name, model)
    assert registry.sent_bytes - before < len(model)


CHUNKS_BEFORE_STALL = 4096


@pytest.mark.fault("A half-done download that rots on the disk")
async def test_bytes_that_rotted_while_it_was_paused(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName, model: bytes
) -> None:
    """A power cut can lose bytes that the side file says are there: the digest notices, and all is fetched anew."""
    registry.faults.extend([None] * 7)
    registry.always = Fault("status", code=503)
    with pytest.raises(BackendFailed):
        await make_puller().pull(name, Progress())
    (partial,) = store.blobs.folder.glob("*-partial")
    with partial.open("r+b") as file:
        file.seek(2 * PART + 100)
        file.write(b"\0" * 1000)
    registry.always = None
    await make_puller().pull(name, Progress())
    check(store, name, model)


@pytest.mark.parametrize("side", ["{}", "[", '{"etag":"","parts":[[0,5,9]]}', '{"etag":"","parts":[[0,1,1]]}', ""])
async def test_a_side_file_that_makes_no_sense(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName, model: bytes, side: str
) -> None:
    registry.faults.extend([None] * 7)
    registry.always = Fault("status", code=503)
    with pytest.raises(BackendFailed):
        await make_puller().pull(name, Progress())
    (file,) = store.blobs.folder.glob("*-partial.json")
    file.write_text(side)
    registry.always = None
    await make_puller().pull(name, Progress())
    check(store, name, model)


@pytest.mark.fault("A registry that sends other bytes than it promised")
async def test_a_corrupt_blob_is_deleted_and_said(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, model: bytes
) -> None:
    name = parse_model_name(registry.add("bad", {"model": model}))
    registry.faults.append(None)
    registry.always = Fault("flip")
    with pytest.raises(BackendFailed, match="SHA-256 digest differs") as caught:
        await make_puller().pull(name, Progress())
    assert caught.value.reason == "digest_mismatch"
    assert store.names() == []
    assert not list(store.blobs.folder.glob("*-partial*"))


@pytest.mark.fault("A registry that lies about lengths or encodings")
@pytest.mark.parametrize("fault", [Fault("total", value="999999999"), Fault("gzip")], ids=lambda f: f.kind)
async def test_another_file_than_announced(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, model: bytes, fault: Fault
) -> None:
    name = parse_model_name(registry.add("bad", {"model": model}))
    registry.redirect = False
    registry.faults.append(None)
    registry.always = fault
    with pytest.raises(BackendFailed):
        await make_puller().pull(name, Progress())
    assert store.names() == []


@pytest.mark.fault("A registry whose manifest lies about a size")
async def test_a_size_that_is_wrong_in_the_manifest(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName
) -> None:
    key = "library/tiny/latest"
    manifest = json.loads(registry.manifests[key])
    manifest["layers"][0]["size"] += 1
    registry.manifests[key] = json.dumps(manifest).encode()
    with pytest.raises(PeerSkyError, match=r"something else than the model's file|damaged|incomplete"):
        await make_puller().pull(name, Progress())
    assert store.names() == []


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_private_or_missing(
    make_puller: PullerMaker, registry: RegistryServer, name: ModelName, status: int
) -> None:
    registry.manifest_status = status
    with pytest.raises(
        NotSupported, match=r"has no model 127\.0\.0\.1:\d+/library/tiny:latest, or it is private"
    ) as caught:
        await make_puller().pull(name, Progress())
    assert caught.value.reason == "model_missing"


@pytest.mark.parametrize(("status", "sentence"), [(429, "too many requests"), (500, "answered 500"), (400, "refuses")])
async def test_a_registry_in_trouble(
    make_puller: PullerMaker, registry: RegistryServer, name: ModelName, status: int, sentence: str
) -> None:
    registry.manifest_status = status
    with pytest.raises(PeerSkyError, match=sentence):
        await make_puller().pull(name, Progress())


async def test_a_registry_that_is_not_there(make_puller: PullerMaker, registry: RegistryServer) -> None:
    with pytest.raises(BackendFailed, match=r"127\.0\.0\.1:1 cannot be reached\. Check the connection"):
        await make_puller().pull(parse_model_name("127.0.0.1:1/library/x"), Progress())


@pytest.mark.parametrize(
    "target", ["http://192.0.2.1/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://127.0.0.1.evil.example/x"]
)
async def test_redirects_that_are_not_followed(
    make_puller: PullerMaker, registry: RegistryServer, name: ModelName, target: str
) -> None:
    registry.redirect_to = target
    with pytest.raises(BackendFailed, match="without encryption"):
        await make_puller().pull(name, Progress())


async def test_a_circle_of_redirects(make_puller: PullerMaker, registry: RegistryServer, name: ModelName) -> None:
    digest = json.loads(registry.manifests["library/tiny/latest"])["config"]["digest"]
    registry.redirect_to = f"/v2/library/tiny/blobs/{digest}"
    with pytest.raises(BackendFailed, match="in a circle"):
        await make_puller().pull(name, Progress())
    assert sum("/blobs/" in seen.path for seen in registry.seen) == 6


async def test_two_pulls_of_one_model_fetch_it_once(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName, model: bytes
) -> None:
    puller = make_puller()
    await asyncio.gather(puller.pull(name, Progress()), puller.pull(name, Progress()))
    check(store, name, model)
    assert registry.sent_bytes == sum(map(len, registry.blobs.values()))


@pytest.mark.fault("Two programs download the same model")
async def test_two_processes_fetch_a_file_once(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName, model: bytes
) -> None:
    """Two pullers that know nothing of each other, as two processes do: the lock on the file keeps them apart."""
    registry.gate.clear()
    waiting = Progress("Waiting for another")
    first = asyncio.ensure_future(make_puller().pull(name, Progress()))
    await asyncio.to_thread(registry.stalled.wait, 20)
    second = asyncio.ensure_future(make_puller().pull(name, waiting))
    async with asyncio.timeout(20):
        await waiting.reached.wait()
    registry.gate.set()
    await asyncio.gather(first, second)
    check(store, name, model)
    assert registry.sent_bytes == sum(map(len, registry.blobs.values()))


async def test_models_share_files(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName, model: bytes
) -> None:
    other = parse_model_name(registry.add("other", {"model": model, "system": b"Speak Latin."}))
    puller = make_puller()
    await puller.pull(name, Progress())
    before = registry.sent_bytes
    await puller.pull(other, Progress())
    assert registry.sent_bytes - before < 1000
    store.remove(name)
    assert store.installed(other).file.read_bytes() == model  # type: ignore[union-attr]
    assert store.remove(other) == len(model) + len(b"Speak Latin.") + len(b'{"model_format": "gguf"}')
    assert files_in(store) == []


@pytest.mark.fault("Too little disk for a download")
async def test_too_little_disk_is_said_before_the_start(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName, model: bytes
) -> None:
    need = int(sum(map(len, registry.blobs.values())) * 1.05)
    with pytest.raises(QuotaExceeded, match=r"needs \d+ kB of disk space, and \d+ kB are free") as caught:
        await make_puller(free_bytes=lambda folder: need - 1).pull(name, Progress())
    assert (caught.value.reason, caught.value.requested, caught.value.quota) == ("disk_full", need, need - 1)
    assert registry.sent_bytes == 0
    await make_puller(free_bytes=lambda folder: need).pull(name, Progress())
    check(store, name, model)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.fault("The disk fills up during a download")
async def test_a_disk_that_fills_up(
    small_disk: Path, make_puller: PullerMaker, registry: RegistryServer, name: ModelName, model: bytes
) -> None:
    store = ModelStore(small_disk / "models")
    with pytest.raises(QuotaExceeded, match=r"is full\. Free some space and go on: what was downloaded is kept"):
        await make_puller(into=store, free_bytes=lambda folder: 1 << 40).pull(name, Progress())
    assert store.names() == []
    with pytest.raises(QuotaExceeded, match="of disk space"):
        await make_puller(into=store).pull(name, Progress())
    assert [name for name in files_in(store) if name.endswith("-partial")]
    registry.sent_bytes = 0
    resized = ["mount", "-o", "remount,size=2m", str(small_disk)]
    await asyncio.to_thread(subprocess.run, resized, check=True)
    await make_puller(into=store).pull(name, Progress())
    check(store, name, model)
    assert registry.sent_bytes < len(model)


def ollama_store(folder: Path, *contents: bytes) -> tuple[Path, dict[str, Any]]:
    """A store as Ollama leaves it, and how every file in it looks."""
    (folder / "blobs").mkdir(parents=True)
    for content in contents:
        (folder / "blobs" / f"sha256-{hashlib.sha256(content).hexdigest()}").write_bytes(content)
    return folder, state_of(folder)


def state_of(folder: Path) -> dict[str, Any]:
    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns, path.stat().st_mode, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("linkable", [True, False], ids=["linked", "read in place"])
async def test_ollamas_files_are_used_and_not_changed(
    tmp_path: Path,
    make_puller: PullerMaker,
    registry: RegistryServer,
    name: ModelName,
    model: bytes,
    linkable: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs, before = ollama_store(tmp_path / "ollama", model, SYSTEM)
    store = ModelStore(tmp_path / "models", [theirs])
    if not linkable:

        def refuse(*args: Any) -> None:
            raise OSError(errno.EXDEV, "another disk")

        monkeypatch.setattr(os, "link", refuse)
    await make_puller(into=store, free_bytes=lambda folder: len(model)).pull(name, Progress())
    installed = store.installed(name)
    assert installed is not None
    assert installed.file.read_bytes() == model
    assert registry.sent_bytes < 1000
    assert state_of(theirs) == before
    assert installed.file.name in {Path(path).name for path in before}
    assert (installed.file.parent == store.blobs.folder) == linkable
    store.remove(name)
    assert files_in(store) == []
    assert state_of(theirs) == before


async def test_a_bad_file_of_ollamas_is_not_used(
    tmp_path: Path, make_puller: PullerMaker, registry: RegistryServer, name: ModelName, model: bytes
) -> None:
    """Ollama gives a blob its name before it checks it."""
    theirs, _ = ollama_store(tmp_path / "ollama", model)
    (file,) = (theirs / "blobs").iterdir()
    file.write_bytes(model[:-1] + b"?")
    before = state_of(theirs)
    store = ModelStore(tmp_path / "models", [theirs])
    await make_puller(into=store).pull(name, Progress())
    check(store, name, model)
    assert state_of(theirs) == before


async def test_a_file_that_ollama_removed_or_changed_is_missing(
    tmp_path: Path, make_puller: PullerMaker, name: ModelName, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, _ = ollama_store(tmp_path / "ollama", model)
    store = ModelStore(tmp_path / "models", [theirs])
    real_link = os.link
    monkeypatch.setattr(os, "link", lambda *args: (_ for _ in ()).throw(OSError(errno.EXDEV, "another disk")))
    await make_puller(into=store).pull(name, Progress())
    monkeypatch.setattr(os, "link", real_link)
    (file,) = (theirs / "blobs").iterdir()
    os.utime(file, ns=(1, 1))
    assert store.installed(name) is None
    file.unlink()
    assert store.installed(name) is None
    await make_puller(into=store).pull(name, Progress())
    assert store.installed(name).file.read_bytes() == model  # type: ignore[union-attr]


async def test_hugging_face(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, model: bytes
) -> None:
    registry.hub["user/Tiny-GGUF"] = {"tiny-Q8_0.gguf": b"GGUF other", "sub/tiny.q4_k_m.gguf": model}
    registry.page_size = 2
    for text in (
        "hf.co/user/Tiny-GGUF",
        "huggingface.co/user/Tiny-GGUF:q4_K_M",
        "hf.co/user/Tiny-GGUF:tiny.q4_k_m.gguf",
    ):
        name = parse_model_name(text)
        await make_puller().pull(name, Progress())
        installed = store.installed(name)
        assert installed is not None
        assert installed.file.read_bytes() == model
    assert [str(name) for name in store.names()] == [
        "hf.co/user/Tiny-GGUF",
        "hf.co/user/Tiny-GGUF:q4_K_M",
        "hf.co/user/Tiny-GGUF:tiny.q4_k_m.gguf",
    ]
    with pytest.raises(NotSupported, match=r"has no model hf\.co/user/none, or it is private"):
        await make_puller().pull(parse_model_name("hf.co/user/none"), Progress())
    with pytest.raises(NotSupported, match=r"has no Q2_K\. It offers Q8_0, q4_k_m: write one"):
        await make_puller().pull(parse_model_name("hf.co/user/Tiny-GGUF:Q2_K"), Progress())


async def test_a_discarded_download_leaves_nothing(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, name: ModelName
) -> None:
    registry.faults.extend([None] * 6)
    registry.always = Fault("status", code=503)
    with pytest.raises(BackendFailed):
        await make_puller().pull(name, Progress())
    assert files_in(store)
    store.discard(name)
    assert files_in(store) == []
    assert not [path for path in store.folder.rglob("*") if path.is_file()]


async def test_a_manifest_that_changed_meanwhile_leaves_nothing_of_the_old(
    store: ModelStore,
    make_puller: PullerMaker,
    registry: RegistryServer,
    name: ModelName,
    model: bytes,
) -> None:
    registry.faults.extend([None] * 6)
    registry.always = Fault("status", code=503)
    with pytest.raises(BackendFailed):
        await make_puller().pull(name, Progress())
    registry.always = None
    registry.add("tiny", {"model": model[:-1] + b"?", "system": SYSTEM, "params": b'{"stop":["<|im_end|>"]}'})
    with contextlib.suppress(PeerSkyError):
        await make_puller().pull(name, Progress())
    check(store, name, model[:-1] + b"?")


def test_a_connection_may_be_silent_for_half_a_minute_and_as_slow_as_a_modem() -> None:
    defaults = {name: parameter.default for name, parameter in inspect.signature(Puller).parameters.items()}
    assert (defaults["stall_s"], defaults["slow_bytes"]) == (30.0, 32 * 1024)
