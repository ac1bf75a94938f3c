"""A registry on loopback and a store in a temporary directory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from peersky.llm.library.puller import Puller
from peersky.llm.library.store import ModelStore
from peersky.llm.library.transfer import TransferOptions
from peersky.llm.providers.base import PullProgress
from tests.fakes.registry_server import RegistryServer

PART = 32 * 1024


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


class Naps:
    """Stands where waiting does: notes how long would have been waited."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


class Progress:
    """Keeps what a download reported.

    Args:
        awaited: ``reached`` is set by a status that begins so.
    """

    def __init__(self, awaited: str = "") -> None:
        self.all: list[PullProgress] = []
        self.reached = asyncio.Event()
        self._awaited = awaited

    def __call__(self, progress: PullProgress) -> None:
        self.all.append(progress)
        if progress.status.startswith(self._awaited):
            self.reached.set()


PullerMaker = Callable[..., Puller]


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
async def make_puller(store: ModelStore, naps: Naps, registry: RegistryServer) -> AsyncIterator[PullerMaker]:
    """Pullers with small parts, so that small files have several, and without real waits."""
    made: list[Puller] = []

    def make(**more: Any) -> Puller:
        into = more.pop("into", store)
        more.setdefault("slow_bytes", 0)  # A busy machine may be slow; only who asks for it minds.
        shape = {"part_bytes": PART, "head_bytes": PART, "sleep": naps, **more.pop("options", {})}
        made.append(Puller(into, options=TransferOptions(**shape), hub=registry.url, **more))
        return made[-1]

    yield make
    for puller in made:
        await puller.close()
