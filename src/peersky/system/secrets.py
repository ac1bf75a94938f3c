"""API keys: in the system's keyring where there is one, else in a file that only the user may read.

A value in the file wins over one in the keyring: it got there when the keyring could not be reached, so it is newer.
Deleting without a keyring leaves a ``null`` in the file for the same reason.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar

from peersky.system.files import unusable, write_atomically

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

PROBE_TIMEOUT_S: Final = 3.0
"""How long the keyring may take to show that it works."""

CALL_TIMEOUT_S: Final = 60.0
"""How long one call may take: the user may have to type the keyring's password."""


class Keyring(Protocol):
    """The part of ``keyring.backend.KeyringBackend`` that is used here."""

    def get_password(self, service: str, username: str) -> str | None: ...
    def set_password(self, service: str, username: str, password: str) -> None: ...
    def delete_password(self, service: str, username: str) -> None: ...


def no_keyring() -> Keyring | None:
    """For a :class:`SecretStore` that uses its file and nothing else."""
    return None


class SecretStore:
    """Secrets by name. Thread-safe; each is read from the keyring at most once.

    Args:
        file: the file that is used where no keyring is; its directory tells profiles apart in the keyring.
        find_keyring: finds the keyring, once, when a secret is first needed: :func:`system_keyring` does that.
    """

    def __init__(self, file: Path, find_keyring: Callable[[], Keyring | None] = no_keyring) -> None:
        self._file = file
        self._find_keyring = find_keyring
        self._service = f"PeerSky {file.parent}"
        self._found: Keyring | None = None
        self._known: dict[str, str | None] = {}
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"SecretStore({str(self._file)!r}, {len(self._known)} known)"

    @property
    def where(self) -> Literal["keyring", "file"]:
        """Where a secret that is set now will be kept."""
        return "keyring" if self._keyring else "file"

    @property
    def _keyring(self) -> Keyring | None:
        with self._lock:
            if self._find_keyring is not no_keyring:
                self._found = self._find_keyring()
                self._find_keyring = no_keyring
            return self._found

    def get(self, name: str) -> str | None:
        """The secret, or None where there is none.

        Raises:
            ProfileUnusable: the file cannot be read.
        """
        with self._lock:
            if name not in self._known:
                in_file = self._read_file()
                self._known[name] = in_file[name] if name in in_file else self._from_keyring(name)
            return self._known[name]

    def set(self, name: str, value: str) -> None:
        """Keep a secret.

        Raises:
            ProfileUnusable: the file cannot be written.
        """
        with self._lock:
            if self._to_keyring(name, value):
                self._change_file(name, None)
            else:
                self._change_file(name, {"value": value})
            self._known[name] = value

    def delete(self, name: str) -> None:
        """Forget a secret; no error where there is none.

        Raises:
            ProfileUnusable: the file cannot be written.
        """
        with self._lock:
            if self._delete_in_keyring(name):
                self._change_file(name, None)
            elif self.get(name) is not None:
                self._change_file(name, {"value": None})
            self._known[name] = None

    def known_values(self) -> list[str]:
        """The secrets that this process has in memory: what its log must not show."""
        # Without the lock, which may be held for as long as a keyring takes; copying a dictionary needs none.
        return [value for value in list(self._known.values()) if value]

    def _from_keyring(self, name: str) -> str | None:
        keyring = self._keyring
        if keyring is None:
            return None
        return self._call(lambda: keyring.get_password(self._service, name), None)

    def _to_keyring(self, name: str, value: str) -> bool:
        keyring = self._keyring
        if keyring is None:
            return False

        def store() -> bool:
            keyring.set_password(self._service, name, value)
            return True

        return self._call(store, False)

    def _delete_in_keyring(self, name: str) -> bool:
        keyring = self._keyring
        if keyring is None:
            return False

        def delete() -> bool:
            if keyring.get_password(self._service, name) is not None:
                keyring.delete_password(self._service, name)
            return True

        return self._call(delete, False)

    def _call(self, work: Callable[[], _T], otherwise: _T) -> _T:
        """Ask the keyring; where it fails or hangs, use the file from now on."""
        try:
            return within(CALL_TIMEOUT_S, work)
        except Exception as error:  # noqa: BLE001  # back ends raise what their D-Bus or system library raises
            _log.warning("The system's keyring failed (%s); keys are kept in a file.", type(error).__name__)
            self._found = None
            return otherwise

    def _read_file(self) -> dict[str, str | None]:
        try:
            found = json.loads(self._file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise unusable(error, self._file, "read") from error
        except ValueError:
            # Not ours to repair, and not to be overwritten: the user may have typed a key there.
            with contextlib.suppress(OSError):
                self._file.replace(self._file.with_name(self._file.name + ".bad"))
            _log.warning("%s was no JSON and is kept as %s.bad.", self._file, self._file.name)
            return {}
        if not isinstance(found, dict):
            return {}
        return {str(name): value for name, value in found.items() if value is None or isinstance(value, str)}

    def _change_file(self, name: str, entry: dict[str, str | None] | None) -> None:
        """Write ``entry["value"]`` under ``name``; None takes the name out."""
        before = self._read_file()
        after: dict[str, Any] = {key: value for key, value in before.items() if key != name}
        if entry is not None:
            after[name] = entry["value"]
        if after != before:
            write_atomically(self._file, json.dumps(after, indent=2).encode() + b"\n")


def system_keyring() -> Keyring | None:
    """The system's keyring, or None where it has none that encrypts and answers.

    Refused: ``keyring``'s stand-ins that fail or forget, back ends that keep passwords as plain text, and any that does
    not answer within :data:`PROBE_TIMEOUT_S` (a D-Bus without anybody at its other end).
    """
    try:
        return within(PROBE_TIMEOUT_S, _find_keyring)
    except Exception as error:  # noqa: BLE001  # back ends raise what their D-Bus or system library raises
        _log.info("No keyring: %s", type(error).__name__)
        return None


def _find_keyring() -> Keyring | None:
    import keyring.backends.chainer
    import keyring.backends.fail
    import keyring.backends.null

    backend: Any = keyring.get_keyring()
    candidates = backend.backends if isinstance(backend, keyring.backends.chainer.ChainerBackend) else [backend]
    for candidate in candidates:
        if isinstance(candidate, (keyring.backends.fail.Keyring, keyring.backends.null.Keyring)):
            continue
        kind = f"{type(candidate).__module__}.{type(candidate).__name__}".lower()
        if candidate.priority <= 0 or "plaintext" in kind or kind.startswith("keyrings.alt."):
            continue
        candidate.get_password("PeerSky", "probe")
        return candidate  # type: ignore[no-any-return]
    return None


def within(timeout_s: float, work: Callable[[], _T]) -> _T:
    """Run ``work`` in a thread of its own and wait for it, but not longer than ``timeout_s``.

    The thread of a call that hangs is left behind; it ends with the process.

    Raises:
        TimeoutError: it took longer.
        Exception: what ``work`` raised.
    """
    outcome: list[tuple[_T | None, Exception | None]] = []

    def run() -> None:
        try:
            outcome.append((work(), None))
        except Exception as error:  # noqa: BLE001  # handed to the caller
            outcome.append((None, error))

    thread = threading.Thread(target=run, name="keyring", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not outcome:
        raise TimeoutError("The keyring did not answer.")
    value, error = outcome[0]
    if error is not None:
        raise error
    return value  # type: ignore[return-value]
