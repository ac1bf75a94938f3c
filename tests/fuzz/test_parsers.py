"""Any bytes to everything that reads what others wrote. SSE, NDJSON, manifests, GGUF heads, model names and single
settings have such tests beside their own; here is the rest."""

from __future__ import annotations

import asyncio
import itertools
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
from peersky.core.app_files import describe
from peersky.core.chat import ChatChunk, parse_chat_request
from peersky.core.errors import InvalidRequest, PeerSkyError, ProfileUnusable
from peersky.core.origins import parse_origin
from peersky.core.settings_schema import SETTINGS
from peersky.llm.download import load_jobs
from peersky.llm.ollama_wire import OllamaStream
from peersky.llm.openai_stream import OpenAIStream
from peersky.system.app_imports import Imports
from peersky.system.app_store import AppStore
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

# Texts of JavaScript and of JSON may hold halves of surrogate pairs.
plain = st.text(max_size=30)
text = plain | st.text(st.characters(categories=["Cs", "Ll"]), max_size=4)
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


kept_downloads = st.lists(
    st.fixed_dictionaries(
        dict.fromkeys(("id", "provider", "model", "state", "message"), scalars),
        optional=dict.fromkeys(("completedBytes", "totalBytes"), st.integers(0, 2**40) | scalars),
    )
    | json_values,
    max_size=3,
)


@fuzz
@given(
    st.binary(max_size=100)
    | kept_downloads.map(lambda kept: json.dumps({"downloads": kept}).encode())
    | json_values.map(lambda value: json.dumps(value).encode())
)
def test_downloads_of_an_earlier_time(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "downloads.json"
    file.write_bytes(content)
    for job in load_jobs(file):
        seen = job.seen()
        assert seen.state in ("paused", "failed")
        assert seen.percent is None or 0 <= seen.percent < 100


def test_a_size_beyond_all_numbers_in_downloads_does_not_keep_the_browser_from_starting(tmp_path: Path) -> None:
    """Found by the test above."""
    file = tmp_path / "downloads.json"
    kept = {"id": "a", "provider": "builtin", "model": "b", "state": "paused", "totalBytes": 1, "message": ""}
    for size in ("1e999", "1" + "0" * 400):
        file.write_text(json.dumps({"downloads": [{**kept, "completedBytes": 0}]}).replace('": 0', f'": {size}'))
        assert load_jobs(file) == []


@fuzz
@given(st.binary(max_size=60) | st.lists(json_values, max_size=2).map(lambda value: json.dumps(value).encode()))
def test_files_of_added_apps(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "notes").mkdir(exist_ok=True)
    (tmp_path / "notes" / "app.json").write_bytes(content)
    (tmp_path / "links.json").write_bytes(content)
    store = AppStore(tmp_path)
    assert store.all() == []
    assert all(isinstance(link.name, str) for link in store.links())


# --- apps that are added

names = st.sampled_from(["index.html", "a/b.js", "../x", "A", "a", "con", "a:b", "x" * 300, "\ud83d", ""]) | text
entries = st.tuples(names, st.integers(0, 9) | json_values, st.floats() | json_values).map(list)


@fuzz
@given(
    st.lists(entries, max_size=4) | json_values,
    st.binary(max_size=20),
    st.lists(st.integers(0, 60), max_size=3).map(sorted),
)
def test_packs_of_files(tmp_path: Path, index: Any, data: bytes, cuts: list[int]) -> None:
    imports = Imports(tmp_path / "incoming")
    incoming = imports.begin()
    pack = incoming.pack()
    sent = json.dumps(index).encode() + b"\n" + data
    try:
        for start, end in itertools.pairwise([0, *cuts, len(sent)]):
            pack.feed(sent[start:end] if start < end else b"")
        pack.end()
    except PeerSkyError as error:
        reads_well(error)
    finally:
        pack.close()
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(incoming.files() in path.parents for path in found)
    imports.drop(incoming.token)


words_of_apps = st.dictionaries(
    st.sampled_from(["name", "short_name", "description", "icons", "icon", "start", "start_url"]), json_values
)


@fuzz
@given(
    st.binary(max_size=60) | words_of_apps.map(json.dumps).map(str.encode),
    st.none() | st.binary(max_size=60) | st.just(b"<title>"),
)
def test_what_an_app_says_of_itself(manifest: bytes, page: bytes | None) -> None:
    said = describe({"index.html", "icon.png"}, manifest, page, ["index.html"])
    assert said.start == "index.html"
    assert said.icon in ("", "icon.png")
    assert said.name.isprintable()
    assert said.description.isprintable()
    (said.name + said.description).encode()


# --- addresses

hosts = st.sampled_from([KEY, CID, "localhost", "Example.ORG", "xn--nxasmq6b", "münchen.de", "..", "a" * 70]) | plain
path_pieces = st.sampled_from(["..", ".", "%2e%2e", "%2F", "%5c..%5c", "a%20b", "%ff", "%00", "\\", "$", "extensions"])
paths = st.lists(path_pieces | plain, max_size=5).map("/".join)


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
    plain,
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
    | text
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
    assert scheme not in ("javascript", "vbscript", "chrome", ""), found.url
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
