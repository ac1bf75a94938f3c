"""`peersky models` as a child process against a registry on loopback: pulls, every way to interrupt them, an answer."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import TIMEOUT_S, Cli, Holder
from tests.fakes.registry_server import Fault, RegistryServer

STARTER = Path(__file__).parents[2] / "src/peersky/assets/models/starter.gguf"
HEAD_BYTES = 4 * 1024 * 1024
TEXTS = {"params": b'{"stop":["<|im_end|>"],"top_k":40}', "system": b"You are brief.", "license": b"Free."}


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        yield server


@pytest.fixture
def weights(tiny_model: str) -> bytes:
    """The starter model, which has several parts; the random one where this tree has no starter."""
    return (STARTER if STARTER.exists() else Path(tiny_model)).read_bytes()


@pytest.fixture
def name(registry: RegistryServer, weights: bytes) -> str:
    return registry.add("starter:1b", {"model": weights, **TEXTS})


def check(cli: Cli, name: str, weights: bytes) -> None:
    """The model is here, whole, and nothing else is."""
    blobs = cli.profile / "models" / "blobs"
    for file in blobs.iterdir():
        assert file.name == "sha256-" + hashlib.sha256(file.read_bytes()).hexdigest()
    assert hashlib.sha256(weights).hexdigest() in {file.name.removeprefix("sha256-") for file in blobs.iterdir()}
    assert name in cli.run("models list").out
    assert not (cli.profile / "downloads.json").exists()


def test_pull_and_answer(cli: Cli, name: str, weights: bytes, registry: RegistryServer) -> None:
    outcome = cli.run("models pull", name)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith(f"{name} is here: ")
    assert "It needs about" in outcome.out
    check(cli, name, weights)
    again = cli.run("models pull", name)
    assert again.code == 0
    assert again.out.startswith(f"{name} is here: ")
    assert f"{name} is up to date." in again.err
    registry.manifest_status = 503
    offline = cli.run("models pull", name)
    assert offline.code == 0
    assert "whether there is a newer version is not known" in offline.err
    assert cli.run("ask", "--model", name, "--max-tokens", "8", "hello").code in (0, 3)


def test_list_show_and_remove(cli: Cli, name: str, registry: RegistryServer) -> None:
    cli.run("models pull", name)
    shown = cli.run("models show", name)
    facts = {line[:13].strip(): line[13:].strip() for line in shown.out.splitlines()}
    assert facts["name"] == name
    assert facts["system"] == "You are brief."
    assert facts["stop"] == "'<|im_end|>'"
    assert facts["parameters"] == "top_k 40"
    assert facts["- model"].split()[-1] in registry.blobs
    listed = cli.run("models list")
    assert listed.out.splitlines()[-1].startswith(name)
    assert listed.err.startswith("The library takes ")
    removed = cli.run("models rm", name)
    assert removed.out.startswith(f"{name} is removed; ")
    assert list((cli.profile / "models" / "blobs").iterdir()) == []
    assert cli.run("models rm", name).err.startswith(f"peersky: There is no built-in model {name}.")
    assert cli.run("models rm", "peersky-starter").code == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_the_same_command_goes_on(cli: Cli, registry: RegistryServer, large: bytes, how: signal.Signals) -> None:
    name = registry.add("large:1b", {"model": large})
    registry.faults.extend([None, None])  # the configuration, and the head of the weights
    registry.always = Fault("stall", after=3 * 1024 * 1024)
    async with cli.start("models pull", name) as process, asyncio.timeout(TIMEOUT_S):
        await asyncio.to_thread(registry.stalled.wait, TIMEOUT_S)
        await _partial_grows(cli)
        process.send_signal(how)
        _, err = await process.communicate()
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "Paused. The same command goes on." in err.decode()
        assert b"Traceback" not in err
    registry.always = None
    registry.release.set()
    before = registry.sent_bytes
    outcome = await cli.arun("models pull", name)
    assert outcome.code == 0, outcome.err
    await asyncio.to_thread(check, cli, name, large)
    # What is not written down within the last second is fetched again.
    assert registry.sent_bytes - before <= len(large) - HEAD_BYTES


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model of 20 MB, which has several parts."""
    file = tmp_path_factory.mktemp("models") / "mini.gguf"
    argv = [sys.executable, "-m", "tools.random_gguf", str(file), "--preset", "mini", "--type", "f32"]
    subprocess.run(argv, cwd=Path(__file__).parents[2], check=True, capture_output=True, timeout=TIMEOUT_S)
    content = file.read_bytes()
    assert len(content) > 12 * 1024 * 1024
    return content


