"""Any request, of any page, to every ASGI app: never an exception, never a fault of ours, always a whole reply.

These are requests that no description allows: any address, method and header. What is described is asked for in
test_openapi.py.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import peersky.web
from peersky.core.origins import parse_origin
from peersky.web.asker import COMMAND_LINE, NOBODY, Asker
from peersky.web.page_template import PAGES
from tests.asgi.client import Reply
from tests.fuzz.description import described, server
from tests.fuzz.world import IS_LONG, Profile, no_network

EXAMPLES: Final = 20_000 if IS_LONG else 500
LISTENS_S: Final = 0.2
"""How long a reply that goes on for ever is listened to."""

SOURCE: Final = "".join(file.read_text(encoding="utf-8") for file in Path(peersky.web.__file__).parent.glob("*.py"))
WORDS: Final = sorted(
    set(re.findall(r'"([A-Za-z][\w.-]{0,24})"', SOURCE)) | {"", "peersky-starter", "../x", "\0", "😀"}
)
APIS: Final = [server(name) + path for name in ("llm", "peersky") for path in described(name)["paths"]]
HEADERS: Final = (
    *("accept", "range", "content-type", "content-length", "if-none-match", "x-peersky-upload", "origin", "cookie"),
    *("x-peersky-stamp", "publication-app", "content-encoding", "transfer-encoding", "expect"),
)
DRIVE: Final = "hyper://" + "y" * 52
CID: Final = "ipfs://bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"

words = st.sampled_from(WORDS) | st.text(max_size=12)
objects = st.dictionaries(words, words | st.none() | st.floats(), max_size=6)
bodies = st.binary(max_size=200) | objects.map(json.dumps).map(str.encode)
paths = st.lists(words | st.sampled_from(["v1", "api", "%2F", "..", "%ff", "%00"]), max_size=4).map(
    lambda parts: "/" + "/".join(part if part.startswith("%") else quote(part, safe="") for part in parts)
)
addresses = st.one_of(
    st.sampled_from(APIS),
    st.sampled_from([f"peersky://{page.host}{page.path}" for page in PAGES]),
    st.builds(
        "{}{}".format,
        st.sampled_from(["llm://bridge", "peersky://p2p", "peersky://app-x", "peersky://settings", "peersky://assets"])
        | st.sampled_from([DRIVE, CID, "ipns://example.org", "hyper://localhost", "ipns://localhost", "hyper://x"]),
        paths,
    ),
)
queries = st.lists(st.builds("{}={}".format, words.map(quote), words.map(quote)), max_size=3).map("&".join)
headers = st.dictionaries(
    st.sampled_from(HEADERS),
    st.sampled_from(["bytes=0-1", "bytes=-5", "bytes=9-1,3", "multipart/form-data; boundary=x", "gzip", "-1", "9" * 30])
    | st.builds("{:032x}; {}={}".format, st.integers(0, 3), st.sampled_from(["offset", "commit"]), st.integers(0, 99))
    | st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=20),
    max_size=3,
)
methods = st.sampled_from([*("GET", "POST") * 4, "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "get", "X-" + "Y" * 40])
pages = st.sampled_from(["peersky://settings", "peersky://p2p", "peersky://app-x", "https://evil.example", DRIVE, CID])
resources = st.sampled_from(["xhr", "main-frame", "sub-frame", "script", "image", ""])


async def a_while(reply: Reply) -> None:
    """A reply that goes on for ever is not heard to its end."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LISTENS_S):
            await reply.read()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    with no_network():
        made = Profile(tmp_path_factory.mktemp("fuzz") / "p")
        yield made
        made.close()


def asker_for(url: str, page: str | None, resource: str, stamped: bool) -> Asker:
    """The page of the address's own host, or another one."""
    if page is None:
        scheme, _, rest = url.partition("://")
        page = f"{scheme}://{rest.partition('/')[0]}" if scheme == "peersky" else "peersky://p2p"
    origin = parse_origin(page)
    return Asker(origin, origin if stamped else None, resource if stamped else "")


@given(
    url=addresses,
    query=queries,
    method=methods,
    headers=headers,
    body=bodies,
    page=st.none() | pages,
    resource=resources,
    who=st.sampled_from(["page", "page", "page", "worker", "nobody", "command line"]),
)
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@pytest.mark.timeout(3600)
def test_any_request_has_a_reply(
    world: Profile,
    url: str,
    query: str,
    method: str,
    headers: dict[str, str],
    body: bytes,
    page: str | None,
    resource: str,
    who: str,
) -> None:
    asker = {"nobody": NOBODY, "command line": COMMAND_LINE}.get(who) or asker_for(url, page, resource, who == "page")
    address = f"{url}?{query}" if query else url
    reply = world.ask(a_while, method, address, headers=headers, content=body, asker=asker)
    event(f"{url.partition(':')[0]}: {reply.status}")
    assert 200 <= reply.status < 600
    assert reply.status != 500, reply.body
    for name, value in reply.headers.items():
        assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9a-z-]+", name), name
        assert not re.search(r"[\r\n\0]", value), (name, value)
    if reply.status >= 400 and reply.headers.get("content-type", "").startswith("application/json") and reply.body:
        error = reply.json["error"]
        assert error["message"].strip()
        assert error["code"] != "internal_error"
