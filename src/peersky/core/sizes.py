"""Sizes for people, everywhere the same: in steps of 1000, as disks are sold and as ``bytes()`` in page.js does it."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")


def size_text(size_bytes: float) -> str:
    """``1.9 GB``, ``528 MB``, ``12 bytes``."""
    step = 0
    while size_bytes >= 1000 and step < len(_UNITS) - 1:
        size_bytes /= 1000
        step += 1
    return f"{size_bytes:.1f} {_UNITS[step]}" if step and size_bytes < 100 else f"{size_bytes:.0f} {_UNITS[step]}"