async def _partial_grows(cli: Cli) -> None:
    """Wait until the side file says that the head of the weights is here."""
    folder = cli.profile / "models" / "blobs"
    while True:
        for side in await asyncio.to_thread(list, folder.glob("*-partial.json")):
            with contextlib.suppress(OSError):
                if f"[0, {HEAD_BYTES}, {HEAD_BYTES}]".encode() in await asyncio.to_thread(side.read_bytes):
                    return
        await asyncio.sleep(0.02)


async def test_two_pulls_at_once_are_one_download(cli: Cli, registry: RegistryServer, large: bytes) -> None:
    name = registry.add("large:1b", {"model": large})
    registry.gate.clear()
    async with cli.start("models pull", name) as first, cli.start("models pull", name) as second:
        async with asyncio.timeout(TIMEOUT_S):
            assert first.stderr is not None
            assert second.stderr is not None
            await asyncio.to_thread(registry.stalled.wait, TIMEOUT_S)
            # Whichever came second says so.
            lines = [asyncio.ensure_future(_until(err, b"runs already")) for err in (first.stderr, second.stderr)]
            await asyncio.wait(lines, return_when=asyncio.FIRST_COMPLETED)
            registry.gate.set()
            outcomes = await asyncio.gather(first.wait(), second.wait())
            for line in lines:
                line.cancel()
    assert outcomes == [0, 0]
    await asyncio.to_thread(check, cli, name, large)
    assert registry.sent_bytes == sum(map(len, registry.blobs.values()))


async def _until(stream: asyncio.StreamReader, text: bytes) -> None:
    while text not in await stream.readline():
        if stream.at_eof():
            await asyncio.Event().wait()


async def test_a_terminal_shows_a_bar(cli: Cli, name: str) -> None:
    master, slave = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *cli.argv("models pull", name), stdout=asyncio.subprocess.DEVNULL, stderr=slave, env=cli.environment
    )
    os.close(slave)
    async with asyncio.timeout(TIMEOUT_S):
        assert await process.wait() == 0
    shown = os.read(master, 100_000).decode()
    os.close(master)
    assert "\r[####" in shown
    assert shown.endswith("\r\n")


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("missing", "has no model"),
        ("corrupt", "SHA-256 digest differs"),
        ("manifest", "cannot be right"),
        ("no name", "is no name of a model"),
        ("gone", "cannot be reached"),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    cli: Cli, name: str, registry: RegistryServer, weights: bytes, what: str, sentence: str
) -> None:
    match what:
        case "missing":
            registry.manifests.clear()
        case "corrupt":
            (digest,) = (digest for digest, content in registry.blobs.items() if content == weights)
            registry.blobs[digest] = weights[:-1] + bytes([weights[-1] ^ 1])
        case "manifest":
            raw = registry.manifests["library/starter/1b"]
            registry.manifests["library/starter/1b"] = raw.replace(b"sha256:", b"sha256:../")
        case "no name":
            name = "../../etc/passwd"
        case "gone":
            name = "127.0.0.1:1/library/starter:1b"
    outcome = cli.run("models pull", name)
    assert outcome.code == 1
    assert outcome.out == ""
    assert sentence in outcome.err.splitlines()[-1]
    assert not (cli.profile / "models" / "manifests").exists()


def test_an_ollama_on_this_computer_is_not_downloaded_again(
    cli: Cli, name: str, registry: RegistryServer, weights: bytes, tmp_path: Path
) -> None:
    blobs = tmp_path / "ollama" / "blobs"
    blobs.mkdir(parents=True)
    theirs = blobs / ("sha256-" + hashlib.sha256(weights).hexdigest())
    theirs.write_bytes(weights)
    before = theirs.stat()
    cli.environment["OLLAMA_MODELS"] = str(blobs.parent)
    assert cli.run("models pull", name).code == 0
    assert registry.sent_bytes < 1000
    check(cli, name, weights)
    assert cli.run("models rm", name).code == 0
    after = theirs.stat()
    assert (after.st_mtime_ns, after.st_mode, after.st_size) == (before.st_mtime_ns, before.st_mode, before.st_size)
    assert theirs.read_bytes() == weights


