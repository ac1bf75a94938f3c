"""Base URLs: one spelling for each, and whose they are, by exact host."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peersky.core.base_url import candidates, parse_base_url, parse_ollama_url
from peersky.core.errors import SettingInvalid


@pytest.mark.parametrize(
    ("written", "base"),
    [
        ("https://openrouter.ai/api/v1/", "https://openrouter.ai/api/v1"),
        (" HTTPS://OpenRouter.AI:443/api/v1 ", "https://openrouter.ai/api/v1"),
        ("https://openrouter.ai/api/v1/chat/completions", "https://openrouter.ai/api/v1"),
        ("http://127.0.0.1:1234/v1//models/", "http://127.0.0.1:1234/v1"),
        ("http://127.0.0.1:1234", "http://127.0.0.1:1234"),
        ("http://0.0.0.0:8000/v1", "http://127.0.0.1:8000/v1"),
        ("http://[::]:8000/", "http://[::1]:8000"),
        ("https://x.example/V1", "https://x.example/V1"),
        ("https://x.example/a%20b/v1", "https://x.example/a%20b/v1"),
    ],
)
def test_one_spelling(written: str, base: str) -> None:
    assert str(parse_base_url(written)) == base


@pytest.mark.parametrize(
    ("written", "base"),
    [
        *[
            ("http://127.0.0.1:11434" + end, "http://127.0.0.1:11434")
            for end in ("", "/", "/v1", "/v1/", "/api", "/api/")
        ],
        ("http://127.0.0.1:11434/v1/chat/completions", "http://127.0.0.1:11434"),
        ("http://127.0.0.1:11434/api/chat", "http://127.0.0.1:11434"),
        ("https://home.example/ollama/v1", "https://home.example/ollama"),
    ],
)
def test_ollamas_own_api_lies_beside_v1(written: str, base: str) -> None:
    assert str(parse_ollama_url(written)) == base


@pytest.mark.parametrize(
    "written",
    [
        *["", "openrouter.ai", "//openrouter.ai", "file:///x", "javascript:1", "peersky://settings", "https://"],
        *[
            "https://key@openrouter.ai/",
            "https://user:key@x.example",
            "https://x.example:0x50",
            "https://x.example:99999",
        ],
        *[
            "https://x.example/v1?key=1",
            "https://x.example/v1#key",
            "https://x.example/v1 x",
            "https://x.example/../v1",
        ],
        *["https://x.example/v1\\x", "https://x.example/é", "https://пример.example"],
    ],
)
def test_what_is_no_base_url(written: str) -> None:
    with pytest.raises(SettingInvalid) as caught:
        parse_base_url(written)
    assert caught.value.param == "llm.baseURL"


@pytest.mark.parametrize(
    "look_alike",
    [
        *["https://openrouter.ai.evil.example/api/v1", "https://evil.example/openrouter.ai/api/v1"],
        *[
            "https://xopenrouter.ai/",
            "https://api.openrouter.ai/",
            "https://openrouter.ai:8443/",
            "http://openrouter.ai/",
        ],
        *["https://openrouter.ai./api/v1", "https://openrouter-ai.example/", "https://api.openai.com.evil.example/v1"],
    ],
)
def test_a_service_is_known_by_its_exact_origin(look_alike: str) -> None:
    base = parse_base_url(look_alike)
    assert not base.is_openrouter
    assert not base.is_openai


def test_the_services_that_are_known() -> None:
    for written in ("https://openrouter.ai", "https://openrouter.ai/api/v1/", "https://openrouter.ai/v1"):
        base = parse_base_url(written)
        assert base.is_openrouter
        assert [str(candidate) for candidate in candidates(base)] == ["https://openrouter.ai/api/v1"]
    base = parse_base_url("https://api.openai.com/")
    assert base.is_openai
    assert [str(candidate) for candidate in candidates(base)] == ["https://api.openai.com/v1"]


@pytest.mark.parametrize(
    ("written", "tried"),
    [
        ("http://127.0.0.1:1234", ["/v1", "", "/api/v1"]),
        ("http://127.0.0.1:1234/v1/", ["/v1"]),
        ("http://127.0.0.1:1234/api/v1", ["/api/v1"]),
        ("http://127.0.0.1:1234/api", ["/api/v1", "/api", "/api/api/v1"]),
        ("http://127.0.0.1:1234/v1beta/openai/", ["/v1beta/openai"]),
    ],
)
def test_where_the_api_may_be(written: str, tried: list[str]) -> None:
    assert [candidate.path for candidate in candidates(parse_base_url(written))] == tried


@pytest.mark.parametrize(
    ("host", "loopback", "private"),
    [
        *[(host, True, True) for host in ("127.0.0.1", "127.8.8.8", "localhost", "LOCALHOST", "[::1]", "0.0.0.0")],
        *[(host, False, True) for host in ("192.168.1.2", "10.0.0.1", "172.16.0.1", "100.64.0.1", "169.254.1.1")],
        *[(host, False, True) for host in ("[fe80::1]", "[fd00::1]", "nas", "nas.local", "box.lan", "x.home.arpa")],
        *[(host, False, False) for host in ("8.8.8.8", "[2001:4860:4860::8888]", "172.32.0.1", "224.0.0.1")],
        *[(host, False, False) for host in ("example.org", "localhost.example", "127.0.0.1.evil.example")],
        *[(host, False, False) for host in ("134744072", "0x08080808", "0x8.0x8.8.8", "127.1", "localhost.")],
        *[(host, False, False) for host in ("evil.example.local.", "[::ffff:8.8.8.8]", "xlocalhost.com")],
    ],
)
def test_how_far_a_question_goes(host: str, loopback: bool, private: bool) -> None:
    base = parse_base_url(f"http://{host}:8000/v1")
    assert (base.is_loopback, base.is_private, base.is_safe) == (loopback, private, private)
    assert parse_base_url(f"https://{host}:8000/v1").is_safe


@given(st.text(max_size=60))
def test_any_text_is_a_base_url_or_refused(text: str) -> None:
    for written in (text, f"https://{text}", f"https://x.example/{text}"):
        try:
            base = parse_base_url(written)
        except SettingInvalid:
            continue
        assert parse_base_url(str(base)).origin == base.origin
        assert all(candidate.origin == base.origin for candidate in candidates(base))
        assert base.url("/models").startswith(str(base.origin) + "/")


@given(
    st.sampled_from(["https://x.example", "http://127.0.0.1:8000"]),
    st.sampled_from(["/v1", "/api/v1", "/llm/v1"]),
    st.sampled_from(["", "/", "//", "/chat/completions", "/models", "/embeddings/"]),
)
def test_however_it_is_pasted_it_means_the_same(origin: str, path: str, pasted: str) -> None:
    assert str(parse_base_url(origin + path + pasted)) == origin + path
