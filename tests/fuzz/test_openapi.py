"""Requests made from the OpenAPI descriptions, as their pages and as strangers: what is described is what comes back.

schemathesis makes the requests, fitting ones and spoiled ones; the apps run in this process, since who asks stands in
the ASGI scope and not in any header.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Mount, Route

from peersky.core.origins import BROWSER, Origin, parse_origin
from peersky.core.trust import INTERNAL_APIS
from peersky.web.asker import NOBODY, Asker
from tests.asgi.client import Reply
from tests.fuzz.description import (
    EVENTS,
    NAMES,
    AnyCase,
    Operation,
    ask_for_events,
    described,
    operations,
    prepared,
    response,
    sent,
    server,
    tear,
)
from tests.fuzz.world import IS_LONG, Bridged, Profile, World, no_network

CHECKED: Final = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
EVIL: Final = parse_origin("https://evil.example")
pytestmark = pytest.mark.timeout(3600 if IS_LONG else 120)

ALL: Final = [pytest.param(name, one, id=f"{name}: {one.label}") for name in NAMES for one in operations(name)]


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    with no_network():
        world = Profile(tmp_path_factory.mktemp("openapi") / "p")
        yield world
        world.close()


@pytest.fixture(scope="module")
def worlds(profile: Profile, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, World]]:
    bridged = Bridged(tmp_path_factory.mktemp("bridged"))
    yield {"llm": bridged, "peersky": profile, "control": profile}
    bridged.close()


def own_page(name: str, url: str) -> Asker:
    """Whose API this is."""
    origin = parse_origin(url) if name == "peersky" else Origin("hyper", "a")
    return Asker(origin, origin, "xhr")


def strangers(own: Asker) -> list[Asker]:
    """Who may not: a web page, a worker, a frame in a web page, a web page's frame, nobody, the address bar."""
    return [
        Asker(EVIL, EVIL, "xhr"),
        Asker(own.origin),
        Asker(own.origin, EVIL, "xhr"),
        Asker(EVIL, own.origin, "xhr"),
        NOBODY,
        Asker(BROWSER, BROWSER, "xhr"),
    ]


async def to_the_end(reply: Reply) -> None:
    await reply.read()


async def until_event(reply: Reply) -> None:
    """All of a reply; of events that do not end, the first."""
    is_stream = reply.headers.get("content-type", "").startswith(EVENTS)
    while await reply.next_chunk():
        if is_stream and b"\n\n" in reply.body.partition(b"data:")[2]:
            break


@pytest.mark.parametrize(("name", "operation"), ALL)
def test_replies_are_as_described(name: str, operation: Operation, worlds: dict[str, World]) -> None:
    world = worlds[name]
    listen = until_event if operation.method == "get" else to_the_end
    cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode))

    @settings(
        max_examples=(300 if IS_LONG else 12) if takes_anything(operation) else 3,
        derandomize=not IS_LONG,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases, st.booleans(), st.booleans(), st.booleans(), st.integers(0, 5))
    def run(case: AnyCase, is_known: bool, is_torn: bool, as_events: bool, who: int) -> None:
        point_to(case, world, to_what_there_is=is_known)
        if is_torn:
            tear(case)
        if as_events:
            ask_for_events(case)
        request = prepared(case)
        url, options = sent(request, server(name))

        def reply_to(asker: Asker, token: str) -> Reply:
            headers = {**options["headers"], **({"authorization": f"Bearer {token}"} if name == "control" else {})}
            reply = world.ask(listen, str(request.method), url, **options | {"headers": headers, "asker": asker})
            case.validate_response(response(reply, request), checks=CHECKED)
            return reply

        own = own_page(name, url)
        refusal = reply_to(strangers(own)[who], "wrong")
        assert refusal.status == 403, refusal.body
        assert refusal.json["error"]["name"] == "NotAllowedError"
        reply = reply_to(own, world.token)
        if name == "llm" and not is_torn:
            # What pages are told to be right is right; the other APIs depend on what there is.
            case.validate_response(response(reply, request), checks=[checks.positive_data_acceptance])

    run()


def takes_anything(operation: Operation) -> bool:
    """Whether it has options."""
    return any((operation.query, operation.path_parameters, operation.body))


def point_to(case: AnyCase, world: World, *, to_what_there_is: bool) -> None:
    """Lead a request to what there is, if so wanted, and never to files of this computer."""
    for options in (case.body, case.query):
        if isinstance(options, dict):
            for name, value in options.items():
                known = world.known(case.operation.path, name)
                if known is not None and (to_what_there_is or (name in ("file", "path") and isinstance(value, str))):
                    options[name] = known
    if to_what_there_is and isinstance(case.path_parameters, dict):
        case.path_parameters["id"] = world.known(case.operation.path, "id")


# --- the descriptions are complete


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Starlette]]:
    """All apps with routes that a profile has."""
    apps: list[Starlette] = []
    build = Starlette.__init__

    def noted(self: Starlette, *positional: Any, **named: Any) -> None:
        build(self, *positional, **named)
        apps.append(self)

    monkeypatch.setattr(Starlette, "__init__", noted)
    with no_network():
        world = Profile(tmp_path / "p")
        yield apps
        world.close()


def test_every_route_is_described_and_nothing_else(made: list[Starlette]) -> None:
    real: dict[str, set[tuple[str, str]]] = {name: set() for name in NAMES}
    for app in made:
        for path, route in routes(app.routes):
            is_page = isinstance(app.routes[0], Host)
            where = "peersky" if is_page else "llm" if path.startswith("/v1/") else "control"
            if not is_page or "/api/" in path:
                # A class as endpoint sees to the methods itself.
                real[where] |= {(method, path) for method in (route.methods or {"GET", "POST"}) - {"HEAD"}}
    for name in NAMES:
        base = "/v1" if name == "llm" else ""
        told = {(method.upper(), base + path) for path, all_ in described(name)["paths"].items() for method in all_}
        assert told == real[name], name
    # Nor may a page call what is not there: the next API of that name would be open before anybody decided so.
    called = {path.removeprefix("/").replace("/api/", "/").split("{")[0].rstrip("/") for _, path in real["peersky"]}
    assert called == {f"{host}/{name}" for host, names in INTERNAL_APIS.items() for name in names}


def routes(found: Iterable[BaseRoute], base: str = "") -> Iterator[tuple[str, Route]]:
    """Routes with their paths, which begin with the host where it counts."""
    for route in found:
        if isinstance(route, Host):
            yield from routes(route.routes, f"/{route.host}")
        elif isinstance(route, Mount):
            yield from routes(route.routes, base + route.path)
        elif isinstance(route, Route):
            yield base + route.path, route
