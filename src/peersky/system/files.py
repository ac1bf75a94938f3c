"""Files of the profile: private from their first byte, replaced whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from pathlib import Path
from typing import Final

from peersky.core.errors import ProfileUnusable

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700

_TEMPORARY: Final = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
_WHY = {
    errno.EACCES: "this user may not write there",
    errno.EPERM: "this user may not write there",
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EMFILE: "PeerSky has too many files open",
    errno.ENFILE: "this computer has too many files open",
    errno.EIO: "the disk reports an error",
    errno.EFBIG: "the largest size of a file that is allowed there is reached",
    errno.ENOTDIR: "a part of the path is a file and no directory",
    errno.EISDIR: "there is a directory where a file belongs",
    errno.EEXIST: "there is a file where a directory belongs",
    errno.ELOOP: "the path is a loop of symbolic links",
    errno.ENAMETOOLONG: "the path is too long",
}


def unusable(error: OSError, path: Path, doing: str = "write") -> ProfileUnusable:
    """What the operating system said, as one sentence for the user.

    Args:
        error: what was raised.
        path: the file or directory it is about.
        doing: the verb of the sentence: ``write``, ``read``, ``create``.
    """
    why = _WHY.get(error.errno or 0) or (error.strerror or type(error).__name__)
    return ProfileUnusable(
        f"PeerSky cannot {doing} {path}: {why}. Free or repair it, or choose another directory with --profile."
    )


def make_directory(path: Path) -> None:
    """Create ``path`` and its parents; mode 0700 for what is new, and for ``path`` also where it was there.

    Raises:
        OSError: it cannot be created, or is no directory.
    """
    path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    if os.name == "posix" and path.stat().st_mode & 0o777 != PRIVATE_DIRECTORY:
        path.chmod(PRIVATE_DIRECTORY)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``: temporary file, fsync, rename. A symbolic link stays one.

    After a failure the old file is as it was, and no temporary file is left.

    Raises:
        ProfileUnusable: read-only, full, or not ours; the sentence says which.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(temporary, flags, PRIVATE_FILE), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        sync_directory(target.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise unusable(error, path) from error


def sweep(folder: Path) -> None:
    """Delete what a killed :func:`write_atomically` left in ``folder``. Nobody may write there meanwhile."""
    with contextlib.suppress(OSError):
        for left in folder.glob(".*.tmp"):
            if _TEMPORARY.fullmatch(left.name):
                left.unlink(missing_ok=True)


def replace_durably(new: Path, target: Path) -> None:
    """Put a finished file in the place of another so that a power cut leaves one of the two, whole.

    Raises:
        OSError: it cannot be done; ``target`` is as it was.
    """
    with new.open("rb+") as file:
        os.fsync(file.fileno())
    new.replace(target)
    sync_directory(target.parent)


def sync_directory(path: Path) -> None:
    """Make a rename survive a power cut; where directories cannot be synced (Windows) there is nothing to do."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
