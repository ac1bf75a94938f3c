"""Locks on open files that the system takes back from the dead; the one place that knows how each platform does it."""

from __future__ import annotations

import sys
from typing import IO

if sys.platform == "win32":
    import msvcrt

    # A byte far behind the text, so that others can still read who holds the lock.
    _LOCKED_BYTE = 1 << 30

    def try_lock(file: IO[bytes]) -> None:
        """Lock an open file for as long as it stays open, without waiting.

        Raises:
            BlockingIOError, PermissionError: somebody else has the lock.
            OSError: the file system has no locks.
        """
        file.seek(_LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def try_lock(file: IO[bytes]) -> None:
        """Lock an open file for as long as it stays open, without waiting.

        Raises:
            BlockingIOError, PermissionError: somebody else has the lock.
            OSError: the file system has no locks.
        """
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
