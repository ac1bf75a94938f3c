"""One line of the table: what was measured on both sides, in rounds of alternation, and what it should come to."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal["ratio", "added", "value"]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of the values (0 to 1) do not exceed, between two of them where it falls there."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    return ordered[low] + (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]) * (place - low)


@dataclass(frozen=True, slots=True)
class Row:
    """What one line of the table says.

    Attributes:
        name: what is measured, for people.
        unit: of ``ours`` and ``base``.
        ours: PeerSky's figure of each round.
        base: the other side's figure of the same round; empty where there is none.
        against: what the other side is.
        kind: what is judged: ours ÷ base, ours − base, or ours alone.
        most, least: the goal; None and None: for orientation only.
        note: what one must know to read the figures.
    """

    name: str
    unit: str
    ours: list[float]
    base: list[float] = field(default_factory=list)
    against: str = ""
    kind: Kind = "ratio"
    most: float | None = None
    least: float | None = None
    note: str = ""

    @property
    def judged(self) -> list[float]:
        """The figure that the goal is about, of each round. Sides of one round were measured right after each other,
        so what the machine did meanwhile met both."""
        if self.kind == "value" or not self.base:
            return self.ours
        combine: Callable[[float, float], float] = (
            (lambda a, b: a / b if b else math.nan) if self.kind == "ratio" else (lambda a, b: a - b)
        )
        return [combine(a, b) for a, b in zip(self.ours, self.base, strict=True)]

    @property
    def is_met(self) -> bool | None:
        """Whether the median is within the goal; None where there is no goal."""
        if self.most is None and self.least is None:
            return None
        middle = statistics.median(self.judged)
        return (self.most is None or middle <= self.most) and (self.least is None or middle >= self.least)

    def as_object(self) -> dict[str, Any]:
        return asdict(self)


def row_of(value: dict[str, Any]) -> Row:
    """The row that :meth:`Row.as_object` wrote down."""
    return Row(**value)


def spread(values: Sequence[float], digits: Callable[[float], str]) -> str:
    """Median and, of more than one value, the middle four fifths of them; of less than five, the whole range."""
    middle = digits(statistics.median(values))
    if len(values) == 1:
        return middle
    if len(values) < 5:
        return f"{middle} ({digits(min(values))}–{digits(max(values))})"
    return f"{middle} ({digits(percentile(values, 0.1))}–{digits(percentile(values, 0.9))})"


def figure(value: float) -> str:
    """Three digits that count."""
    if not math.isfinite(value):
        return "?"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3f}"
