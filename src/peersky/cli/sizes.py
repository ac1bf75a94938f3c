"""Sizes and times as people read them."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ("B", "KB", "MB", "GB", "TB")


def size_text(size_bytes: float) -> str:
    """``1.9 GB``, in steps of 1024."""
    step = 0
    while size_bytes >= 1024 and step < len(_UNITS) - 1:
        size_bytes /= 1024
        step += 1
    return f"{size_bytes:.1f} {_UNITS[step]}" if step > 1 else f"{size_bytes:.0f} {_UNITS[step]}"


def time_text(seconds: int) -> str:
    """``1 h 2 min``, ``3 min 20 s``, ``8 s``."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
