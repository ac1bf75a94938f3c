"""Which navigations into the browser's own pages count as the user's, in the real QtWebEngine."""

from __future__ import annotations

import http.server
import threading
from typing import TYPE_CHECKING

import pytest
from PyQt6.QtWebEngineCore import QWebEnginePage
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from peersky.core.origins import BROWSER, OPAQUE, Origin
from peersky.qt.driver import wait_until
from peersky.web.asker import asker_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request

    from peersky.qt.driver import PageDriver
    from tests.qt.conftest import World

OWN = Origin("peersky", "home")


class Visits:
    """An app that remembers who navigated to it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Origin]] = []
        self.app = Starlette(routes=[Route("/moved", self.moved), Route("/{page}", self.page), Route("/", self.page)])

    async def page(self, request: Request) -> Response:
        if asker_of(request.scope).is_navigation:
            self.seen.append((request.url.path, asker_of(request.scope).origin))
        refresh = '<meta http-equiv="refresh" content="0; url=/three">' if request.url.path == "/refresh" else ""
        return HTMLResponse(f"<!doctype html>{refresh}<title>{request.url.path}</title>")

    async def moved(self, request: Request) -> Response:
        return RedirectResponse("/target", 302)


@pytest.fixture
def visits() -> Visits:
    return Visits()


@pytest.fixture
def page(world: Callable[..., World], visits: Visits) -> PageDriver:
    return world(peersky=visits.app).page("peersky://home/one")


@pytest.fixture
def redirecting_site() -> Iterator[str]:
    """An http site whose every page redirects to ``peersky://home/one``."""

    class Redirect(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", "peersky://home/one")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirect) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_typed_back_forward_and_reload_are_the_browsers(page: PageDriver, visits: Visits) -> None:
    page.load("peersky://home/two#part")
    for action in ("Back", "Forward", "Reload", "ReloadAndBypassCache"):
        before = len(visits.seen)
        page.page.triggerAction(getattr(QWebEnginePage.WebAction, action))
        assert wait_until(lambda before=before: len(visits.seen) > before, 5, None), action  # type: ignore[misc]
        # Seen is not shown: the next action is about the page that is there.
        wait_until(lambda: page.page.title() == visits.seen[-1][0] and not page.page.isLoading(), 5, action)
    assert visits.seen == [(path, BROWSER) for path in ("/one", "/two", "/one", "/two", "/two", "/two")]


@pytest.mark.parametrize(
    ("script", "path"),
    [
        ("location.reload()", "/one"),
        ("location.replace('/two')", "/two"),
        ("location.href = '/two'", "/two"),
        ("history.go(0)", "/one"),
        ("location.href = '/refresh'", "/three"),
    ],
)
def test_a_page_navigates_within_its_own_origin(page: PageDriver, visits: Visits, script: str, path: str) -> None:
    before = len(visits.seen)
    page.page.runJavaScript(script)
    assert wait_until(lambda: path in [seen for seen, _ in visits.seen[before:]], 5, None)
    assert all(origin in (OWN, BROWSER) for _, origin in visits.seen)


def test_a_typed_address_that_redirects_is_nobodys(
    world: Callable[..., World], visits: Visits, redirecting_site: str
) -> None:
    one = world(peersky=visits.app)
    page = one.page("peersky://home/one")
    page.load(redirecting_site)
    page.load("peersky://home/two")
    assert visits.seen == [("/one", BROWSER), ("/one", OPAQUE), ("/two", BROWSER)]


def test_a_link_of_an_internal_page_that_redirects_is_nobodys(
    page: PageDriver, visits: Visits, redirecting_site: str
) -> None:
    page.page.runJavaScript(f"location.href = '{redirecting_site}'")
    assert wait_until(lambda: len(visits.seen) == 2, 5, None)
    assert visits.seen[-1] == ("/one", OPAQUE)


def test_a_load_that_nobody_announced_is_nobodys(world: Callable[..., World], visits: Visits) -> None:
    """Should a redirect not be told as one: no initiator is no proof that the user typed the address."""
    one = world(peersky=visits.app)
    page = one.page("peersky://home/one")
    page.page.accepts = lambda *_: True  # type: ignore[method-assign]
    page.load("peersky://home/two")
    assert visits.seen[-1] == ("/two", OPAQUE)


def test_a_redirect_within_the_browsers_pages_is_followed(page: PageDriver, visits: Visits) -> None:
    page.load("peersky://home/moved")
    assert visits.seen[-1] == ("/target", BROWSER)
