"""Settings in a file that people edit: accepted as written, never overwritten silently, keys moved out."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from peersky.core.errors import ProfileUnusable, SettingInvalid
from peersky.core.settings_schema import SETTINGS
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore

DOCUMENTED = """{
  "llm": {
    "enabled": true,
    "baseURL": "https://openrouter.ai/api/v1/",
    "apiKey": "sk-or-0123456789",
    "model": "anthropic/claude-4.5-sonnet"
  }
}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.json"


def open_store(file: Path) -> SettingsStore:
    return SettingsStore(file, SecretStore(file.with_name("secrets.json")))


def written(file: Path) -> Any:
    return json.loads(file.read_text())


def test_without_a_file_all_is_default_and_nothing_is_written(file: Path) -> None:
    store = open_store(file)
    for key, declared in SETTINGS.items():
        assert not store.is_stored(key)
        if not declared.secret:
            assert store.get(key) == declared.default
    assert store.notices == []
    assert not file.exists()


def test_the_documented_block_is_accepted_as_written(file: Path) -> None:
    file.write_text(DOCUMENTED)
    store = open_store(file)
    assert store.flag("llm.enabled") is True
    assert store.text("llm.baseURL") == "https://openrouter.ai/api/v1/"
    assert store.text("llm.model") == "anthropic/claude-4.5-sonnet"
    assert store.secret("llm.apiKey") == "sk-or-0123456789"
    assert store.has_secret("llm.apiKey")


def test_a_key_in_the_file_is_moved_to_the_secret_store(file: Path) -> None:
    file.write_text(DOCUMENTED)
    file.chmod(0o644)
    notices = open_store(file).notices
    assert written(file) == {
        "llm": {
            "enabled": True,
            "baseURL": "https://openrouter.ai/api/v1/",
            "model": "anthropic/claude-4.5-sonnet",
        }
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry for entry in file.parent.iterdir() if "sk-or" in entry.read_text()] == [
        file.with_name("secrets.json")
    ]
    assert notices == ["The llm.apiKey in settings.json was moved to the file of secrets, which only you may read."]
    assert open_store(file).notices == []
    assert open_store(file).secret("llm.apiKey") == "sk-or-0123456789"


def test_the_word_ollama_is_no_secret(file: Path) -> None:
    file.write_text('{"llm": {"apiKey": "ollama", "baseURL": "http://127.0.0.1:11434/"}}')
    store = open_store(file)
    assert not store.has_secret("llm.apiKey")
    assert store.secret("llm.apiKey") == "ollama"


def test_a_value_that_equals_the_default_is_a_choice_all_the_same(file: Path) -> None:
    file.write_text('{"llm": {"baseURL": "http://127.0.0.1:11434/"}}')
    assert open_store(file).is_stored("llm.baseURL")


def test_only_what_was_set_is_written(file: Path) -> None:
    open_store(file).change({"llm.enabled": True})
    assert written(file) == {"llm": {"enabled": True}}


def test_a_change_survives(file: Path) -> None:
    open_store(file).change({"llm.enabled": True, "llm.idleTimeout": 30, "trust.allowlist": []})
    store = open_store(file)
    assert store.flag("llm.enabled")
    assert store.whole("llm.idleTimeout") == 30
    assert store.get("trust.allowlist") == []
    assert store.number("llm.temperature") == 0.7


def test_none_goes_back_to_the_default(file: Path) -> None:
    store = open_store(file)
    store.change({"llm.enabled": True, "llm.apiKey": "sk-1234"})
    store.change({"llm.enabled": None, "llm.apiKey": None})
    assert not store.is_stored("llm.enabled")
    assert not store.has_secret("llm.apiKey")
    assert written(file) == {}


