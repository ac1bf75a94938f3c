"""One process at a time owns a profile: the browser, or a command that found no browser running."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import IO

from peersky.core.errors import ProfileUnusable
from peersky.system.file_lock import try_lock
from peersky.system.files import PRIVATE_FILE, sweep, unusable
from peersky.system.paths import Profile


class ProfileLock:
    """The right to use a profile, from :meth:`acquire` to :meth:`release`; the system takes it back from the dead."""

    def __init__(self, profile: Profile, file: IO[bytes]) -> None:
        self.profile = profile
        self._file = file
        self._releasing = threading.Lock()

    @classmethod
    def acquire(cls, profile: Profile) -> ProfileLock:
        """Take the lock, without waiting.

        Raises:
            ProfileUnusable: with the reason ``profile_locked`` where another process has it, named by its number;
                else the lock file cannot be written, or the file system has no locks.
        """
        path = profile.lock_file
        try:
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE), "r+b", buffering=0)
        except OSError as error:
            raise unusable(error, path) from error
        try:
            try_lock(file)
        except (BlockingIOError, PermissionError) as error:
            holder = _pid_in(file)
            file.close()
            who = f"another PeerSky (process {holder})" if holder else "another PeerSky"
            raise ProfileUnusable(
                f"The profile {profile.root} is in use by {who}; close it, or choose another directory with --profile.",
                reason="profile_locked",
            ) from error
        except OSError as error:
            file.close()
            raise unusable(error, path, "lock") from error
        try:
            file.seek(0)
            file.truncate()
            file.write(str(os.getpid()).encode())
        except OSError as error:
            file.close()
            raise unusable(error, path) from error
        # Whoever left something half-written was killed: every writer holds the lock.
        sweep(profile.root)
        return cls(profile, file)

    def release(self) -> None:
        """Give the profile back. Safe to call twice."""
        with self._releasing, contextlib.suppress(OSError):
            if not self._file.closed:
                self._file.truncate(0)
                self._file.close()

    def __enter__(self) -> ProfileLock:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


def _pid_in(file: IO[bytes]) -> int:
    try:
        file.seek(0)
        return int(file.read(20) or b"0")
    except (OSError, ValueError):
        return 0
