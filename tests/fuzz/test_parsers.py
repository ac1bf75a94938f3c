"""Any bytes to everything that reads what others wrote. SSE, NDJSON, manifests, GGUF heads, model names and single
settings have such tests beside their own; here is the rest."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peersky.core.address import connection_of, display_address, resolve
from peersky.core.chat import ChatChunk, parse_chat_request
from peersky.core.errors import InvalidRequest, PeerSkyError, ProfileUnusable
from peersky.core.origins import parse_origin
from peersky.core.settings_schema import SETTINGS
from peersky.llm.ollama_wire import OllamaStream
from peersky.llm.openai_stream import OpenAIStream
from peersky.system.permissions import SitePermissions
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from peersky.web.asker import Asker, with_asker
from peersky.web.p2p_request import P2PRequest, parse_p2p_request
from peersky.web.uploads import UploadSessions
from tests.asgi.client import AsgiClient

EXAMPLES: Final = 20_000 if os.environ.get("PEERSKY_LONG") else 100
fuzz = settings(
    max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
pytestmark = pytest.mark.timeout(3600)

KEY: Final = "y" * 52
CID: Final = "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"
P2P: Final = Asker(parse_origin("peersky://p2p"), parse_origin("peersky://p2p"), "xhr")

text = st.text(max_size=30)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | text
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=8
)


def reads_well(error: PeerSkyError) -> None:
    """A refusal is a sentence."""
    assert error.message.endswith((".", "!", "?", ")")), error.message


# --- the profile's files, which people edit and disks damage

blocks = sorted({key.partition(".")[0] for key in SETTINGS})
setting_names = st.sampled_from(sorted(SETTINGS)) | st.sampled_from([key.partition(".")[2] for key in SETTINGS])
settings_objects = st.dictionaries(
    st.sampled_from(blocks) | setting_names | text, st.dictionaries(setting_names | text, json_values) | json_values
)


@fuzz
@given(st.binary(max_size=200) | settings_objects.map(lambda value: json.dumps(value).encode()))
def test_settings_files(tmp_path: Path, content: bytes) -> None:
    for old in tmp_path.iterdir():
        old.unlink()
    file = tmp_path / "settings.json"
    file.write_bytes(content)
    store = SettingsStore(file, SecretStore(tmp_path / "secrets.json"))
    for key, declared in SETTINGS.items():
        if not declared.secret:
            declared.check(store.get(key))
    store.change({"llm.maxTokens": 77})
    again = SettingsStore(file, SecretStore(tmp_path / "secrets.json"))
    assert again.whole("llm.maxTokens") == 77
    # What it did not understand it has kept aside, said, or left where it was; the second start finds nothing new.
    assert {key: store.get(key) for key in SETTINGS if not SETTINGS[key].secret} == {
        key: again.get(key) for key in SETTINGS if not SETTINGS[key].secret
    }


permission_objects = st.fixed_dictionaries(
    {},
    optional={
        "decisions": st.lists(
            st.fixed_dictionaries({}, optional=dict.fromkeys(("origin", "capability", "decision"), scalars))
        )
        | json_values,
        "limits": st.dictionaries(text, st.dictionaries(text, scalars)) | json_values,
    },
)


@fuzz
@given(st.binary(max_size=100) | (permission_objects | json_values).map(lambda value: json.dumps(value).encode()))
def test_permission_files(tmp_path: Path, content: bytes) -> None:
    for old in tmp_path.iterdir():
        old.unlink()
    file = tmp_path / "sites.json"
    file.write_bytes(content)
    store = SitePermissions(file)
    store.policy()
    store.all()
    store.block("https://evil.example")
    assert SitePermissions(file).policy().blocked >= {"https://evil.example"}


# --- addresses

hosts = st.sampled_from([KEY, CID, "localhost", "Example.ORG", "xn--nxasmq6b", "münchen.de", "..", "a" * 70]) | text
path_pieces = st.sampled_from(["..", ".", "%2e%2e", "%2F", "%5c..%5c", "a%20b", "%ff", "%00", "\\", "$", "extensions"])
paths = st.lists(path_pieces | text, max_size=5).map("/".join)


def scope_of(scheme: str, method: str, host: str, path: str, query: str, headers: Sequence[tuple[str, str]]) -> Any:
    return with_asker(
        {
            "type": "http",
            "scheme": scheme,
            "method": method,
            "server": (host, None),
            "raw_path": f"/{path}".encode(),
            "query_string": query.encode(),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        },
        P2P,
    )


latin = st.text(st.characters(codec="latin-1"), max_size=20)


@fuzz
@given(
    st.sampled_from(["hyper", "ipfs", "ipns"]),
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "get", ""]),
    hosts,
    paths,
    text,
    st.lists(st.tuples(st.sampled_from(["Accept", "x-peersky-stamp", "Cookie", "host", "X-Any"]), latin), max_size=3),
)
def test_p2p_requests(
    scheme: str, method: str, host: str, path: str, query: str, headers: list[tuple[str, str]]
) -> None:
    request = None
    try:
        request = parse_p2p_request(scope_of(scheme, method, host, path, query, headers))
    except InvalidRequest as error:
        reads_well(error)
    if request is not None:
        check_p2p_request(request)


def check_p2p_request(request: P2PRequest) -> None:
    pieces = unquote(request.path).replace("\\", "/").split("/")
    assert not {".", ".."} & set(pieces), request.path
    assert request.path.startswith("/")
    assert request.node_path.startswith(f"/{request.scheme}/{request.host}/")
    assert not set("/?#\\@ \r\n") & set(request.host)
    assert not {"host", "cookie", "authorization", "x-peersky-stamp"} & {name for name, _ in request.headers}
    assert not any(set("\r\n\0") & set(value) for _, value in request.headers)
    assert isinstance(request.name, str)
    assert "/" not in request.file or "%2f" in request.path.lower()


@fuzz
@given(
    st.text(max_size=60)
    | st.builds(
        "{}{}{}{}".format,
        st.sampled_from(
            ["", "http://", "HTTPS:", "hyper://", "ipfs://", "javascript:", "data:", "java\tscript:", "file:"]
        )
        | st.sampled_from(["peersky://", "view-source:", "chrome://", "?", "//", "/", "C:\\", "localhost:", "[::1]:"]),
        hosts,
        st.sampled_from(["", "/", ":80", ":99999999", "@x", "#", "?q=", "\u202e", "%00"]),
        paths,
    )
)
def test_what_is_typed_into_the_address_bar(typed: str) -> None:
    try:
        found = resolve(typed, "https://search.example/?q={query}")
    except InvalidRequest as error:
        reads_well(error)
        return
    if found is None:
        return
    scheme = found.url.partition(":")[0].lower()
    assert scheme not in ("javascript", "data", "vbscript", "chrome", ""), found.url
    if found.is_search:
        assert found.url.startswith("https://search.example/?q=")
        assert "\n" not in found.url
    display_address(found.url)
    connection_of(found.url)
    # What it made of the text is an address: typed again, it leads to the same place.
    again = resolve(found.url, "https://search.example/?q={query}")
    assert again is not None
    assert again.url == found.url


# --- uploads


async def sink(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    more = True
    while more:
        event = await receive()
        more = event.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


upload_values = st.builds(
    "{}; {}={}".format,
    st.sampled_from(["0" * 32, "1" * 32, "0" * 31, "G" * 32]),
    st.sampled_from(["offset", "commit", "Offset"]),
    st.integers(-1, 12) | st.just(10**20),
)


@fuzz
@given(
    st.lists(
        st.tuples(st.sampled_from(["PUT", "POST", "GET"]), upload_values | latin, st.binary(max_size=6)), max_size=8
    )
)
def test_upload_headers(tmp_path: Path, requests: list[tuple[str, str, bytes]]) -> None:
    async def run() -> None:
        sessions = UploadSessions(sink, tmp_path / "spool")
        client = AsgiClient(sessions, P2P)
        for method, value, body in requests:
            headers = {"x-peersky-upload": value}
            reply = await client.request(method, f"hyper://{KEY}/a", headers=headers, content=body)
            assert reply.status in (200, 202, 400, 403, 429), reply.body

    asyncio.run(run())


# --- what servers and pages say

delta = st.dictionaries(st.sampled_from(["content", "reasoning_content", "tool_calls", "role"]), json_values)
choice = st.fixed_dictionaries(
    {}, optional={"delta": delta | json_values, "finish_reason": scalars, "index": scalars, "message": json_values}
)
openai_events = st.fixed_dictionaries(
    {},
    optional={
        "choices": st.lists(choice | json_values, max_size=2) | json_values,
        "usage": st.dictionaries(st.sampled_from(["prompt_tokens", "completion_tokens"]), json_values) | json_values,
        "error": json_values,
        "prompt_progress": st.dictionaries(st.sampled_from(["total", "cache", "processed"]), json_values) | json_values,
    },
)
ollama_events = st.fixed_dictionaries(
    {},
    optional={
        "message": st.dictionaries(st.sampled_from(["content", "thinking", "tool_calls", "role"]), json_values)
        | json_values,
        "done": scalars,
        "done_reason": scalars,
        "error": json_values,
        "eval_count": json_values,
        "prompt_eval_count": json_values,
    },
)


@fuzz
@given(st.lists(openai_events | json_values, max_size=4))
def test_events_of_a_service(events: list[Any]) -> None:
    stream = OpenAIStream("The service")
    said = [json.dumps(event) for event in events]
    check_chunks(stream.read, said, stream.finish)


@fuzz
@given(st.lists((ollama_events | json_values).map(json.dumps) | text, max_size=4))
def test_lines_of_ollama(lines: list[str]) -> None:
    stream = OllamaStream("Ollama", 4096)
    check_chunks(stream.read, lines, stream.finish)


def check_chunks(read: Callable[[str], Any], said: list[str], finish: Callable[[], object]) -> None:
    try:
        for one in said:
            for chunk in read(one):
                assert isinstance(chunk, ChatChunk)
                assert isinstance(chunk.content, str)
                assert isinstance(chunk.reasoning, str)
        finish()
    except PeerSkyError as error:
        reads_well(error)


@fuzz
@given(st.dictionaries(st.sampled_from(["messages", "stream", "tools", "stop", "n", "think"]) | text, json_values))
def test_questions_of_a_page(body: dict[str, Any]) -> None:
    try:
        parse_chat_request(body)
    except PeerSkyError as error:
        reads_well(error)


def test_a_settings_file_that_is_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "settings.json").mkdir()
    with pytest.raises(ProfileUnusable, match="directory"):
        SettingsStore(tmp_path / "settings.json", SecretStore(tmp_path / "secrets.json"))
