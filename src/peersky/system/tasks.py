"""Who started a task: every asyncio task has an owner that waits for it, reports its failure and ends it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class TaskOwner:
    """Starts tasks and keeps them until they end. Belongs to one event loop.

    The only place in the program that calls ``asyncio.create_task``: a bare task may be collected in mid-work, and its
    exception is lost.

    Args:
        name: whose tasks these are, for the log.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def __len__(self) -> int:
        """How many tasks run."""
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, _T], name: str) -> asyncio.Task[_T]:
        """Run ``work`` as a task.

        Raises:
            RuntimeError: the owner is closed.
        """
        if self._closed:
            work.close()
            raise RuntimeError(f"{self.name} is closed and starts no more tasks.")
        task = asyncio.create_task(work, name=f"{self.name}: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        """Cancel all tasks and wait until they have ended. Safe to call twice, and from one of the tasks."""
        self._closed = True
        others = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("The task %r failed.", task.get_name(), exc_info=error)
