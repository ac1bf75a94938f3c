"""The thread in which the services' asyncio loop runs, and the ways into it from the main thread."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from peersky.system.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future

T = TypeVar("T")


class ServiceThread:
    """One asyncio loop in a thread of its own, from construction to :meth:`stop`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._tasks = TaskOwner("requests")
        # Not a daemon: children must be stopped before the interpreter goes, and stop() sees to that.
        self._thread = threading.Thread(target=self._run, name="services")
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def call(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop; the future tells its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def submit(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run a coroutine whose result nobody waits for. A fault is logged; after :meth:`stop` it never starts."""
        try:
            self._loop.call_soon_threadsafe(self._start, work, name)
        except RuntimeError:
            work.close()

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        try:
            self._tasks.start(work, name)
        except RuntimeError:
            # The owner is closed: the program is ending.
            return

    def stop(self, timeout_s: float = 10) -> None:
        """Cancel what still runs, end the loop and the thread. Safe to call twice."""
        if self._thread.is_alive():
            self.call(self._tasks.close()).result(timeout_s)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout_s)
