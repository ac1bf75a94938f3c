"""The command line as people start it: a child process. Against the real engine, or a holder that a test scripts."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from peersky.llm.bridge import Bridge
from peersky.system.paths import Profile, open_profile
from peersky.system.profile_lock import ProfileLock
from peersky.system.prompt_port import NobodyToAsk
from peersky.web.compose import Services, open_services
from peersky.web.control import ControlServer
from peersky.web.llm_app import make_llm_app
from tests.fakes.scripted_provider import ScriptedProvider

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


class Cli:
    """Starts `python -m peersky` with a profile of its own and without keyring and display."""

    def __init__(self, profile: Path, home: Path) -> None:
        self.profile = profile
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM", "XDG_DATA_HOME")
        } | {
            "HOME": str(home),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
        }

    def argv(self, command: str, *arguments: str) -> list[str]:
        """The command line; `--profile` stands after the command's name (and verb)."""
        words = command.split()
        return [sys.executable, "-m", "peersky", *words, "--profile", str(self.profile), *arguments]

    def run(self, command: str, *arguments: str, stdin: str | bytes = "") -> Outcome:
        """Run to the end."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            self.argv(command, *arguments),
            input=data,
            capture_output=True,
            env=self.environment,
            timeout=TIMEOUT_S,
            check=False,
        )
        outcome = Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in outcome.err, outcome.err
        return outcome

    @asynccontextmanager
    async def start(self, command: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Start, and talk with it through pipes. At the end of the block it is killed if it still runs."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self.argv(command, *arguments), stdin=pipe, stdout=pipe, stderr=pipe, env=self.environment
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def arun(self, command: str, *arguments: str, stdin: str = "") -> Outcome:
        """Run to the end while this process serves it."""
        async with self.start(command, *arguments) as process, asyncio.timeout(TIMEOUT_S):
            out, err = await process.communicate(stdin.encode())
        assert process.returncode is not None
        assert b"Traceback" not in err, err.decode()
        return Outcome(process.returncode, out.decode(), err.decode())


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "p", tmp_path)


@pytest.fixture
def profile(cli: Cli) -> Profile:
    return open_profile(cli.profile)


@dataclass
class Holder:
    """This test process holds the profile; `provider` answers as the test says."""

    services: Services
    control: ControlServer
    provider: ScriptedProvider
    opened: list[str | None]


@pytest.fixture
async def holder(profile: Profile) -> AsyncIterator[Holder]:
    with ProfileLock.acquire(profile):
        services = await open_services(profile, NobodyToAsk())
        provider = ScriptedProvider()
        await services.bridge.close()
        services.bridge = Bridge(services.settings, {provider.kind: provider}, services.logbook.record)
        services.apps["llm"] = make_llm_app(services.bridge, services.policy)
        opened: list[str | None] = []
        control = ControlServer(services, "browser", opened.append)
        yield Holder(services, control, provider, opened)
        await control.close()
        await services.close()


@pytest.fixture
def tiny_model(tiny: Path) -> str:
    """Path of a model with random weights, for the real engine. Its answers are noise."""
    return str(tiny)
