"""The user's settings: a JSON file that people may edit by hand, read and written with care for what they wrote.

What is in ``settings.json`` stays there unless the user changes it: unknown keys are kept (and reported), a file or a
value that cannot be read is kept aside and reported. An API key found in the file is moved to the secret store. Only
values that somebody set are written, so new defaults reach everybody else.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from peersky.core.errors import SettingInvalid
from peersky.core.origins import parse_origin
from peersky.core.settings_schema import SETTINGS, Setting, Value, setting
from peersky.system.files import unusable, write_atomically
from peersky.system.secrets import SecretStore

_Signature = tuple[int, int, int]


class SettingsStore:
    """Reads and changes settings. Thread-safe.

    Args:
        file: ``settings.json``; need not exist.
        secrets: where settings that are secret are kept.

    Raises:
        ProfileUnusable: the file is there and cannot be read, or must be rewritten and cannot be.
    """

    def __init__(self, file: Path, secrets: SecretStore) -> None:
        self._file = file
        self._secrets = secrets
        self._lock = threading.RLock()
        self._raw: dict[str, Any] = {}
        self._values: dict[str, Value] = {}
        self._signature: _Signature | None = None
        self._subscribers: list[Callable[[frozenset[str]], None]] = []
        self.notices: list[str] = []
        """Sentences for the user about what was found wrong in the file."""
        self._load()

    def __repr__(self) -> str:
        return f"SettingsStore({str(self._file)!r}, {sorted(self._values)} stored)"

    @property
    def secrets_are_in(self) -> str:
        """Where a secret that is set now will be kept: ``keyring`` or ``file``."""
        return self._secrets.where

    def get(self, key: str) -> Value:
        """The value, or the default where none is stored.

        Raises:
            SettingInvalid: there is no such setting, or it is a secret (see :meth:`secret`).
        """
        declared = setting(key)
        if declared.secret:
            raise SettingInvalid(f"The setting {key} is a secret and is never shown.", param=key)
        with self._lock:
            return copy.copy(self._values.get(key, declared.default))

    def text(self, key: str) -> str:
        """The value of a setting that is a text."""
        value = self.get(key)
        assert isinstance(value, str), key
        return value

    def flag(self, key: str) -> bool:
        """The value of a setting that is true or false."""
        value = self.get(key)
        assert isinstance(value, bool), key
        return value

    def number(self, key: str) -> float:
        """The value of a setting that is a number."""
        value = self.get(key)
        assert isinstance(value, (int, float)), key
        return float(value)

    def whole(self, key: str) -> int:
        """The value of a setting that is a whole number."""
        value = self.get(key)
        assert isinstance(value, int), key
        return value

    def is_stored(self, key: str) -> bool:
        """Whether somebody set this, be it to the default.

        Raises:
            SettingInvalid: there is no such setting.
        """
        if setting(key).secret:
            return self._secrets.get(self._secret_name(key)) is not None
        with self._lock:
            return key in self._values

    def has_secret(self, key: str, address: str | None = None) -> bool:
        """Whether a secret is set (one that is not empty); ``address`` as for :meth:`secret`."""
        return bool(setting(key).secret and self._secrets.get(self._secret_name(key, address)))

    def secret(self, key: str, address: str | None = None) -> str:
        """A secret, or its default. For the code that sends it to its service, and nothing else.

        Args:
            address: where it is to be sent, for a secret that belongs to an address; None: to the stored one. Each
                origin has a secret of its own.
        """
        found = self._secrets.get(self._secret_name(key, address))
        return str(setting(key).default) if found is None else found

    def change(self, changes: Mapping[str, Any]) -> None:
        """Set several settings, all or none. None as a value goes back to the default.

        What was edited in the file meanwhile is read first, and kept.

        Raises:
            SettingInvalid: an unknown key or a refused value; nothing was changed.
            ProfileUnusable: the file cannot be written; nothing was changed.
        """
        checked = {key: _checked(setting(key), value) for key, value in changes.items()}
        plain = {key: value for key, value in checked.items() if not SETTINGS[key].secret}
        secret = {key: value for key, value in checked.items() if SETTINGS[key].secret}
        with self._lock:
            before = dict(self._values)
            if self._signature != self._on_disk():
                self._load()
            raw = copy.deepcopy(self._raw)
            for key, value in plain.items():
                _put(raw, key, value)
            # A key that comes together with an address is the key of that address.
            names = {key: self._secret_name(key, _address_in(plain, key)) for key in secret}
            old_secrets = {key: self._secrets.get(names[key]) for key in secret}
            try:
                for key, value in secret.items():
                    self._put_secret(key, names[key], value)
                if raw != self._raw:
                    self._write(raw)
            except BaseException:
                for key, old in old_secrets.items():
                    self._put_secret(key, names[key], old)
                raise
            self._raw = raw
            for key, value in plain.items():
                if value is None:
                    self._values.pop(key, None)
                else:
                    self._values[key] = value
            now = self._values
            changed = {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)}
            changed |= {key for key, old in old_secrets.items() if self._secrets.get(names[key]) != old}
            subscribers = list(self._subscribers)
        if changed:
            for subscriber in subscribers:
                subscriber(frozenset(changed))

    def subscribe(self, callback: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        """Call ``callback`` with the keys that changed, on the thread that changed them. Returns the way out."""
        with self._lock:
            self._subscribers.append(callback)

        def unsubscribe() -> None:
            with self._lock:
                if callback in self._subscribers:
                    self._subscribers.remove(callback)

        return unsubscribe

    def set_secret(self, key: str, address: str, value: str | None) -> None:
        """Set (None: forget) the secret that goes to an address which need not be the stored one.

        Raises:
            SettingInvalid: a refused value.
            ProfileUnusable: it cannot be stored.
        """
        checked = _checked(setting(key), value)
        with self._lock:
            name = self._secret_name(key, address)
            before = self._secrets.get(name)
            self._put_secret(key, name, checked)
            changed = name == self._secret_name(key) and self._secrets.get(name) != before
            subscribers = list(self._subscribers)
        if changed:
            for subscriber in subscribers:
                subscriber(frozenset({key}))

    def _secret_name(self, key: str, address: str | None = None) -> str:
        """Under which name a secret is kept: one for each origin that such a secret may be sent to."""
        belongs_to = setting(key).origin_of
        if not belongs_to:
            return key
        with self._lock:
            if address is None:
                address = str(self._values.get(belongs_to, SETTINGS[belongs_to].default))
        return f"{key} {parse_origin(address)}"

    def _put_secret(self, key: str, name: str, value: Value | None) -> None:
        # The default of a secret ("ollama") is none: storing it means having no key.
        if value is None or value == SETTINGS[key].default:
            self._secrets.delete(name)
        else:
            self._secrets.set(name, str(value))

    def _load(self) -> None:
        self._raw, self._values = {}, {}
        try:
            data = self._file.read_bytes()
        except FileNotFoundError:
            self._signature = None
            return
        except OSError as error:
            raise unusable(error, self._file, "read") from error
        self._signature = self._on_disk()
        try:
            raw = _parse(data)
        except (ValueError, RecursionError) as error:
            why = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else str(error)
            aside = self._keep_aside(data)
            try:
                self._file.unlink()
            except OSError as failure:
                raise unusable(failure, self._file) from failure
            self._signature = None
            self.notices.append(
                f"{self._file.name} was not valid ({why}): it is kept as {aside.name}, and the defaults are used."
            )
            return
        self._take(raw, data)

    def _take(self, raw: dict[str, Any], data: bytes) -> None:
        """Use a file that is JSON; ``data`` is the file as it was."""
        for key in [key for key in raw if key in SETTINGS]:
            # {"llm.enabled": true} is as clear as {"llm": {"enabled": true}}.
            _put(raw, key, raw.pop(key))
        _unnest(raw)
        without_secrets = copy.deepcopy(raw)
        wrong: list[str] = []
        secrets: dict[str, str] = {}
        for key, value in _entries(raw):
            declared = SETTINGS.get(key)
            if declared is None:
                self._say_unknown(key, value, wrong)
                continue
            try:
                checked = declared.check(value)
            except SettingInvalid as error:
                wrong.append(error.message)
                _put(raw, key, None)
                continue
            if declared.secret:
                secrets[key] = str(checked).strip()
                _put(raw, key, None)
                _put(without_secrets, key, None)
            else:
                self._values[key] = checked
        for block in {key.split(".")[0] for key in SETTINGS}:
            if block in raw and not isinstance(raw[block], dict):
                del raw[block]
        if wrong:
            hidden = json.dumps(without_secrets, indent=2, ensure_ascii=False).encode("utf-8", "replace")
            aside = self._keep_aside(data if without_secrets == _parse(data) else hidden)
            self.notices += [f"{sentence} The default is used." for sentence in wrong]
            self.notices.append(f"{self._file.name} as it was is kept as {aside.name}.")
        for key, value in secrets.items():
            self._put_secret(key, self._secret_name(key), value)
            self.notices.append(f"The {key} in {self._file.name} was moved to the {_PLACE[self._secrets.where]}.")
        if wrong or secrets:
            self._write(raw)
        self._raw = raw

    def _say_unknown(self, key: str, value: Any, wrong: list[str]) -> None:
        if "." not in key and any(known.startswith(f"{key}.") for known in SETTINGS):
            wrong.append(f"The block {key} in {self._file.name} must be an object.")
        else:
            self.notices.append(
                f"{self._file.name} holds {key}, which this version of PeerSky does not know; it is kept as it is."
            )

    def _keep_aside(self, data: bytes) -> Path:
        number = 1
        while (aside := self._file.with_name(f"{self._file.name}.bad-{number}")).exists():
            number += 1
        write_atomically(aside, data)
        return aside

    def _write(self, raw: dict[str, Any]) -> None:
        try:
            data = json.dumps(raw, indent=2, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            # Half a surrogate pair, an escape in the file. As bytes it would make the next start refuse all of it.
            data = json.dumps(raw, indent=2).encode()
        write_atomically(self._file, data + b"\n")
        self._signature = self._on_disk()

    def _on_disk(self) -> _Signature | None:
        try:
            status = self._file.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


_PLACE = {"keyring": "system's keyring", "file": "file of secrets, which only you may read"}


def _address_in(changes: Mapping[str, Value | None], key: str) -> str | None:
    """The address that a secret belongs to, where the same changes set it."""
    belongs_to = SETTINGS[key].origin_of
    if belongs_to not in changes:
        return None
    value = changes[belongs_to]
    return str(SETTINGS[belongs_to].default if value is None else value)


def _checked(declared: Setting, value: Any) -> Value | None:
    if value is None:
        return None
    checked = declared.check(value)
    # A key is pasted or piped, often with a line end that no service would accept.
    return str(checked).strip() if declared.secret else checked


def _parse(data: bytes) -> dict[str, Any]:
    def refuse(name: str) -> Any:
        raise ValueError(f"it holds {name}, which is no JSON")

    found = json.loads(data.decode("utf-8-sig"), parse_constant=refuse)
    if not isinstance(found, dict):
        raise ValueError("it must be an object with blocks such as llm")  # noqa: TRY004  # what json raises, too
    return found


def _entries(raw: dict[str, Any]) -> list[tuple[str, Any]]:
    """All values with their dotted keys; a block that is no object under its own name."""
    found: list[tuple[str, Any]] = []
    for block, content in raw.items():
        if isinstance(content, dict):
            found += [(f"{block}.{name}", value) for name, value in content.items()]
        else:
            found.append((block, content))
    return found


def _unnest(raw: dict[str, Any]) -> None:
    """Take ``{"p2p": {"ipfs": {"backend": …}}}`` as ``{"p2p": {"ipfs.backend": …}}``, for settings that are known."""
    for block, content in raw.items():
        if not isinstance(content, dict):
            continue
        for name, inner in list(content.items()):
            known = [key for key in inner if f"{block}.{name}.{key}" in SETTINGS] if isinstance(inner, dict) else []
            for key in known:
                content[f"{name}.{key}"] = inner.pop(key)
            if known and not inner:
                del content[name]


def _put(raw: dict[str, Any], key: str, value: Any) -> None:
    """Set the value of a dotted key in the nested object; None takes it out, and its block when that becomes empty."""
    block, _, name = key.partition(".")
    content = raw.get(block)
    if value is None:
        if isinstance(content, dict):
            content.pop(name, None)
            if not content:
                del raw[block]
    elif isinstance(content, dict):
        content[name] = value
    else:
        raw[block] = {name: value}
