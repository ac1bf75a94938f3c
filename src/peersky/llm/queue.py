"""Whose turn it is to use a back end: a queue by origin, served in rotation. Pure asyncio, one loop, no clock."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from peersky.core.errors import QuotaExceeded
from peersky.core.origins import Origin

MAX_WAITING: Final = 64
"""How many requests of one origin may wait. A page that sends more is broken; the others must not pay for it."""


@dataclass(slots=True, eq=False)
class _Ticket:
    """One request that waits. ``page`` is the origin of the tab's page that it is for."""

    page: Origin
    given: asyncio.Future[None]


class RequestQueue:
    """Lets a limited number of requests run; the others wait, each origin in a line of its own.

    The lines are served in rotation, so an origin with fifty requests delays an origin with one by one turn. A line of
    a page that the user looks at, or of a frame in it, goes before those in the background; while both wait, the turns
    alternate, so that the background gets on, too.

    Args:
        limit: how many may run at once; asked each time, so that a changed setting counts from the next turn on.
        max_waiting: how many requests of one origin may wait.
        parallel: how many of one origin may run at once.
        is_visible: whether the user looks at a page of an origin; asked about the tab's page, not about frames in it.
    """

    def __init__(
        self,
        limit: Callable[[], int],
        max_waiting: Callable[[Origin], int] = lambda _origin: MAX_WAITING,
        parallel: Callable[[Origin], int] | None = None,
        is_visible: Callable[[Origin], bool] = lambda _origin: False,
    ) -> None:
        self._limit, self._max_waiting = limit, max_waiting
        self._parallel, self._is_visible = parallel, is_visible
        self._running: Counter[Origin] = Counter()
        # A page in the background was passed over for a visible one: it is next.
        self._owes_background = False
        # The dict's order is the rotation: the first line is served next, and then goes to the end.
        self._lines: dict[Origin, deque[_Ticket]] = {}

    @property
    def running(self) -> int:
        """How many requests have their turn now."""
        return self._running.total()

    def waiting(self, origin: Origin) -> int:
        """How many requests of this origin wait."""
        return len(self._lines.get(origin, ()))

    def position(self, origin: Origin) -> int:
        """How many turns must be given until this origin's first waiting request has its own; 0 if none waits."""
        if origin not in self._lines:
            return 0
        lines, owes = list(self._lines), self._owes_background
        turn = 1
        while (chosen := self._choose(lines, owes)) != origin:
            owes = self._passes_over(chosen, lines)
            lines.remove(chosen)
            turn += 1
        return turn

    @asynccontextmanager
    async def turn(self, origin: Origin, page: Origin | None = None) -> AsyncIterator[None]:
        """Wait for a turn, and hold it for the length of the block. A cancelled wait leaves the line at once.

        Args:
            page: origin of the tab's page; None: ``origin`` itself.

        Raises:
            QuotaExceeded: ``queue_full``: this origin has too many requests waiting.
        """
        await self._enter(origin, page or origin)
        try:
            yield
        finally:
            self._give_back(origin)

    async def _enter(self, origin: Origin, page: Origin) -> None:
        most = self._max_waiting(origin)
        if self.waiting(origin) >= most:
            raise QuotaExceeded(
                f"This page has {most} questions waiting already; wait for some of the answers.",
                reason="queue_full",
                requested=most + 1,
                quota=most,
            )
        ticket = _Ticket(page, asyncio.get_running_loop().create_future())
        self._lines.setdefault(origin, deque()).append(ticket)
        self._serve()
        try:
            await ticket.given
        except asyncio.CancelledError:
            if ticket.given.cancelled():
                self._leave(origin, ticket)
            else:
                # The turn was given in the same moment; pass it on.
                self._give_back(origin)
            raise

    def _leave(self, origin: Origin, ticket: _Ticket) -> None:
        line = self._lines.get(origin)
        if line is not None and ticket in line:
            line.remove(ticket)
            if not line:
                del self._lines[origin]

    def _give_back(self, origin: Origin) -> None:
        self._running[origin] -= 1
        if not self._running[origin]:
            del self._running[origin]
        self._serve()

    def _choose(self, lines: Sequence[Origin], owes_background: bool) -> Origin:
        """Whose turn is next."""
        preferred = [origin for origin in lines if self._is_seen(origin) is not owes_background]
        return (preferred or lines)[0]

    def _passes_over(self, chosen: Origin, lines: Sequence[Origin]) -> bool:
        """Whether this turn lets a page in the background wait for a visible one."""
        return self._is_seen(chosen) and not all(self._is_seen(origin) for origin in lines)

    def _is_seen(self, origin: Origin) -> bool:
        """Whether the user looks at the page that is the next of a line."""
        return self._is_visible(self._lines[origin][0].page)

    def _serve(self) -> None:
        while self.running < self._limit():
            ready = [origin for origin in self._lines if self._may_run_more(origin)]
            if not ready:
                return
            origin = self._choose(ready, self._owes_background)
            owes_background = self._passes_over(origin, ready)
            line = self._lines.pop(origin)
            ticket = line.popleft()
            if line:
                self._lines[origin] = line
            if not ticket.given.done():
                ticket.given.set_result(None)
                self._running[origin] += 1
                self._owes_background = owes_background

    def _may_run_more(self, origin: Origin) -> bool:
        return self._parallel is None or self._running[origin] < self._parallel(origin)
