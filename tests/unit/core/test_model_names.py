"""Names of models: what they mean, and that none of them leads anywhere else."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from peersky.core.errors import InvalidRequest
from peersky.core.model_names import ModelName, is_loopback, name_from_path, parse_model_name

MEANINGS = {
    "llama3": ("https", "registry.ollama.ai", "library", "llama3", "latest"),
    "qwen2.5-coder:3b": ("https", "registry.ollama.ai", "library", "qwen2.5-coder", "3b"),
    " mistral:7b-instruct-q4_K_M\n": ("https", "registry.ollama.ai", "library", "mistral", "7b-instruct-q4_K_M"),
    "user/model": ("https", "registry.ollama.ai", "user", "model", "latest"),
    "Example.ORG/ns/m:T": ("https", "example.org", "ns", "m", "T"),
    "example.org:5000/ns/m": ("https", "example.org:5000", "ns", "m", "latest"),
    "https://example.org/ns/m:t": ("https", "example.org", "ns", "m", "t"),
    "localhost:5000/ns/m:t": ("http", "localhost:5000", "ns", "m", "t"),
    "127.0.0.1:5000/library/m": ("http", "127.0.0.1:5000", "library", "m", "latest"),
    "http://127.1.2.3/ns/m": ("http", "127.1.2.3", "ns", "m", "latest"),
    "https://localhost/ns/m": ("https", "localhost", "ns", "m", "latest"),
    "hf.co/user/Repo-GGUF": ("https", "hf.co", "user", "Repo-GGUF", "latest"),
    "huggingface.co/some.user/Repo:Q4_K_M": ("https", "hf.co", "some.user", "Repo", "Q4_K_M"),
    "https://huggingface.co/user/Repo": ("https", "hf.co", "user", "Repo", "latest"),
    "hf.co/user/Repo:model.Q8_0.gguf": ("https", "hf.co", "user", "Repo", "model.Q8_0.gguf"),
}


@pytest.mark.parametrize("text", MEANINGS)
def test_what_a_name_means(text: str) -> None:
    name = parse_model_name(text)
    assert (name.scheme, name.host, name.namespace, name.model, name.tag) == MEANINGS[text]


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("registry.ollama.ai/library/llama3:latest", "llama3:latest"),
        ("library/llama3", "llama3:latest"),
        ("user/m:1b", "user/m:1b"),
        ("https://example.org/ns/m", "example.org/ns/m:latest"),
        ("http://localhost:1/ns/m", "localhost:1/ns/m:latest"),
        ("https://localhost/ns/m", "https://localhost/ns/m:latest"),
        ("huggingface.co/u/r", "hf.co/u/r"),
        ("huggingface.co/u/r:Q8_0", "hf.co/u/r:Q8_0"),
    ],
)
def test_the_shortest_form(text: str, short: str) -> None:
    assert str(parse_model_name(text)) == short
    assert parse_model_name(short) == parse_model_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ":",
        "a:",
        ":b",
        "/",
        "a/",
        "/a",
        "a//b",
        "..",
        "../a",
        "a/..",
        "a/../b",
        "h/../m",
        "../../m:t",
        ".hidden",
        "a:b:c",
        "a:..",
        "a:t/..",
        "a/b/c/d",
        "a b",
        "a\nb",
        "a\x00b",
        "ü",
        "a:ü",
        "-a",
        "a\\b",
        "C:\\m",
        "%2e%2e",
        "a?b",
        "a#b",
        "user@host/ns/m",
        "host:0/ns/m",
        "host:99999/ns/m",
        "host:x/ns/m",
        "[::1]/ns/m",
        "ho st/ns/m",
        "-h/ns/m",
        "h-/ns/m",
        "ftp://h/ns/m",
        "file:///etc/passwd",
        "https://m",
        "https://ns/m",
        "javascript:alert(1)//",
        "hf.co/repo",
        "huggingface.co/repo:Q4",
        "a" * 81,
        "n" * 81 + "/m",
        "m:" + "t" * 81,
        "x" * 5000,
    ],
)
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_model_name(text)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    "host",
    ["example.org", "192.168.1.5:5000", "10.0.0.1", "127.0.0.1.evil.example", "localhost.evil.example", "128.0.0.1"],
)
def test_plain_http_is_for_this_machine(host: str) -> None:
    with pytest.raises(InvalidRequest, match="without encryption"):
        parse_model_name(f"http://{host}/ns/m")
    assert parse_model_name(f"{host}/ns/m").scheme == "https"


@given(st.text(max_size=60) | st.text("ab/:.-_0h~\\%@", max_size=30))
@example("a/b:c")
@example("localhost:1/a/b:c")
def test_any_text_is_a_safe_name_or_none(text: str) -> None:
    try:
        name = parse_model_name(text)
    except InvalidRequest:
        return
    for part in name.path_parts:
        assert part not in (".", "..")
        assert PurePosixPath(part).parts == (part,)
        assert PureWindowsPath(part).parts == (part,)
        assert not part.startswith((".", "-"))
    parts = urlsplit(name.manifest_url)
    assert parts.netloc == name.host
    assert parts.path == f"/v2/{name.namespace}/{name.model}/manifests/{name.tag}"
    assert (parts.query, parts.fragment, parts.username) == ("", "", None)
    assert parts.scheme == "https" or is_loopback(name.host)
    assert parse_model_name(str(name)) == name


NAMES = st.builds(
    lambda host, namespace, model, tag: f"{host}{namespace}/{model}:{tag}",
    st.sampled_from(["", "example.org/", "localhost:8080/", "hf.co/", "127.0.0.1:1/"]),
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,20}", fullmatch=True).filter(lambda text: text.lower() != "hf"),
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True),
)


@given(NAMES)
def test_a_path_tells_the_name(text: str) -> None:
    name = parse_model_name(text)
    assert name_from_path(name.path_parts) == name
    assert name.is_same(parse_model_name(text.upper().replace("LOCALHOST", "localhost")))


@pytest.mark.parametrize(
    "parts", [("a",), ("..", "a", "b", "c"), ("h", "n", "m", ".tmp"), ("H", "n", "m", "t"), ("h", "n", "m", "t", "x")]
)
def test_other_paths_tell_none(parts: tuple[str, ...]) -> None:
    assert name_from_path(parts) is None


def test_where_files_are() -> None:
    name = parse_model_name("localhost:5000/ns/m:t")
    assert name == ModelName("http", "localhost:5000", "ns", "m", "t")
    assert name.path_parts == ("localhost+5000", "ns", "m", "t")
    assert name.blob_url("sha256:ab") == "http://localhost:5000/v2/ns/m/blobs/sha256:ab"
