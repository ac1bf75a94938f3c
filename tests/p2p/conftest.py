"""Two browsers' services, each on a profile and with a real P2P node of its own, that meet on loopback alone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from peersky.core.origins import parse_origin
from peersky.p2p.install import BUNDLE, install, installed
from peersky.p2p.program import Program, Say, node_binary
from peersky.system.paths import open_profile
from peersky.system.profile_lock import ProfileLock
from peersky.system.prompt_port import Consent, Question
from peersky.web.asker import Asker
from peersky.web.compose import Services, open_services
from tests.asgi.client import AsgiClient, Reply

PATIENCE_S = 30
APP = Asker(parse_origin("peersky://p2p"), parse_origin("peersky://p2p"), "xhr")
TESTNET = Path(__file__).with_name("testnet.mjs")


async def program(say: Say) -> Program:
    """The node that users get; ``PEERSKY_SIDECAR`` names another, such as ``sidecar/main.js`` itself."""
    main = os.environ.get("PEERSKY_SIDECAR")
    return Program((str(node_binary()), main)) if main else await install(say)


class Person:
    """Allows everything; keeps the questions."""

    def __init__(self) -> None:
        self.questions: list[Question] = []

    async def ask(self, question: Question) -> Consent:
        self.questions.append(question)
        return Consent.FOR_GOOD


class Peer:
    """One browser without its window."""

    def __init__(self, services: Services, person: Person) -> None:
        self.services, self.person = services, person

    async def ask(self, method: str, url: str, asker: Asker = APP, **options: Any) -> Reply:
        """A request of a page, by default of a built-in app."""
        app = self.services.apps[url.partition(":")[0]]
        async with asyncio.timeout(PATIENCE_S):
            return await AsgiClient(app, asker).request(method, url, **options)

    async def get(self, url: str, **options: Any) -> Reply:
        return await self.ask("GET", url, **options)

    async def publish(self, path: Path, to: Any, name: str) -> str:
        """Publish as the user; the address."""
        lines = [line async for line in self.services.p2p.publish(path, to, name)]
        return str(lines[-1]["url"])

    async def address(self) -> str:
        """Where the IPFS side listens."""
        status = await self.services.p2p.node.json("POST", "/node/start", {"protocols": ["ipfs"]})
        return str(status["ipfs"]["addresses"][0])

    async def kill_node(self) -> None:
        """End the node as a crash does."""
        child = await self.services.p2p.node._supervisor.child()
        os.kill(child.pid, signal.SIGKILL)
        await asyncio.wait({child.exited}, timeout=PATIENCE_S)


@pytest.fixture(scope="session")
def bootstrap() -> Iterator[list[str]]:
    """Addresses of a DHT on loopback through which Hyper peers find each other."""
    environment = {**os.environ, "PEERSKY_NATIVES": str(installed())}
    argv = [str(node_binary()), str(TESTNET), str(BUNDLE / "libraries")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.communicate()


@asynccontextmanager
async def open_peer(folder: Path, **settings: Any) -> AsyncIterator[Peer]:
    """The services of a profile; ``settings`` are those of the block ``p2p``."""
    profile, person = open_profile(folder), Person()
    block = {"listen": "loopback", "lookupSeconds": 5, **settings}
    profile.settings_file.write_text(json.dumps({"p2p": block}), encoding="utf-8")
    with ProfileLock.acquire(profile):
        services = await open_services(profile, person, install_node=program)
        try:
            yield Peer(services, person)
        finally:
            await services.close()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder as people publish it."""
    folder = tmp_path / "site"
    (folder / "Bilder ü").mkdir(parents=True)
    (folder / "index.html").write_text("<h1>First</h1>", encoding="utf-8")
    (folder / "Bilder ü" / "🌌 a.bin").write_bytes(bytes(range(256)) * 40)
    return folder
