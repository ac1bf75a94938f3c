"""How much one site may ask of the models: the limits, and when there is room again. Pure: the clock comes in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from peersky.core.settings_schema import setting

NAMES: Final = (
    "parallel",
    "waiting",
    "tokensPerMinute",
    "tokensPerDay",
    "cloudTokensPerMinute",
    "cloudTokensPerDay",
)
"""The limits that a site may have for itself; the setting ``limits.NAME`` is the one for all others."""

MINUTE_S: Final = 60.0
UNLIMITED: Final = 64
"""Answers at once of whom no limit is meant for: more than any back end gives."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for one site at one kind of back end.

    Attributes:
        parallel: answers at once.
        waiting: questions that may wait.
        tokens_per_minute, tokens_per_day: read and written; 0: as many as it likes.
    """

    parallel: int
    waiting: int
    tokens_per_minute: int
    tokens_per_day: int


def limits_for(common: Callable[[str], int], own: Mapping[str, int], *, is_site: bool, cloud: bool) -> Limits:
    """The limits of one origin.

    Args:
        common: the value of a setting.
        own: what the user set for this origin alone, by name.
        is_site: False for the user in person and the browser's own pages: they have the limits alone that were set for
            them.
        cloud: the question goes to a service on another machine.
    """

    def value(name: str, otherwise: int) -> int:
        return own[name] if name in own else common(f"limits.{name}") if is_site else otherwise

    kind = "cloudTokens" if cloud else "tokens"
    return Limits(
        parallel=value("parallel", UNLIMITED),
        waiting=own.get("waiting") or common("limits.waiting"),
        tokens_per_minute=value(f"{kind}PerMinute", 0),
        tokens_per_day=value(f"{kind}PerDay", 0),
    )


def checked_limits(values: Mapping[str, object]) -> dict[str, int]:
    """Limits of one site as the user gave them; None takes one back.

    Raises:
        SettingInvalid: a name or a value that is none; the sentence says which.
    """
    checked: dict[str, int] = {}
    for name, value in values.items():
        declared = setting(f"limits.{name}")
        if value is not None:
            number = declared.check(value)
            assert isinstance(number, int)
            checked[name] = number
    return checked


class LastMinute:
    """How many tokens were used in the last minute.

    Args:
        now: a clock that never jumps, in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._uses: deque[tuple[float, int]] = deque()

    def add(self, tokens: int) -> None:
        if tokens > 0:
            self._uses.append((self._now(), tokens))

    def used(self) -> int:
        """Tokens of the last minute."""
        while self._uses and self._uses[0][0] <= self._now() - MINUTE_S:
            self._uses.popleft()
        return sum(tokens for _at, tokens in self._uses)

    def free_in_s(self, limit: int) -> float:
        """How long until fewer than ``limit`` tokens were used in the last minute; 0 now."""
        used = self.used()
        for at, tokens in self._uses:
            if used < limit:
                break
            used -= tokens
            if used < limit:
                return max(0.0, at + MINUTE_S - self._now())
        return 0.0
