"""The private socket of the process that holds a profile, and how the command line finds it.

A Unix socket in a directory that only the user may enter; where the platform has none, TCP on loopback. Either way a
random token, kept in a 0600 file of the profile, is what admits a caller.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from peersky.system.files import PRIVATE_FILE, unusable, write_atomically
from peersky.system.paths import Profile

MAX_PATH_BYTES: Final = 100
"""Longest path of a Unix socket that every platform takes (macOS: 104 bytes with the closing NUL)."""

_RUNTIME_PREFIX: Final = "peersky-"


@dataclass(frozen=True, slots=True)
class Address:
    """Where the holder of a profile listens.

    Attributes:
        path: path of the Unix socket; empty with TCP.
        port: port on 127.0.0.1; 0 with a Unix socket.
        token: what a caller must present.
        pid: the process that listens.
    """

    path: str
    port: int
    pid: int
    token: str = field(repr=False)


class PrivateSocket:
    """A listening socket that only this user can reach, announced in the profile until :meth:`close`.

    The caller holds the profile's lock: whatever a dead process left here is removed.

    Raises:
        ProfileUnusable: neither kind of socket can be made, or its address cannot be written.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        remove_stale(profile)
        path = ""
        try:
            if hasattr(socket, "AF_UNIX"):
                self.listener, path = _listen_unix(profile)
            else:
                self.listener = socket.create_server(("127.0.0.1", 0))
        except OSError as error:
            raise unusable(error, profile.run_dir, "open a socket in") from error
        port = 0 if path else int(self.listener.getsockname()[1])
        self.address = Address(path, port, os.getpid(), secrets.token_urlsafe(32))
        try:
            write_atomically(profile.control_file, json.dumps(asdict(self.address)).encode())
        except BaseException:
            self.listener.close()
            _remove_socket(path)
            raise

    def close(self) -> None:
        """Stop listening and take the announcement back. Safe to call twice."""
        self.listener.close()
        if self.address.path:
            _remove_socket(self.address.path)
        found = read_address(self._profile)
        if found is not None and found.token == self.address.token:
            with contextlib.suppress(OSError):
                self._profile.control_file.unlink()


def read_address(profile: Profile) -> Address | None:
    """Where the holder says that it listens; None where nobody says so. It may be dead."""
    try:
        found = json.loads(profile.control_file.read_text("utf-8"))
        return Address(str(found["path"]), int(found["port"]), int(found["pid"]), str(found["token"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove_stale(profile: Profile) -> None:
    """Remove socket and announcement of a dead holder. Only for whoever holds the lock."""
    if (address := read_address(profile)) is not None and address.path:
        _remove_socket(address.path)
    for path in (profile.control_file, _socket_in(profile)):
        with contextlib.suppress(OSError):
            path.unlink()


def _socket_in(profile: Profile) -> Path:
    return profile.run_dir / "control.sock"


def _listen_unix(profile: Profile) -> tuple[socket.socket, str]:
    path = _socket_in(profile)
    if len(os.fsencode(path)) < MAX_PATH_BYTES:
        # A file system without sockets (some network shares) is served from the temporary directory too.
        with contextlib.suppress(OSError):
            return _bind(path), str(path)
    directory = Path(tempfile.mkdtemp(prefix=_RUNTIME_PREFIX))
    path = directory / "control.sock"
    try:
        return _bind(path), str(path)
    except OSError:
        directory.rmdir()
        raise


def _bind(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(PRIVATE_FILE)
        listener.listen(64)
    except OSError:
        listener.close()
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    return listener


def _remove_socket(path: str) -> None:
    """Remove a socket, and the directory that was made for it alone."""
    with contextlib.suppress(OSError):
        if Path(path).is_socket():
            Path(path).unlink()
        if Path(path).parent.name.startswith(_RUNTIME_PREFIX):
            Path(path).parent.rmdir()
