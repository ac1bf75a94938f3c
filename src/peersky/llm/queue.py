"""Whose turn it is to use a back end: a queue by origin, served in rotation. Pure asyncio, one loop, no clock."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from peersky.core.errors import QuotaExceeded
from peersky.core.origins import Origin

MAX_WAITING: Final = 64
"""How many requests of one origin may wait. A page that sends more is broken; the others must not pay for it."""

_Ticket = asyncio.Future[None]


class RequestQueue:
    """Lets a limited number of requests run; the others wait, each origin in a line of its own.

    The lines are served in rotation, so an origin with fifty requests delays an origin with one by one turn.

    Args:
        limit: how many may run at once; asked each time, so that a changed setting counts from the next turn on.
        max_waiting: how many requests of one origin may wait.
    """

    def __init__(self, limit: Callable[[], int], max_waiting: int = MAX_WAITING) -> None:
        self._limit = limit
        self._max_waiting = max_waiting
        self._running = 0
        # The dict's order is the rotation: the first line is served next, and then goes to the end.
        self._lines: dict[Origin, deque[_Ticket]] = {}

    @property
    def running(self) -> int:
        """How many requests have their turn now."""
        return self._running

    def waiting(self, origin: Origin) -> int:
        """How many requests of this origin wait."""
        return len(self._lines.get(origin, ()))

    def position(self, origin: Origin) -> int:
        """How many turns must be given until this origin's first waiting request has its own; 0 if none waits."""
        return 1 + list(self._lines).index(origin) if origin in self._lines else 0

    @asynccontextmanager
    async def turn(self, origin: Origin) -> AsyncIterator[None]:
        """Wait for a turn, and hold it for the length of the block. A cancelled wait leaves the line at once.

        Raises:
            QuotaExceeded: ``queue_full``: this origin has too many requests waiting.
        """
        await self._enter(origin)
        try:
            yield
        finally:
            self._running -= 1
            self._serve()

    async def _enter(self, origin: Origin) -> None:
        if not self._lines and self._running < self._limit():
            self._running += 1
            return
        if self.waiting(origin) >= self._max_waiting:
            raise QuotaExceeded(
                f"This page has {self._max_waiting} questions waiting already; wait for some of the answers.",
                reason="queue_full",
                requested=self._max_waiting + 1,
                quota=self._max_waiting,
            )
        ticket: _Ticket = asyncio.get_running_loop().create_future()
        self._lines.setdefault(origin, deque()).append(ticket)
        # The limit may have been raised since somebody began to wait.
        self._serve()
        try:
            await ticket
        except asyncio.CancelledError:
            if ticket.cancelled():
                self._leave(origin, ticket)
            else:
                # The turn was given in the same moment; pass it on.
                self._running -= 1
                self._serve()
            raise

    def _leave(self, origin: Origin, ticket: _Ticket) -> None:
        line = self._lines.get(origin)
        if line is not None and ticket in line:
            line.remove(ticket)
            if not line:
                del self._lines[origin]

    def _serve(self) -> None:
        while self._lines and self._running < self._limit():
            origin = next(iter(self._lines))
            line = self._lines.pop(origin)
            ticket = line.popleft()
            if line:
                self._lines[origin] = line
            if not ticket.done():
                ticket.set_result(None)
                self._running += 1
