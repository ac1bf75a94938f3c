"""Shows a download on standard error: a bar that is drawn anew on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
import sys
from typing import Any, Final

from peersky.core.sizes import size_text

BAR_CELLS: Final = 24
STEP_PERCENT: Final = 10


class ProgressBar:
    """Use :meth:`show` for every state, and :meth:`end` before anything else is printed."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._drawn = 0
        self._said = ""

    def show(self, download: dict[str, Any]) -> None:
        """Draw a download, as ``Download.as_object`` tells it."""
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            line = progress_line(download)[: max(20, width)]
            sys.stderr.write("\r" + line.ljust(self._drawn))
            sys.stderr.flush()
            self._drawn = len(line)
            return
        percent = download["percent"]
        step = download["status"] if percent is None else f"{percent // STEP_PERCENT * STEP_PERCENT:.0f} %"
        if download["state"] in ("running", "queued") and step != self._said:
            self._said = step
            print(progress_line(download), file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._drawn:
            sys.stderr.write("\n")
            sys.stderr.flush()
            self._drawn = 0


def progress_line(download: dict[str, Any]) -> str:
    """One line: bar, percentage, bytes, speed, time left."""
    percent = download["percent"]
    if percent is None:
        return str(download["status"])
    filled = int(BAR_CELLS * percent / 100)
    parts = [
        f"[{'#' * filled}{'-' * (BAR_CELLS - filled)}] {percent:5.1f} %",
        f"{size_text(download['completedBytes'])} of {size_text(download['totalBytes'])}",
    ]
    if download["state"] != "running":
        parts.append(str(download["status"]))
    elif download["bytesPerSecond"]:
        parts.append(f"{size_text(download['bytesPerSecond'])}/s")
        if download["secondsLeft"] is not None:
            parts.append(f"{time_text(download['secondsLeft'])} left")
    return "  ".join(parts)


def time_text(seconds: int) -> str:
    """``1 h 2 min``, ``3 min 20 s``, ``8 s``."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
