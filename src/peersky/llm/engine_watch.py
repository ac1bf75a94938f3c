"""Watches over a running engine: whether it gets on with its work, and whether the computer needs its memory back.

Both run on the engine's loop and do nothing themselves; what is to happen they are given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

LOW_MEMORY_BYTES: Final = 512 * 1024**2
"""With less memory than this, the system begins to stutter, or to end programs; an idle model is not worth that."""

MEMORY_CHECK_S: Final = 10.0


class HangWatch:
    """Tells when a request waits too long for a word or for progress, and when that is over.

    Signs of life such as comments in a stream do not count: a server may answer while its work stands still. Nor does
    the time in which nobody reads.

    Args:
        tell: takes True when the first request gets stuck, and False when none is any more.
    """

    def __init__(self, tell: Callable[[bool], None]) -> None:
        self._tell = tell
        self._stuck: set[RequestWatch] = set()

    def request(self, patience_s: float) -> RequestWatch:
        """A watch for one request; ``patience_s`` counts from each :meth:`RequestWatch.waits`."""
        return RequestWatch(self, patience_s)

    def note(self, watch: RequestWatch, stuck: bool) -> None:
        """Take note of one request; for :class:`RequestWatch`."""
        before = bool(self._stuck)
        (self._stuck.add if stuck else self._stuck.discard)(watch)
        if bool(self._stuck) != before:
            self._tell(not before)


class RequestWatch:
    """The watch of one request. Made by :meth:`HangWatch.request`."""

    def __init__(self, owner: HangWatch, patience_s: float) -> None:
        self._owner = owner
        self._patience_s = patience_s
        self._since_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_stuck = False

    def waits(self) -> None:
        """From now on the engine is to do something. Happens at each token, so it costs next to nothing."""
        self._since_s = monotonic()
        if self._is_stuck:
            self._note(False)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._patience_s, self._look)

    def rests(self) -> None:
        """The engine did something, or nothing is expected of it."""
        self._since_s = None
        if self._is_stuck:
            self._note(False)

    def close(self) -> None:
        """The request is over."""
        self.rests()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _note(self, stuck: bool) -> None:
        self._is_stuck = stuck
        self._owner.note(self, stuck)

    def _look(self) -> None:
        self._timer = None
        if self._since_s is None:
            return
        left_s = self._since_s + self._patience_s - monotonic()
        if left_s > 0:
            self._timer = asyncio.get_running_loop().call_later(left_s, self._look)
        else:
            self._note(True)


class MemoryWatch:
    """Looks every now and then, while it is on, whether memory is short.

    Args:
        free: memory that can be had, in bytes; None: unknown, and then nothing ever happens.
        short: called with what is free when it is less than :data:`LOW_MEMORY_BYTES`; the watch is off then.
        every_s: time between two looks.
    """

    def __init__(self, free: Callable[[], int | None], short: Callable[[int], None], every_s: float) -> None:
        self._free, self._short, self._every_s = free, short, every_s
        self._timer: asyncio.TimerHandle | None = None

    def on(self) -> None:
        """Begin to look."""
        self.off()
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._look)

    def off(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        free = self._free()
        if free is not None and free < LOW_MEMORY_BYTES:
            self.off()
            self._short(free)
        else:
            self.on()
