"""How much memory the computer has left."""

from __future__ import annotations

import re
from pathlib import Path


def free_memory_bytes() -> int | None:
    """Memory that can be had without pushing others out, in bytes; None where the system does not tell."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None
