"""Children that are killed while they start; the stages after that are rows beside the tests of each child."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from peersky.core.errors import BackendFailed
from peersky.llm.engine import Engine, EngineOptions
from peersky.llm.gguf_head import read_head
from peersky.p2p.errors import NodeUnavailable
from peersky.p2p.node import P2PNode
from peersky.p2p.program import Program, Say
from peersky.system.children import RestartPolicy
from peersky.system.paths import open_profile
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore

PATIENCE_S = 30
NO_BACK_OFF = RestartPolicy(back_off_s=(0.0,))
DOUBLE = Path(__file__).parents[1] / "fakes" / "p2p_sidecar.py"


class Starts:
    """A log that tells the process id of each start as it happens."""

    def __init__(self) -> None:
        self.pids: asyncio.Queue[int] = asyncio.Queue()

    def __call__(self, kind: str, **fields: Any) -> None:
        if kind == "child.started":
            self.pids.put_nowait(fields["pid"])


@pytest.fixture
def starts() -> Starts:
    return Starts()


@pytest.fixture
async def engine(half: Path, starts: Starts) -> AsyncIterator[Engine]:
    one = Engine(half, read_head(half), EngineOptions(512), idle_timeout_s=600, log=starts, policy=NO_BACK_OFF)
    yield one
    await one.close()


def is_loading(pid: int, model: Path) -> bool:
    """Mapped means: within the constructor, which loads the model."""
    try:
        return model.name in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.fault("Engine killed while it starts")
@pytest.mark.parametrize("stage", ["starting", "loading"])
async def test_engine(engine: Engine, starts: Starts, half: Path, stage: str) -> None:
    first = asyncio.create_task(engine.child())
    async with asyncio.timeout(PATIENCE_S):
        pid = await starts.pids.get()
    if stage == "loading":
        deadline = time.monotonic() + PATIENCE_S
        while not is_loading(pid, half):
            assert time.monotonic() < deadline
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(BackendFailed, match=r"was killed, .* while it started"):
        await first
    assert engine.state == "stopped"
    assert (await engine.child()).pid != pid


@pytest.fixture
async def node(tmp_path: Path, starts: Starts) -> AsyncIterator[P2PNode]:
    profile = open_profile(tmp_path / "p")
    settings = SettingsStore(profile.settings_file, SecretStore(profile.secrets_file))

    async def program(say: Say) -> Program:
        return Program((sys.executable, str(DOUBLE)))

    made = P2PNode(settings, profile, program, starts, policy=NO_BACK_OFF)
    yield made
    await made.close()


@pytest.mark.fault("P2P node killed while it starts")
async def test_node_that_starts(node: P2PNode, starts: Starts) -> None:
    first = asyncio.create_task(node.start())
    async with asyncio.timeout(PATIENCE_S):
        os.kill(await starts.pids.get(), signal.SIGKILL)
    with pytest.raises(NodeUnavailable, match="while it started"):
        await first
    assert await node.json("GET", "/node/status")


@pytest.mark.fault("P2P node killed while it is idle")
async def test_idle_node(node: P2PNode, starts: Starts) -> None:
    await node.start()
    child = await node._supervisor.child()
    os.kill(await starts.pids.get(), signal.SIGKILL)
    await asyncio.wait({child.exited}, timeout=PATIENCE_S)
    assert await node.json("GET", "/node/status")
    assert starts.pids.qsize() == 1


@pytest.mark.fault("P2P node killed in the middle of what a page reads")
async def test_node_that_answers(node: P2PNode, starts: Starts) -> None:
    async with node.send("GET", "/hyper/k/hang") as reply:
        os.kill(await starts.pids.get(), signal.SIGKILL)
        with pytest.raises(NodeUnavailable, match="before this was done") as caught:
            await reply.read()
    assert caught.value.reason == "interrupted"
    assert await node.json("GET", "/node/status")
