"""A real Ollama on loopback, with everything that it writes below one directory."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import httpx
import psutil

STAND_IN = Path(__file__).with_name("llama_server.py")
LISTENING = re.compile(r"Listening on (127\.0\.0\.1:\d+)")
START_S = 60.0
STOP_S = 20.0


class RealOllama:
    """Use as a context manager.

    Args:
        program: the built ``ollama``; it is copied, since it looks for its engine beside itself.
        folder: an empty directory.
        store: where its models go; below ``folder`` where it is None.
        with_engine: PeerSky's engine takes the place of ``llama-server``; else there is none. Ollama before 0.30 has
            its own either way.
    """

    def __init__(self, program: Path, folder: Path, *, store: Path | None = None, with_engine: bool = True) -> None:
        self.version = tuple(map(int, program.parent.parent.name.removeprefix("v").split(".")))
        self.store = store or folder / "models"
        self.lines: list[str] = []
        self.host = ""
        self._news = threading.Condition()
        self._folder = folder
        self._program = folder / "bin" / program.name
        self._program.parent.mkdir(parents=True)
        shutil.copy2(program, self._program)
        engine = folder / "lib" / "ollama" / "llama-server"
        engine.parent.mkdir(parents=True)
        if with_engine:
            command = shlex.join([sys.executable, str(STAND_IN)])
            engine.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
            engine.chmod(0o755)

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def __enter__(self) -> RealOllama:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OLLAMA_", "LLAMA_"))}
        own = {
            "HOME": str(self._folder),
            "OLLAMA_HOST": "127.0.0.1:0",
            "OLLAMA_MODELS": str(self.store),
            "OLLAMA_NO_CLOUD": "1",
            "OLLAMA_NUM_PARALLEL": "1",
        }
        # A proxy would be asked for the registry of the test, too.
        proxies = {name: "" for name in kept if name.lower().endswith("_proxy")}
        self._process = subprocess.Popen(
            [self._program, "serve"],
            cwd=self._folder,
            env=kept | proxies | own,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        found = self.said(LISTENING.search)
        self.host = found[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server as a user does. Safe to call twice."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._reader.join(STOP_S)
        if self._process.stderr is not None:
            self._process.stderr.close()

    def kill(self) -> None:
        """End the server as the kernel does that is short of memory."""
        engines = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        self._process.wait(STOP_S)
        # Nobody would end those of old versions.
        for engine in engines:
            with contextlib.suppress(psutil.NoSuchProcess):
                engine.kill()

    def kill_engine(self) -> None:
        """End the engine, and not the server."""
        engines = psutil.Process(self._process.pid).children(recursive=True)
        assert engines
        for engine in engines:
            engine.kill()

    def said(self, test: Callable[[str], re.Match[str] | None]) -> re.Match[str]:
        """Wait for a line of the log.

        Raises:
            AssertionError: it did not come.
        """
        with self._news:
            seen = 0
            while True:
                for line in self.lines[seen:]:
                    if found := test(line):
                        return found
                seen = len(self.lines)
                assert self._news.wait(START_S), "Ollama did not say it:\n" + "".join(self.lines)

    @property
    def has_own_engine(self) -> bool:
        """Whether the engine is a part of the program, as before 0.30."""
        return self.version < (0, 30)

    def loads(self) -> int:
        """How often it has loaded a model."""
        with self._news:
            return sum('"starting llama-server"' in line or '"starting llama server"' in line for line in self.lines)

    def ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        """A request of the test's own."""
        with httpx.Client(trust_env=False, timeout=60) as client:
            return client.request(method, self.url + path, json=body)

    def files(self) -> dict[str, bytes]:
        """Everything in its store."""
        return {
            str(path.relative_to(self.store)): path.read_bytes() for path in self.store.rglob("*") if path.is_file()
        }

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
