"""API keys: in the keyring where one answers, else in a private file; the newer value wins."""

from __future__ import annotations

import json
import stat
import threading
from pathlib import Path

import keyring.backend
import keyring.backends.fail
import keyring.backends.null
import pytest

from peersky.system import secrets
from peersky.system.secrets import SecretStore, system_keyring, within

KEY = "sk-or-very-secret"


class MemoryKeyring(keyring.backend.KeyringBackend):
    """A keyring that works, through the library's own class."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}
        self.reads = 0
        self.broken = False

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        self.reads += 1
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        del self.entries[service, username]

    def _check(self) -> None:
        if self.broken:
            raise RuntimeError("the D-Bus connection was closed")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secrets.json"


def test_the_file_is_private_and_keeps_the_secret(file: Path) -> None:
    SecretStore(file).set("llm.apiKey", KEY)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    store = SecretStore(file)
    assert store.get("llm.apiKey") == KEY
    assert store.where == "file"


def test_what_is_not_there_is_none(file: Path) -> None:
    store = SecretStore(file)
    assert store.get("llm.apiKey") is None
    store.delete("llm.apiKey")
    assert not file.exists()


def test_a_deleted_secret_is_gone_from_the_file(file: Path) -> None:
    store = SecretStore(file)
    store.set("llm.apiKey", KEY)
    store.delete("llm.apiKey")
    assert store.get("llm.apiKey") is None
    assert KEY not in file.read_text()
    assert SecretStore(file).get("llm.apiKey") is None


def test_repr_shows_no_secret(file: Path) -> None:
    store = SecretStore(file)
    store.set("llm.apiKey", KEY)
    assert KEY not in repr(store)


def test_a_keyring_is_used_and_no_file_written(file: Path) -> None:
    ring = MemoryKeyring()
    store = SecretStore(file, lambda: ring)
    store.set("llm.apiKey", KEY)
    assert store.where == "keyring"
    assert list(ring.entries.values()) == [KEY]
    assert not file.exists()
    assert SecretStore(file, lambda: ring).get("llm.apiKey") == KEY
    store.delete("llm.apiKey")
    assert ring.entries == {}


def test_the_keyring_is_asked_once_for_each_secret(file: Path) -> None:
    ring = MemoryKeyring()
    store = SecretStore(file, lambda: ring)
    for _ in range(5):
        store.get("llm.apiKey")
    assert ring.reads == 1


def test_profiles_are_apart_in_one_keyring(tmp_path: Path) -> None:
    ring = MemoryKeyring()
    one, other = (SecretStore(tmp_path / name / "secrets.json", lambda: ring) for name in "ab")
    one.set("llm.apiKey", KEY)
    assert other.get("llm.apiKey") is None


@pytest.mark.fault("A keyring that breaks")
def test_a_keyring_that_breaks_is_replaced_by_the_file(file: Path) -> None:
    ring = MemoryKeyring()
    store = SecretStore(file, lambda: ring)
    store.set("llm.apiKey", "old")
    ring.broken = True
    store.set("llm.apiKey", KEY)
    assert store.where == "file"
    assert store.get("llm.apiKey") == KEY
    # The keyring is back, with the old value: what the user set last still counts…
    ring.broken = False
    again = SecretStore(file, lambda: ring)
    assert again.get("llm.apiKey") == KEY
    # …and setting it anew takes it out of the file.
    again.set("llm.apiKey", "newest")
    assert json.loads(file.read_text()) == {}
    assert SecretStore(file, lambda: ring).get("llm.apiKey") == "newest"


def test_a_secret_that_was_deleted_without_its_keyring_stays_deleted(file: Path) -> None:
    ring = MemoryKeyring()
    store = SecretStore(file, lambda: ring)
    store.set("llm.apiKey", KEY)
    ring.broken = True
    store.delete("llm.apiKey")
    ring.broken = False
    assert SecretStore(file, lambda: ring).get("llm.apiKey") is None


def test_a_file_that_is_no_json_is_kept(file: Path) -> None:
    file.write_text(f"llm.apiKey = {KEY}")
    store = SecretStore(file)
    assert store.get("llm.apiKey") is None
    store.set("llm.apiKey", "new")
    assert KEY in file.with_name("secrets.json.bad").read_text()


def test_a_call_that_hangs_is_left_behind() -> None:
    never = threading.Event()
    with pytest.raises(TimeoutError):
        within(0.05, never.wait)
    never.set()


def test_a_call_that_fails_fails_here() -> None:
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)


@pytest.mark.parametrize("stand_in", [keyring.backends.fail.Keyring, keyring.backends.null.Keyring])
def test_stand_ins_are_no_keyring(
    monkeypatch: pytest.MonkeyPatch, stand_in: type[keyring.backend.KeyringBackend]
) -> None:
    monkeypatch.setattr(keyring, "get_keyring", stand_in)
    assert system_keyring() is None


def test_plain_text_is_no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    class PlaintextKeyring(MemoryKeyring):
        priority = 0.5  # type: ignore[assignment]

    monkeypatch.setattr(keyring, "get_keyring", PlaintextKeyring)
    assert system_keyring() is None


@pytest.mark.fault("A keyring that hangs")
def test_a_keyring_that_hangs_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    class HangingKeyring(MemoryKeyring):
        def get_password(self, service: str, username: str) -> str | None:
            never.wait()
            return None

    monkeypatch.setattr(keyring, "get_keyring", HangingKeyring)
    monkeypatch.setattr(secrets, "PROBE_TIMEOUT_S", 0.05)
    assert system_keyring() is None
    never.set()


def test_a_keyring_that_works_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = MemoryKeyring()
    monkeypatch.setattr(keyring, "get_keyring", lambda: ring)
    assert system_keyring() is ring
