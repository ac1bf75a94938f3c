"""Tasks with an owner: kept, reported, ended."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from peersky.system.tasks import TaskOwner


async def test_a_task_gives_its_result_and_is_let_go() -> None:
    owner = TaskOwner("test")

    async def work() -> int:
        return 5

    task = owner.start(work(), "five")
    assert task.get_name() == "test: five"
    assert await task == 5
    await asyncio.sleep(0)
    assert len(owner) == 0


async def test_a_task_that_nobody_else_holds_is_not_collected() -> None:
    owner = TaskOwner("test")
    done = asyncio.Event()
    started = asyncio.Event()

    async def work() -> None:
        started.set()
        await asyncio.get_running_loop().run_in_executor(None, gc.collect)
        done.set()

    owner.start(work(), "work")
    await started.wait()
    gc.collect()
    await asyncio.wait_for(done.wait(), 5)
    await owner.close()


async def test_a_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    owner = TaskOwner("test")

    async def fail() -> None:
        raise ValueError("no")

    task = owner.start(fail(), "fails")
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, "The task 'test: fails' failed.")
    ]


async def test_closing_cancels_and_waits() -> None:
    owner = TaskOwner("test")
    ended = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    for _ in range(3):
        owner.start(work(), "waits")
    await asyncio.sleep(0)
    await owner.close()
    await owner.close()
    assert ended == [True] * 3
    assert len(owner) == 0


async def test_a_task_may_close_its_owner() -> None:
    owner = TaskOwner("test")
    task = owner.start(owner.close(), "closes")
    await asyncio.wait_for(task, 5)


async def test_a_closed_owner_starts_nothing() -> None:
    owner = TaskOwner("test")
    await owner.close()
    with pytest.raises(RuntimeError, match="is closed"):
        owner.start(asyncio.sleep(0), "late")