def test_several_changes_are_made_together_or_not_at_all(file: Path) -> None:
    store = open_store(file)
    with pytest.raises(SettingInvalid, match=r"llm\.idleTimeout must be between") as refused:
        store.change({"llm.enabled": True, "llm.apiKey": "sk-1234", "llm.idleTimeout": 1})
    assert refused.value.param == "llm.idleTimeout"
    assert not store.flag("llm.enabled")
    assert not store.has_secret("llm.apiKey")
    assert not file.exists()


def test_unknown_settings_are_refused(file: Path) -> None:
    store = open_store(file)
    with pytest.raises(SettingInvalid, match=r"There is no setting 'llm\.nonsense'"):
        store.change({"llm.nonsense": 1})
    with pytest.raises(SettingInvalid, match=r"Did you mean llm\.model"):
        store.get("model")


def test_a_secret_is_not_got_like_a_value(file: Path) -> None:
    with pytest.raises(SettingInvalid, match="is a secret"):
        open_store(file).get("llm.apiKey")


def test_a_secret_loses_the_line_end_that_came_with_it(file: Path) -> None:
    store = open_store(file)
    store.change({"llm.apiKey": "sk-1234\n"})
    assert store.secret("llm.apiKey") == "sk-1234"


def test_unknown_keys_are_kept_and_said(file: Path) -> None:
    file.write_text('{"llm": {"future": [1, 2]}, "sync": {"on": true}, "note": "mine"}')
    store = open_store(file)
    assert len(store.notices) == 3
    assert "holds llm.future, which this version of PeerSky does not know" in store.notices[0]
    store.change({"llm.enabled": True})
    assert written(file) == {
        "llm": {"future": [1, 2], "enabled": True},
        "sync": {"on": True},
        "note": "mine",
    }


def test_dotted_keys_are_understood_too(file: Path) -> None:
    file.write_text('{"llm.enabled": true, "llm.apiKey": "sk-1234"}')
    store = open_store(file)
    assert store.flag("llm.enabled")
    assert store.secret("llm.apiKey") == "sk-1234"
    assert "sk-1234" not in file.read_text()


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"",
        b"[]",
        b"null",
        b"{'llm': {}}",
        b'{"llm": {"enabled": true,}}',
        b"\xff\xfe{}",
        b'{"llm": {"temperature": NaN}}',
        b"[" * 100_000,
    ],
)
def test_a_file_that_is_no_json_object_is_kept_aside_and_said(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    store = open_store(file)
    assert file.with_name("settings.json.bad-1").read_bytes() == content
    assert not file.exists()
    assert "is kept as settings.json.bad-1" in store.notices[0]
    assert store.flag("llm.enabled") is False
    store.change({"llm.enabled": True})
    assert file.with_name("settings.json.bad-1").read_bytes() == content


def test_each_bad_file_is_kept(file: Path) -> None:
    for content in ("{1", "{2"):
        file.write_text(content)
        open_store(file)
    assert file.with_name("settings.json.bad-1").read_text() == "{1"
    assert file.with_name("settings.json.bad-2").read_text() == "{2"


def test_a_byte_order_mark_is_no_fault(file: Path) -> None:
    file.write_bytes(b'\xef\xbb\xbf{"llm": {"enabled": true}}')
    store = open_store(file)
    assert store.flag("llm.enabled")
    assert store.notices == []


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ({"llm": {"enabled": "yes"}}, "The setting llm.enabled must be true or false."),
        ({"llm": {"enabled": None}}, "The setting llm.enabled must be true or false."),
        ({"llm": {"idleTimeout": "10"}}, "The setting llm.idleTimeout must be a whole number."),
        ({"llm": {"baseURL": "ftp://x/"}}, "The setting llm.baseURL must be an address"),
        ({"llm": {"apiKey": 5}}, "The setting llm.apiKey must be a text."),
        ({"llm": 5}, "The block llm in settings.json must be an object."),
        ({"trust": {"allowlist": ["http://plain.example"]}}, "'http://plain.example' must use https"),
    ],
)
def test_a_wrong_value_is_kept_aside_and_the_others_count(file: Path, block: dict[str, Any], sentence: str) -> None:
    content = {**block, "browser": {"colorScheme": "dark"}}
    file.write_text(json.dumps(content))
    store = open_store(file)
    assert store.text("browser.colorScheme") == "dark"
    assert store.flag("llm.enabled") is False
    assert sentence in store.notices[0]
    assert written(file.with_name("settings.json.bad-1")) == content
    assert written(file)["browser"] == {"colorScheme": "dark"}
    assert open_store(file).notices == []


