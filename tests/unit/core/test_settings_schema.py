"""Settings: each declaration agrees with itself, and a wrong value is refused with the setting's name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peersky.core.errors import SettingInvalid
from peersky.core.settings_schema import (
    DEFAULT_OLLAMA_MODEL,
    OLLAMA_URL,
    SETTINGS,
    Setting,
    provider_for,
    setting,
)

EACH = pytest.mark.parametrize("declared", SETTINGS.values(), ids=list(SETTINGS))
WRONG: list[Any] = [None, {}, [1], [None], b"text", float("nan"), float("inf"), -(10**400), 10**400, object()]


@EACH
def test_the_default_passes_its_own_check(declared: Setting) -> None:
    assert declared.check(declared.default) == declared.default
    assert type(declared.check(declared.default)) is type(declared.default)


@EACH
def test_the_declaration_is_complete(declared: Setting) -> None:
    block, _, name = declared.key.partition(".")
    assert block
    assert name
    assert declared.description.endswith(".")
    if isinstance(declared.default, (int, float)) and not isinstance(declared.default, bool):
        assert declared.minimum is not None
        assert declared.maximum is not None
        assert declared.minimum <= declared.default <= declared.maximum


@EACH
def test_the_default_survives_being_typed(declared: Setting) -> None:
    default = declared.default
    typed = " ".join(default) if isinstance(default, list) else str(default)
    assert declared.parse(typed) == default


@EACH
@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:20])
def test_a_wrong_type_is_refused_with_the_name(declared: Setting, value: Any) -> None:
    with pytest.raises(SettingInvalid) as caught:
        declared.check(value)
    assert caught.value.param == declared.key
    assert declared.key in caught.value.message or declared.form


@EACH
@given(value=st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=3))
def test_any_value_is_taken_as_the_settings_type_or_refused(declared: Setting, value: Any) -> None:
    try:
        checked = declared.check(value)
    except SettingInvalid:
        return
    assert type(checked) is type(declared.default)
    assert declared.check(checked) == checked


@EACH
@given(text=st.text(max_size=40) | st.sampled_from(["inf", "nan", "1e999", "-0", "9" * 400, "0x10", "1_000", "٣"]))
def test_any_typed_text_is_a_value_or_refused(declared: Setting, text: str) -> None:
    try:
        checked = declared.parse(text)
    except SettingInvalid:
        return
    assert declared.check(checked) == checked


@pytest.mark.parametrize("key", [declared.key for declared in SETTINGS.values() if declared.minimum is not None])
def test_bounds_are_inclusive(key: str) -> None:
    declared = setting(key)
    low, high = declared.minimum, declared.maximum
    assert low is not None
    assert high is not None
    assert declared.check(low) == low
    assert declared.check(high) == high
    for outside in (low - 1, high + 1):
        with pytest.raises(SettingInvalid, match="between"):
            declared.check(outside)


@pytest.mark.parametrize("key", ["llm.contextLength", "llm.maxTokens", "llm.parallel", "llm.idleTimeout"])
@pytest.mark.parametrize("value", [True, 2.5, "1024", 1024.0])
def test_a_whole_number_is_no_bool_no_fraction_and_no_text(key: str, value: Any) -> None:
    with pytest.raises(SettingInvalid, match="whole number"):
        setting(key).check(value)


@pytest.mark.parametrize("value", [1, 0, "true", "false", None])
def test_a_flag_is_true_or_false_and_nothing_like_it(value: Any) -> None:
    with pytest.raises(SettingInvalid, match="true or false"):
        setting("llm.enabled").check(value)


@pytest.mark.parametrize(("text", "value"), [("on", True), ("Yes", True), ("1", True), (" OFF ", False), ("no", False)])
def test_a_flag_is_typed_in_words(text: str, value: bool) -> None:
    assert setting("llm.enabled").parse(text) is value


@pytest.mark.parametrize("value", ["gpt", "Ollama", " builtin", "openai\n"])
def test_a_choice_is_exact_and_the_refusal_lists_the_choices(value: str) -> None:
    with pytest.raises(SettingInvalid, match=r"\(empty\), ollama, builtin, openai"):
        setting("llm.provider").check(value)


@pytest.mark.parametrize(
    "value", ["", "localhost:11434", "file:///x", "javascript:alert(1)", "http://user:key@host/", "//x"]
)
def test_a_base_url_is_http_or_https_without_a_key_in_it(value: str) -> None:
    with pytest.raises(SettingInvalid, match="http"):
        setting("llm.baseURL").check(value)


@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        ("https://example.org", "https://example.org"),
        (" https://Example.ORG/ ", "https://example.org"),
        ("https://example.org:8443", "https://example.org:8443"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_an_allowlist_entry_is_kept_in_one_spelling(entry: str, kept: str) -> None:
    assert setting("trust.allowlist").check([entry]) == [kept]


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "*",
        "https://*",
        "https://*.example.org",
        "example.org",
        "null",
        "http://example.org",
        "http://localhost.evil.example",
        "http://localhost@evil.example",
        "https://example.org/path",
        "https://example.org?query",
        "https://user@example.org",
        "https://example.org:0x50",
        "hyper://key",
        "peersky://settings",
        "file://",
        "blob:https://example.org/1",
        "https://а.example",
        "https://example.org\x00",
    ],
)
def test_no_allowlist_entry_opens_more_than_one_safe_origin(entry: str) -> None:
    with pytest.raises(SettingInvalid) as caught:
        setting("trust.allowlist").check(["https://example.org", entry])
    assert caught.value.param == "trust.allowlist"


def test_an_unknown_key_is_refused_with_a_hint() -> None:
    with pytest.raises(SettingInvalid, match=r"Did you mean llm\.baseURL\?"):
        setting("llm.baseurl")
    with pytest.raises(SettingInvalid, match="lists them all"):
        setting("nonsense")


def test_only_the_key_is_secret() -> None:
    assert [declared.key for declared in SETTINGS.values() if declared.secret] == ["llm.apiKey"]


def test_the_documented_defaults() -> None:
    defaults = {key: declared.default for key, declared in SETTINGS.items()}
    assert defaults["llm.enabled"] is False
    assert defaults["llm.memoryEnabled"] is False
    assert defaults["llm.baseURL"] == OLLAMA_URL == "http://127.0.0.1:11434/"
    assert defaults["llm.apiKey"] == "ollama"
    assert defaults["llm.model"] == DEFAULT_OLLAMA_MODEL == "qwen2.5-coder:3b"
    assert defaults["trust.allowlist"] == ["https://agregore.mauve.moe"]


@pytest.mark.parametrize(
    ("provider", "base_url", "key", "expected"),
    [
        ("builtin", OLLAMA_URL, "ollama", "builtin"),
        ("openai", OLLAMA_URL, "ollama", "openai"),
        ("", OLLAMA_URL, "ollama", "ollama"),
        ("", "http://localhost:11434", "", "ollama"),
        ("", "http://192.168.1.9:11434/", "ollama", "ollama"),
        ("", "https://openrouter.ai/api/v1/", "sk-or-1", "openai"),
        ("", "https://openrouter.ai/api/v1/", "Ollama", "openai"),
        ("", "http://127.0.0.1:11434.evil.example/", "sk-1", "openai"),
        ("", "https://evil.example/?http://127.0.0.1:11434/", "sk-1", "openai"),
        ("", "http://127.0.0.1:11435/", "sk-1", "openai"),
        ("", "nonsense", "sk-1", "openai"),
    ],
)
def test_the_provider_follows_from_the_exact_address_and_the_key(
    provider: str, base_url: str, key: str, expected: str
) -> None:
    assert provider_for(provider, base_url, key) == expected


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("p2p.hyper.bootstrap", ["127.0.0.1:49737", "[::1]:1", "dht.example.org:49737"], ["127.0.0.1"]),
        ("p2p.hyper.bootstrap", [], ["http://127.0.0.1:1/"]),
        ("p2p.ipfs.peers", ["/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWabc", "/dnsaddr/example.org"], ["127.0.0.1:4001"]),
        ("p2p.ipfs.peers", [], ["/ip4/127.0.0.1/tcp/4001", "/ip4"]),
    ],
)
def test_addresses_of_peers(key: str, good: list[str], bad: list[str]) -> None:
    assert setting(key).check(good) == good
    with pytest.raises(SettingInvalid, match="addresses such as"):
        setting(key).check(bad)


def test_a_resolver_is_an_address_or_nothing() -> None:
    assert setting("p2p.dnsResolver").check("") == ""
    assert setting("p2p.dnsResolver").check("https://dns.example/dns-query") == "https://dns.example/dns-query"
    with pytest.raises(SettingInvalid, match="http"):
        setting("p2p.dnsResolver").check("1.1.1.1")
