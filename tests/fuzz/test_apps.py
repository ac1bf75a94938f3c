"""Any request, of any page, to every ASGI app: never an exception, never a fault of ours, always a whole reply.

The requests are made from the programs' own words: their routes, and the texts that stand in their source.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import peersky.web
from peersky.core.origins import parse_origin
from peersky.core.settings_schema import SETTINGS
from peersky.core.trust import INTERNAL_APIS
from peersky.p2p.program import Program, Say
from peersky.system.paths import open_profile
from peersky.system.profile_lock import ProfileLock
from peersky.system.prompt_port import Consent, Question
from peersky.web import memory_app
from peersky.web.asker import COMMAND_LINE, NOBODY, Asker
from peersky.web.compose import Services, open_services
from peersky.web.page_template import PAGES
from tests.asgi.client import AsgiClient, Reply

DOUBLE: Final = Path(__file__).parents[1] / "fakes" / "p2p_sidecar.py"
EXAMPLES: Final = 20_000 if os.environ.get("PEERSKY_LONG") else 500
PATIENCE_S: Final = 20
LISTENS_S: Final = 0.2
"""How long a reply that goes on for ever is listened to."""

SOURCE: Final = "".join(file.read_text(encoding="utf-8") for file in Path(peersky.web.__file__).parent.glob("*.py"))
WORDS: Final = sorted(
    set(re.findall(r'"([A-Za-z][\w.-]{0,24})"', SOURCE)) | {"", "peersky-starter", "../x", "\0", "😀"}
)
ROUTES: Final = sorted(set(re.findall(r'Route\(\s*f?"((?:/v1|{PREFIX})/[^"]*)"', SOURCE)))
APIS: Final = [f"peersky://{host}/api/{name}" for host, names in INTERNAL_APIS.items() for name in sorted(names)]
HEADERS: Final = (
    *("accept", "range", "content-type", "content-length", "if-none-match", "x-peersky-upload", "origin", "cookie"),
    *("x-peersky-stamp", "publication-app", "content-encoding", "transfer-encoding", "expect"),
)
DRIVE: Final = "hyper://" + "y" * 52
CID: Final = "ipfs://bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"

words = st.sampled_from(WORDS) | st.text(max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)
messages = st.lists(st.fixed_dictionaries({"role": words | values, "content": words | values}), max_size=3)
spoiled = st.dictionaries(words, values, max_size=6)
likely = st.fixed_dictionaries(
    {},
    optional={
        "action": words,
        "changes": st.dictionaries(st.sampled_from(sorted(SETTINGS)), values, max_size=3),
        "messages": messages,
        "input": st.lists(words, max_size=3) | values,
        **dict.fromkeys(("id", "model", "name", "url", "content", "appId", "sessionId", "role"), words | values),
        **{name: st.booleans() | values for name in ("stream", "pinned", "allowed", "on", "forGood")},
    },
)
bodies = st.one_of(
    st.builds(lambda one, other: json.dumps({**one, **other}).encode(), spoiled, likely),
    spoiled.map(json.dumps).map(str.encode),
    st.binary(max_size=200),
)
paths = st.lists(words | st.sampled_from(["v1", "api", "%2F", "..", "%ff", "%00"]), max_size=4).map(
    lambda parts: "/" + "/".join(part if part.startswith("%") else quote(part, safe="") for part in parts)
)
addresses = st.one_of(
    st.sampled_from(
        [f"peersky://{host}/api/{name}" for host, names in INTERNAL_APIS.items() for name in sorted(names)]
    ),
    st.sampled_from([f"peersky://{page.host}{page.path}" for page in PAGES]),
    st.sampled_from(ROUTES).map(lambda path: "llm://bridge" + path.replace("{PREFIX}", memory_app.PREFIX)),
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


class Person:
    """Says yes and no in turn."""

    def __init__(self) -> None:
        self.asked = 0

    async def ask(self, question: Question) -> Consent:
        self.asked += 1
        return Consent.FOR_GOOD if self.asked % 2 else Consent.REFUSED


class World:
    """The services of one profile, on a loop that stands still between two requests."""

    def __init__(self, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self.profile = open_profile(folder)
        self.profile.settings_file.write_text(
            json.dumps({"llm": {"enabled": True, "memoryEnabled": True, "provider": "builtin", "model": "none:1b"}})
        )
        self.lock = ProfileLock.acquire(self.profile)
        self.services: Services = self.runner.run(open_services(self.profile, Person(), None, program))

    def ask(self, asker: Asker, method: str, url: str, **options: Any) -> Reply:
        app = self.services.apps[url.partition(":")[0]]
        return self.runner.run(_ask(AsgiClient(app, asker), method, url, options))

    def close(self) -> None:
        self.runner.run(self.services.close())
        self.runner.close()
        self.lock.release()


async def program(say: Say) -> Program:
    return Program((sys.executable, str(DOUBLE)))


async def _ask(client: AsgiClient, method: str, url: str, options: dict[str, Any]) -> Reply:
    reply = client.send(method, url, **options)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await reply.started()
        with suppress(TimeoutError):
            async with asyncio.timeout(LISTENS_S):
                await reply.read()
    finally:
        await reply.disconnect()
        await reply.finished()
    return reply


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    look_up = socket.getaddrinfo

    def only_here(host: Any, *more: Any, **named: Any) -> Any:
        if host not in ("127.0.0.1", "localhost", "::1", None):
            raise socket.gaierror(socket.EAI_NONAME, "tests ask no name server")
        return look_up(host, *more, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", only_here)
        made = World(tmp_path_factory.mktemp("fuzz") / "p")
        try:
            yield made
        finally:
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
    world: World,
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
    reply = world.ask(asker, method, f"{url}?{query}" if query else url, headers=headers, content=body)
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
