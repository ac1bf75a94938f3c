"""The product under attack: local web sites and a P2P drive, and a record of all that the apps were asked and said."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from PyQt6.QtCore import QCoreApplication, QEvent
from PyQt6.QtWebEngineCore import QWebEngineScript

from peersky.qt.driver import PageDriver, wait_until
from peersky.web.asker import Asker, asker_of
from tests.e2e.conftest import Product
from tests.e2e.trust.sites import ATTACKS, Sites, page_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from PyQt6.QtWebEngineCore import QWebEngineNewWindowRequest
    from PyQt6.QtWidgets import QApplication

MAIN_WORLD = QWebEngineScript.ScriptWorldId.MainWorld
UNPROTECTED = "/attack-page-without-policy"
"""A page that attacks from any internal host, as if foreign script had got into a page that sends no policy."""

REFUSALS = {"not_trusted", "no_stamp"}


@dataclass
class Seen:
    """A request that reached an app, and the status of its reply."""

    scheme: str
    method: str
    host: str
    path: str
    query: str
    asker: Asker
    status: int = 0

    @property
    def is_harmless(self) -> bool:
        """A page of a drive, which anybody may open; or a part of the page that says that a page is closed.

        That page's icon may come while the next one is in the tab already, so its top page does not count.
        """
        return self.method == "GET" and (
            self.scheme == "hyper" or (self.asker.origin.is_internal and self.host == "assets")
        )

    def is_of(self, friends: tuple[str, ...]) -> bool:
        """Whether one of these origins asked, in a page of its own or in one of another of them."""
        return str(self.asker.origin) in friends and str(self.asker.top or "null") in (*friends, "null")


class Witness:
    """ASGI middleware that records who asked an app for what, and what the app said."""

    def __init__(self, app: Any, record: list[Seen]) -> None:
        self._app, self._record = app, record

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == UNPROTECTED:
            await _send_page(send, "/", {})
            return
        query = scope["query_string"].decode()
        seen = Seen(scope["scheme"], scope["method"], scope["server"][0], scope["path"], query, asker_of(scope))
        self._record.append(seen)

        async def note(message: Any) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
            await send(message)

        await self._app(scope, receive, note)


class Drive:
    """The test's P2P content: the same pages as the web sites, on any key. Takes and counts bodies."""

    def __init__(self) -> None:
        self.body_bytes: list[int] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        length, more = 0, True
        while more:
            message = await receive()
            length += len(message.get("body", b""))
            more = message.get("more_body", False)
        if scope["method"] not in ("GET", "HEAD"):
            self.body_bytes.append(length)
        await _send_page(send, scope["path"], parse_qs(scope["query_string"].decode()))


async def _send_page(send: Any, path: str, query: dict[str, list[str]]) -> None:
    status, headers, body = page_of(path, query) or (200, {"content-type": "text/plain"}, "drive")
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body.encode()})


class Fortress:
    """The running product, the sites around it, and what happens."""

    def __init__(self, product: Product, sites: Sites) -> None:
        self.product, self.sites, self.runtime = product, sites, product.runtime
        self.requests: list[Seen] = []
        self.drive = Drive()
        self.windows: list[PageDriver] = []
        self._tabs: list[PageDriver] = []
        apps = {**self.runtime.services.apps, "hyper": self.drive}
        for scheme, app in apps.items():
            self.runtime.web.serve(scheme, Witness(app, self.requests))

    @property
    def friends(self) -> tuple[str, ...]:
        """Trusted origins of the tests' own, for :meth:`siege`."""
        return (f"http://localhost:{self.sites.port}", "hyper://drive")

    def page(self, url: str) -> PageDriver:
        """A tab that takes any certificate and whose page may open windows, which are tabs too (:attr:`windows`)."""
        driver = self._tab()
        driver.page.certificateError.connect(lambda error: error.acceptCertificate())
        settings = driver.page.settings()
        assert settings is not None
        settings.setAttribute(settings.WebAttribute.JavascriptCanOpenWindows, True)
        driver.page.newWindowRequested.connect(self._open_window)
        driver.load(url)
        return driver

    def arm(self, driver: PageDriver) -> PageDriver:
        """Give a page that cannot load ``attacks.js`` by itself its functions."""
        armed: list[Any] = []
        driver.page.runJavaScript(f"{ATTACKS}\n'armed'", MAIN_WORLD, armed.append)
        wait_until(lambda: armed == ["armed"], 10, "The page took no script.")
        return driver

    def _tab(self) -> PageDriver:
        self._tabs.append(PageDriver(self.runtime.new_page()))
        return self._tabs[-1]

    def _open_window(self, request: QWebEngineNewWindowRequest) -> None:
        window = self._tab()
        self.windows.append(window)
        request.openIn(window.page)

    def close_tabs(self) -> None:
        for driver in self._tabs:
            driver.page.deleteLater()
        self._tabs.clear()
        self.windows.clear()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)

    def settle(self) -> None:
        """Wait until what the pages did has reached the service loop."""
        for _ in range(3):
            wait_until(lambda: False, 0.03, None)
            self.runtime.call(asyncio.sleep(0)).result(10)

    def answered(self, since: int) -> int:
        """How many requests the apps have answered after the first ``since``."""
        return len([seen for seen in self.requests[since:] if seen.status])

    def settings(self) -> dict[str, Any]:
        keys = ("llm.enabled", "llm.provider", "llm.model", "llm.temperature", "trust.allowlist")
        return {key: self.runtime.settings.get(key) for key in keys}

    @contextmanager
    def siege(self, *friends: str) -> Iterator[list[Seen]]:
        """Whatever happens in this block has no effect: every app says 403 to all but the (serialised) friends.

        Yields:
            The requests that reach an app meanwhile, those of friends excepted.
        """
        began, settings = len(self.requests), self.settings()
        questions = len(self.product.log("generation-start"))
        strangers: list[Seen] = []
        yield strangers
        self.settle()
        strangers += [seen for seen in self.requests[began:] if not seen.is_of(friends)]
        assert not [seen for seen in strangers if seen.status != 403 and not seen.is_harmless]
        assert self.settings() == settings
        assert len(self.product.log("generation-start")) == questions
        assert not [file for file in self.product.profile.spool_dir.rglob("*") if file.is_file()]


@pytest.fixture(scope="module")
def fortress(qt_application: QApplication, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fortress]:
    directory = tmp_path_factory.mktemp("fortress")
    sites = Sites()
    sites.start(directory)
    settings = {"enabled": True, "provider": "builtin", "model": str(tiny), "contextLength": 512}
    product = Product(directory / "profile", {"llm": settings})
    yield Fortress(product, sites)
    product.close()
    sites.stop()


@pytest.fixture(autouse=True)
def _no_page_survives_its_test(fortress: Fortress) -> Iterator[None]:
    yield
    fortress.close_tabs()
    # What they asked last is still on its way.
    fortress.settle()


def is_refusal(learnt: dict[str, Any]) -> bool:
    """The attempt failed outright, or was told no and why, and nothing else."""
    if "threw" in learnt:
        return learnt.get("status") in (None, 403)
    refused = learnt["status"] == 403 and len(learnt["text"]) < 400
    return refused and (learnt["code"] in REFUSALS or learnt["code"] is None)


def successes(learnt: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The attempts that were not refused."""
    return {name: found for name, found in learnt.items() if not is_refusal(found)}
