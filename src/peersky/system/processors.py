"""How many processor cores this process may compute on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TOPOLOGY: Final = Path("/sys/devices/system/cpu")


@dataclass(frozen=True, slots=True)
class Processors:
    """What a program may compute on.

    Attributes:
        logical: what the system schedules on; two of them may share a core.
        cores: those with arithmetic units of their own.
    """

    logical: int
    cores: int


def processors(topology: Path = _TOPOLOGY) -> Processors:
    """The processors that this process may use, which in a container may be fewer than the machine has.

    Args:
        topology: where Linux tells which of them share a core; where it does not, each counts as a core.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    shared: set[str] = set()
    for number in allowed:
        try:
            shared.add((topology / f"cpu{number}/topology/thread_siblings_list").read_text("ascii").strip())
        except OSError:
            shared.add(str(number))
    return Processors(len(allowed), len(shared))
