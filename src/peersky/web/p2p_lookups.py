"""Which pages wait for a first answer of the P2P network, for a window that shows it. Lives on the service loop."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peersky.web.asker import Asker

Watcher = Callable[["Lookup", bool], None]


@dataclass(frozen=True, slots=True)
class Lookup:
    """A request that reads and has no answer yet.

    Attributes:
        number: tells it apart from others.
        url: what is asked for; for a navigation the address of the tab.
        asker: who asks, in which tab (``top``), and for what (``resource``).
        started_s: by the clock :func:`time.monotonic`.
    """

    number: int
    url: str
    asker: Asker
    started_s: float


class Lookups:
    """Tells of lookups as they begin and end."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._watchers: list[Watcher] = []
        self.running: dict[int, Lookup] = {}
        """Those that have no answer yet, by number."""

    def subscribe(self, watcher: Watcher) -> Callable[[], None]:
        """Call ``watcher(lookup, runs)`` at each begin (``runs`` true) and end, on the service loop.

        Returns the way out.
        """
        self._watchers.append(watcher)

        def unsubscribe() -> None:
            with suppress(ValueError):
                self._watchers.remove(watcher)

        return unsubscribe

    @contextmanager
    def looking(self, url: str, asker: Asker) -> Iterator[Callable[[], None]]:
        """A lookup for the time of the block, or until what it gives is called: the answer is here."""
        lookup = Lookup(next(self._numbers), url, asker, time.monotonic())

        def end() -> None:
            if self.running.pop(lookup.number, None) is not None:
                self._tell(lookup, False)

        self.running[lookup.number] = lookup
        self._tell(lookup, True)
        try:
            yield end
        finally:
            end()

    def _tell(self, lookup: Lookup, runs: bool) -> None:
        for watcher in list(self._watchers):
            watcher(lookup, runs)
