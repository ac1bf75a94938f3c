"""When an answer to a question of the browser counts: not while the user may not have seen the question yet. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

GUARD_S: Final = 0.5


class ClickGuard:
    """Takes no answer for :data:`GUARD_S` after the question was seen, and after each answer that came too early.

    A page can have the user click or double-click, or hold a key, at the place and the time at which a question
    appears. Whoever goes on clicking answers nothing until they pause.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since_s: float | None = None

    def hide(self) -> None:
        """The question is not to be seen, or stands at another place now."""
        self._since_s = None

    def see(self) -> None:
        """The question is painted. Only the first time counts until it is hidden."""
        if self._since_s is None:
            self._since_s = self._clock()

    @property
    def remaining_s(self) -> float:
        """Time until an answer counts; the whole time for a question that is not to be seen."""
        if self._since_s is None:
            return GUARD_S
        return max(0.0, self._since_s + GUARD_S - self._clock())

    def accepts(self, *, repeated: bool = False) -> bool:
        """Whether an answer counts that is given now. One that does not starts the time anew.

        Args:
            repeated: it comes of a key that is held down, or is the second click of a double click.
        """
        if self.remaining_s > 0 or repeated:
            if self._since_s is not None:
                self._since_s = self._clock()
            return False
        return True