def test_no_key_gets_into_the_file_that_is_kept_aside(file: Path) -> None:
    file.write_text('{"llm": {"enabled": "yes", "apiKey": "sk-1234"}}')
    store = open_store(file)
    assert store.secret("llm.apiKey") == "sk-1234"
    assert written(file.with_name("settings.json.bad-1")) == {"llm": {"enabled": "yes"}}


def test_an_edit_by_hand_meanwhile_is_kept(file: Path) -> None:
    store = open_store(file)
    store.change({"llm.enabled": True})
    file.write_text('{"llm": {"enabled": true, "model": "by-hand"}, "mine": {"a": 1}}')
    seen: list[frozenset[str]] = []
    store.subscribe(seen.append)
    store.change({"llm.parallel": 3})
    assert written(file) == {"llm": {"enabled": True, "model": "by-hand", "parallel": 3}, "mine": {"a": 1}}
    assert store.text("llm.model") == "by-hand"
    assert seen == [{"llm.parallel", "llm.model"}]


def test_subscribers_learn_what_changed_and_nothing_else(file: Path) -> None:
    store = open_store(file)
    seen: list[frozenset[str]] = []
    unsubscribe = store.subscribe(seen.append)
    store.change({"llm.enabled": True, "llm.apiKey": "sk-1234"})
    store.change({"llm.enabled": True})
    unsubscribe()
    store.change({"llm.enabled": False})
    assert seen == [{"llm.enabled", "llm.apiKey"}]


def test_a_subscriber_may_read_and_change(file: Path) -> None:
    store = open_store(file)

    def follow(keys: frozenset[str]) -> None:
        if "llm.enabled" in keys:
            store.change({"llm.model": "m" if store.flag("llm.enabled") else "n"})

    store.subscribe(follow)
    store.change({"llm.enabled": True})
    assert store.text("llm.model") == "m"