def test_import(cli: Cli, tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my model.gguf").write_bytes(Path(tiny_model).read_bytes())
    monkeypatch.chdir(tmp_path)
    assert cli.run("models import", "my model.gguf").out == "my-model:latest is here.\n"
    again = cli.run("models import", "my model.gguf")
    assert again.err == "peersky: There is a model my-model:latest already. Give the file another name.\n"
    assert cli.run("models import", "my model.gguf", "--name", "mine:v2").out == "mine:v2 is here.\n"
    assert cli.run("ask", "--model", "my-model", "--max-tokens", "2", "hello").code in (0, 3)
    assert cli.run("models rm", "my-model").out == "my-model is removed; 0 bytes are free again.\n"
    assert cli.run("ask", "--model", "mine:v2", "--max-tokens", "2", "hello").code in (0, 3)
    (tmp_path / "bad.gguf").write_bytes(b"GGUF")
    assert "incomplete or damaged" in cli.run("models import", "bad.gguf").err
    assert "none.gguf cannot be read: No such file" in cli.run("models import", "none.gguf").err


BLOCKER = '''
"""Loaded by every Python of the command: no socket may leave the machine."""
import os, sys

def block(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        address = arguments[0] if event.startswith("socket.get") else arguments[1]
        host = address[0] if isinstance(address, tuple) else address
        if not (host == "127.0.0.1" or str(host).startswith("/")):
            with open(os.environ["BLOCKED"], "a") as file:
                file.write(f"{event} {address!r}\\n")
            raise OSError("blocked")

sys.addaudithook(block)
'''


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's table of sockets")
async def test_a_pulled_model_answers_with_every_other_socket_blocked(
    cli: Cli, registry: RegistryServer, name: str, tmp_path: Path
) -> None:
    assert (await cli.arun("models pull", name)).code == 0
    hooks, blocked = tmp_path / "hooks", tmp_path / "blocked"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(BLOCKER)
    cli.environment |= {"PYTHONPATH": f"{hooks}:{cli.environment['PYTHONPATH']}", "BLOCKED": str(blocked)}
    probe = "import socket; socket.create_connection(('192.0.2.1', 80), 1)"
    probing = [sys.executable, "-c", probe]
    tried = await asyncio.to_thread(subprocess.run, probing, env=cli.environment, capture_output=True, check=False)
    assert b"blocked" in tried.stderr
    blocked.unlink()
    registry.seen.clear()
    seen: set[str] = set()
    async with cli.start("ask", "--model", name, "--max-tokens", "400", "hello") as process:
        watching = asyncio.ensure_future(_watch(process.pid, seen))
        async with asyncio.timeout(TIMEOUT_S):
            out, err = await process.communicate()
        watching.cancel()
    assert process.returncode in (0, 3), err.decode()
    assert out
    assert not blocked.exists(), blocked.read_text()
    assert seen == {"127.0.0.1"}, "the engine's own sockets, which are not Python's, were not seen, or are elsewhere"
    assert registry.seen == []


async def _watch(pid: int, seen: set[str]) -> None:
    """Note the addresses of all Internet sockets of a process and its children."""
    while True:
        with contextlib.suppress(psutil.Error):
            for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
                for connection in process.net_connections("inet"):
                    seen.update(end.ip for end in (connection.laddr, connection.raddr) if end)
        await asyncio.sleep(0.01)


async def test_the_browsers_downloads_are_the_commands(cli: Cli, holder: Holder, name: str) -> None:
    """A browser holds the profile: it downloads, and goes on when the command ends."""
    outcome = await cli.arun("models pull", name)
    assert outcome.code == 0, outcome.err
    assert [str(found) for found in holder.services.builtin.store.names()] == [name]
    assert [download.state for download in holder.services.downloads.list()] == ["done"]


async def test_ctrl_c_leaves_a_download_of_the_browser_alone(
    cli: Cli, holder: Holder, registry: RegistryServer, name: str
) -> None:
    registry.gate.clear()
    download = holder.services.downloads.start("builtin", name)
    await asyncio.to_thread(registry.stalled.wait, TIMEOUT_S)
    async with cli.start("models pull", name) as process, asyncio.timeout(TIMEOUT_S):
        assert process.stderr is not None
        await _until(process.stderr, b"runs already")
        await process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert process.returncode == 130
    assert "goes on without this command" in err.decode()
    registry.gate.set()
    async with asyncio.timeout(TIMEOUT_S):
        assert (await holder.services.downloads.wait(download.id)).state == "done"
