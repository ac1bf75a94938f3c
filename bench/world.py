"""What the sections stand on: models, folders, the engine alone, the browser as a child, time that is left."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from peersky.llm.library.catalogue import STARTER_FILE

ROOT: Final = Path(__file__).resolve().parent.parent
CACHE: Final = ROOT / "build" / "bench"
"""Models and the sections' results; not in git."""

APP: Final = "peersky://p2p/"
PROMPT: Final = "What is PeerSky?"
PATIENCE_S: Final = 180.0


@dataclass(slots=True)
class World:
    """One run.

    Attributes:
        quick: as short as still tells something.
        folder: a temporary folder that everybody may enter: the browser may run as another user.
        budget_s: time of the section that runs.
    """

    quick: bool
    folder: Path
    budget_s: float = 60.0
    _began_s: float = field(default_factory=time.monotonic)
    _profiles: int = 0

    def begin(self, budget_s: float) -> None:
        """A section starts, and may take so long."""
        self.budget_s, self._began_s = budget_s, time.monotonic()

    @property
    def left_s(self) -> float:
        """Time of the section that is left."""
        return self.budget_s - (time.monotonic() - self._began_s)

    def rounds(self, most: int, least: int = 2, share: float = 1.0) -> Iterator[int]:
        """Numbers of rounds: ``most``, or fewer where a ``share`` of the time left would not do; ``least`` always."""
        until_s = time.monotonic() + self.left_s * share
        began_s = time.monotonic()
        for number in range(most):
            each_s = (time.monotonic() - began_s) / number if number else 0.0
            if number >= least and time.monotonic() + each_s > until_s:
                return
            yield number

    def profile(self, settings: Mapping[str, Any]) -> Path:
        """A new profile with these settings, without a way to peers elsewhere."""
        self._profiles += 1
        path = self.folder / f"profile-{self._profiles}"
        path.mkdir(mode=0o700)
        block = {"p2p": {"listen": "loopback"}, **settings}
        (path / "settings.json").write_text(json.dumps(block), encoding="utf-8")
        return path


@contextlib.contextmanager
def make_world(quick: bool) -> Iterator[World]:
    """A world with a folder that goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="peersky-bench-"))
    folder.chmod(0o755)
    try:
        yield World(quick, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def model_settings(model: Path | str, **llm: Any) -> dict[str, Any]:
    """Settings with which the built-in engine answers with a file."""
    return {"llm": {"enabled": True, "provider": "builtin", "model": str(model), **llm}}


def half_model() -> Path:
    """Random weights in the shape of a real model of half a billion; 528 MB, made once."""
    return _made(CACHE / "half-q8_0.gguf", lambda file: _random(file, "half", "q8_0"))


def endless_starter() -> Path:
    """The starter model without the word that ends its turn: each answer becomes as long as was asked."""

    def make(file: Path) -> None:
        import gguf

        # Of the same length, so that nothing else in the file moves.
        file.write_bytes(STARTER_FILE.read_bytes().replace(b"<|im_end|>", b"<|im_fin|>"))
        ends = gguf.GGUFReader(file, "r+").fields["tokenizer.ggml.eos_token_id"]
        ends.parts[ends.data[0]][0] = 0

    return _made(CACHE / "endless-starter.gguf", make)


def _made(file: Path, make: Callable[[Path], None]) -> Path:
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        half_done = file.with_suffix(f".{os.getpid()}.part")
        make(half_done)
        half_done.replace(file)
    return file


def _random(file: Path, preset: str, kind: str) -> None:
    maker = [sys.executable, str(ROOT / "tools" / "random_gguf.py"), str(file), "--preset", preset, "--type", kind]
    subprocess.run(maker, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)


@dataclass(frozen=True, slots=True)
class Port:
    """Where an engine listens, and its key."""

    port: int
    key: str


@contextlib.contextmanager
def engine_alone(model: Path, script: Path | None = None, **config: Any) -> Iterator[Port]:
    """The engine's own program, started as the browser starts it, without the browser.

    Args:
        script: another program that takes the same first line.
        config: differences from what the browser says.
    """
    from peersky.llm import engine
    from peersky.llm.engine_threads import engine_threads
    from peersky.system.processors import processors

    threads = engine_threads(model.stat().st_size, processors())
    key = secrets.token_hex(16)
    first_line = {
        "parent_pid": os.getpid(),
        "model": str(model),
        "key": key,
        "n_ctx": 8192,
        "n_parallel": 2,
        "n_batch": engine.BATCH_TOKENS,
        "answer_threads": threads.answer,
        "prompt_threads": threads.prompt,
        "cache_ram_mib": engine.CACHE_RAM_MIB,
        "embedding": False,
        "chat_template": "",
        "projector": "",
        "ping_s": engine.PING_S,
        "address_space_bytes": 1 << 40,
        **config,
    }
    program = script or Path(engine.__file__).with_name("engine_child.py")
    with subprocess.Popen(
        [sys.executable, "-P", str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(first_line).encode() + b"\n")
            process.stdin.flush()
            ready = json.loads(process.stdout.readline())
            if not ready["ready"]:
                raise RuntimeError(ready["error"])
            yield Port(ready["port"], key)
        finally:
            process.stdin.close()
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()


class PageFailed(RuntimeError):
    """A script in a page of the browser threw, or did not end in time."""


class BrowserChild:
    """The browser without its window in a process of its own (``bench/browser.py``), driven over its pipes.

    Args:
        profile: its directory.
        options: for ``bench.browser``.
    """

    def __init__(self, profile: Path, *options: str) -> None:
        environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "PYTHON_KEYRING_BACKEND": NO_KEYRING}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.browser", str(profile), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("PEERSKY_BENCH_TALK") else subprocess.DEVNULL,
            cwd=ROOT,
            env=environment,
        )
        self.pid = self._process.pid
        self.profile = profile
        self._number = 0
        self._replies: dict[int, dict[str, Any]] = {}

    def __enter__(self) -> BrowserChild:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        _end(self._process)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def page(self, url: str = APP) -> int:
        """Open a page; its number."""
        return int(self.ask("page", url=url))

    def run(self, page: int, script: str) -> Any:
        """What the body of an async function returns in a page."""
        return self.wait(self.start(page, script))

    def start(self, page: int, script: str) -> int:
        """As :meth:`run`, without waiting; a number for :meth:`wait`."""
        return self.send("run", page=page, script=script)

    def ask(self, what: str, **more: Any) -> Any:
        """One command and its reply."""
        return self.wait(self.send(what, **more))

    def send(self, what: str, **more: Any) -> int:
        """One command; a number for :meth:`wait`."""
        self._number += 1
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": self._number, "do": what, **more}).encode() + b"\n")
        self._process.stdin.flush()
        return self._number

    def wait(self, number: int) -> Any:
        """The reply to a command."""
        assert self._process.stdout is not None
        while number not in self._replies:
            line = self._process.stdout.readline()
            if not line:
                raise PageFailed("The browser ended.")
            reply = json.loads(line)
            self._replies[reply["id"]] = reply
        reply = self._replies.pop(number)
        if "error" in reply:
            raise PageFailed(reply["error"])
        return reply["value"]

    def engine(self) -> Port:
        """Where its engine listens; started if it does not run."""
        return Port(*self.ask("engine"))


NO_KEYRING: Final = "keyring.backends.null.Keyring"