def test_threads_lose_no_change(file: Path) -> None:
    store = open_store(file)
    keys = ["llm.parallel", "llm.idleTimeout", "llm.contextLength", "llm.maxTokens"]

    def work(key: str) -> None:
        for number in range(10):
            store.change({key: 600 + number if key != "llm.parallel" else 1 + number})

    threads = [threading.Thread(target=work, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert written(file)["llm"] == {
        "parallel": 10,
        "idleTimeout": 609,
        "contextLength": 609,
        "maxTokens": 609,
    }


def test_a_list_that_was_read_can_be_changed_without_harm(file: Path) -> None:
    store = open_store(file)
    allowlist = store.get("trust.allowlist")
    assert isinstance(allowlist, list)
    allowlist.append("https://evil.example")
    assert store.get("trust.allowlist") == ["https://agregore.mauve.moe"]


@pytest.mark.fault("Settings cannot be written")
def test_a_file_that_cannot_be_written_changes_nothing(file: Path) -> None:
    """A limit of the file size stands in for the full disk: the write fails in the middle either way."""
    store = open_store(file)
    store.change({"llm.model": "old"})
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from peersky.system.secrets import SecretStore; from peersky.system.settings_store import SettingsStore\n"
        "file = Path(sys.argv[1])\n"
        "store = SettingsStore(file, SecretStore(file.with_name('secrets.json')))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))\n"
        "try: store.change({'llm.apiKey': 'sk-1234', 'llm.model': 'm' * 300})\n"
        "except Exception as error: print(type(error).__name__, store.text('llm.model'), "
        "store.has_secret('llm.apiKey'))\n"
    )
    outcome = subprocess.run([sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=True)
    assert outcome.stdout == "ProfileUnusable old False\n"
    assert written(file) == {"llm": {"model": "old"}}


def test_a_directory_in_the_place_of_the_file_is_said(file: Path) -> None:
    file.mkdir()
    with pytest.raises(ProfileUnusable, match="there is a directory where a file belongs"):
        open_store(file)


# --- a key belongs to an origin


def test_the_key_of_one_origin_is_never_that_of_another(tmp_path: Path) -> None:
    store = open_store(tmp_path / "settings.json")
    store.change({"llm.baseURL": "https://openrouter.ai/api/v1/", "llm.apiKey": "sk-or-1234"})
    assert store.secret("llm.apiKey") == "sk-or-1234"
    for look_alike in (
        "https://openrouter.ai.evil.example/api/v1/",
        "https://evil.example/?openrouter.ai",
        "https://openrouter.ai:8443/api/v1/",
        "http://openrouter.ai/api/v1/",
        "https://user@openrouter.ai/api/v1/",
        "https://sub.openrouter.ai/",
    ):
        assert store.secret("llm.apiKey", look_alike) == "ollama", look_alike
        assert not store.has_secret("llm.apiKey", look_alike)
    store.change({"llm.baseURL": "https://api.example/v1"})
    assert store.secret("llm.apiKey") == "ollama"
    assert not store.has_secret("llm.apiKey")
    store.change({"llm.baseURL": "https://openrouter.ai"})
    assert store.secret("llm.apiKey") == "sk-or-1234"


def test_an_address_changed_by_hand_does_not_take_the_key_along(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    open_store(file).change({"llm.baseURL": "https://openrouter.ai/api/v1/", "llm.apiKey": "sk-or-1234"})
    file.write_text(file.read_text().replace("openrouter.ai", "evil.example"))
    assert open_store(file).secret("llm.apiKey") == "ollama"


def test_a_key_for_an_address_that_is_not_stored_yet(tmp_path: Path) -> None:
    store = open_store(tmp_path / "settings.json")
    seen: list[frozenset[str]] = []
    store.subscribe(seen.append)
    store.set_secret("llm.apiKey", "https://api.example/v1", " sk-5678\n")
    assert (store.secret("llm.apiKey"), seen) == ("ollama", [])
    assert store.secret("llm.apiKey", "https://api.example") == "sk-5678"
    store.set_secret("llm.apiKey", "http://127.0.0.1:11434", "sk-local")
    assert seen == [frozenset({"llm.apiKey"})]
    store.set_secret("llm.apiKey", "https://api.example/v1", None)
    assert not store.has_secret("llm.apiKey", "https://api.example")


def test_a_block_within_a_block_is_taken_as_it_is_meant(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"p2p": {"ipfs": {"backend": "kubo", "else": 1}, "hyper": {"port": 4000}}}', encoding="utf-8")
    store = SettingsStore(file, SecretStore(tmp_path / "secrets.json"))
    assert (store.text("p2p.ipfs.backend"), store.whole("p2p.hyper.port")) == ("kubo", 4000)
    assert [notice for notice in store.notices if "p2p.ipfs" in notice], "what is not known is said"
    store.change({"p2p.ipfs.backend": None})
    assert json.loads(file.read_text("utf-8")) == {"p2p": {"ipfs": {"else": 1}, "hyper.port": 4000}}


def test_half_a_character_in_the_file_costs_no_setting(file: Path) -> None:
    """Found by tests/fuzz: a change wrote it as bytes, which the next start took for damage of the whole file."""
    file.write_text(r'{"llm": {"model": "\ud83d:1b"}, "other": {"\udc00": 1}}', encoding="ascii")
    open_store(file).change({"llm.maxTokens": 77})
    again = open_store(file)
    assert (again.whole("llm.maxTokens"), again.text("llm.model")) == (77, "\ud83d:1b")
    assert written(file)["other"] == {"\udc00": 1}
