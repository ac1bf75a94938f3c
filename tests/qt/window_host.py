"""A host for browser windows: the real web profile and settings, with the test's own apps at the schemes."""

from __future__ import annotations

import http.server
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from PyQt6.QtCore import QObject, QPoint, Qt
from PyQt6.QtGui import QKeySequence
from PyQt6.QtTest import QTest

from peersky.qt.driver import wait_until
from peersky.qt.publishing import Publishing, Wanted
from peersky.qt.runtime import Activity
from peersky.system.permissions import SitePermissions
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from peersky.system.site_records import Used
from peersky.web.sites_api import rights

if TYPE_CHECKING:
    from pathlib import Path

    from PyQt6.QtWebEngineCore import QWebEngineProfile
    from PyQt6.QtWidgets import QWidget

    from peersky.core.origins import Origin
    from peersky.core.trust import Decision, Policy
    from peersky.llm.downloads import Download
    from peersky.qt.page import PeerSkyPage
    from peersky.qt.tab import Tab
    from peersky.qt.window import BrowserWindow
    from tests.qt.conftest import World


T = TypeVar("T")

# PyQt's stubs take the functions of this namespace for methods.
KEYBOARD: Any = QTest

PAGES = {
    "/": "<title>First</title><h1>One needle, two Needles</h1><a id=a href=/second>second</a>",
    "/second": "<title>Second</title>second",
    "/popup": "<title>Popup</title><button id=b autofocus onclick=\"window.open('/second')\">open</button>",
    "/blank": "<title>Blank</title><a id=a target=_blank href=/second>open</a>"
    "<script>onload = () => a.focus()</script>",
    "/unload": "<title>Unload</title><input id=i autofocus><script>onbeforeunload = e => e.preventDefault()</script>",
    "/alerts": "<title>Alerts</title><script>onload = () => { for (let i = 0; i < 9; i++) alert('<b>n' + i) }</script>",
    "/place": "<title>Place</title><script>navigator.geolocation.getCurrentPosition(() => document.title = 'found',"
    " e => document.title = 'denied ' + e.code)</script>",
    "/file.bin": "x" * 5000,
    "/full": "<title>Full</title><button onclick='document.documentElement.requestFullscreen()'>go</button>",
    "/wide": "<title>Wide</title><p>wide",
}


class WindowHost:
    """What :class:`peersky.qt.host.Host` asks for; remembers what was asked of it."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self.activity = Activity()
        self.settings = SettingsStore(folder / "settings.json", SecretStore(folder / "secrets.json"))
        self.settings.subscribe(self.activity.settings_changed.emit)
        self.permissions = SitePermissions(folder / "permissions.json")
        self.permissions.subscribe(self.activity.site_changed.emit)
        self.shown: list[frozenset[Origin]] = []
        self.stopped: list[str] = []
        self.downloads: list[Download] = []
        self.steps: list[tuple[str, str]] = []
        self.used_builtin = self.killed_engines = 0
        self.wanted: list[Wanted] = []
        self.publication: Callable[[], AsyncGenerator[dict[str, Any], None]] = _nothing
        self.profile.setDownloadPath(str(folder / "downloads"))

    @property
    def profile(self) -> QWebEngineProfile:
        return self._world.profile.qt

    def policy(self) -> Policy:
        return replace(self._world.policy, decisions=self.permissions.policy().decisions)

    def new_page(self, parent: QObject | None = None) -> PeerSkyPage:
        return self._world.profile.new_page(parent)

    def stop_generation(self, origin: str) -> None:
        self.stopped.append(origin)

    def site(self, origin: Origin) -> dict[str, Any]:
        return {
            "rights": rights(origin, self.permissions.policy(), self.permissions.all()),
            "today": Used(3, 1000, 234, 5.2).as_object(),
            "limits": {"parallel": 4, "waiting": 64, "tokens_per_minute": 60_000, "tokens_per_day": 0},
        }

    def decide_site(self, origin: str, capability: str, decision: Decision | None, for_good: bool) -> None:
        self.permissions.decide(origin, capability, decision, for_good=for_good)

    def block_site(self, origin: str) -> None:
        self.permissions.block(origin)

    def unblock_site(self, origin: str) -> None:
        self.permissions.forget(origin)

    def show_pages(self, origins: frozenset[Origin]) -> None:
        self.shown.append(origins)

    def model_downloads(self) -> list[Download]:
        return self.downloads

    def steer_download(self, step: str, download_id: str) -> None:
        self.steps.append((step, download_id))

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop of the services."""
        return self._world.services.call(work).result(10)

    def kill_engine(self) -> None:
        self.killed_engines += 1

    def use_builtin(self) -> None:
        self.used_builtin += 1

    def publish(self, wanted: Wanted) -> Publishing:
        self.wanted.append(wanted)
        return Publishing(self._world.services, self.publication)


async def _nothing() -> AsyncGenerator[dict[str, Any], None]:
    """A publication that ends before it began."""
    empty: tuple[dict[str, Any], ...] = ()
    for line in empty:
        yield line


async def page_app(scope: Any, receive: Any, send: Any) -> None:
    """A page whose title tells host and path."""
    title = scope["server"][0] + scope["path"]
    body = f"<!doctype html><title>{title}</title><meta name=color-scheme content='light dark'><h1>{title}</h1>"
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


class Site:
    """A web site on loopback. ``pages`` maps paths to HTML; other paths are 404 without a body."""

    def __init__(self, pages: dict[str, str], port: int = 0) -> None:
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.seen.append(self.path)
                if self.path == "/never":
                    site.release.wait(30)
                    return
                body = pages.get(self.path, "").encode()
                self.send_response(200 if body else 404)
                if self.path.endswith(".bin"):
                    self.send_header("Content-Type", "application/octet-stream")
                    self.send_header("Content-Disposition", "attachment")
                elif self.path == "/secret" and "Authorization" not in self.headers:
                    pass
                else:
                    self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self.seen: list[str] = []
        self.release = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.port = self._server.server_port

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def until(condition: Callable[[], object], what: str, timeout_s: float = 20) -> None:
    """Turn Qt's loop until the condition holds."""
    wait_until(lambda: bool(condition()), timeout_s, f"waited in vain: {what}")


def open_page(window: BrowserWindow, url: str, title: str) -> Tab:
    tab = window.tab or window.open_tab()
    loaded: list[bool] = []
    connection = tab.page.loadFinished.connect(loaded.append)
    window.go_to(url)
    until(lambda: True in loaded and shows(window, title) and not tab.loading, title)
    tab.page.loadFinished.disconnect(connection)
    return tab


def shows(window: BrowserWindow, title: str) -> bool:
    """Whether the window has heard of the page with this title (its tab knows a moment before)."""
    return window.windowTitle() == f"{title} — PeerSky"


def press(widget: QWidget, keys: str) -> None:
    """Press a shortcut as a person does: through the focus of the window."""
    KEYBOARD.keySequence(widget, QKeySequence(keys))


def page_input(tab: Tab) -> QWidget:
    """The widget that takes the page's keys and clicks."""
    proxy = tab.view.focusProxy()
    assert proxy is not None
    return proxy


def wait_until_painted(tab: Tab) -> None:
    """What is not painted cannot be hit, and does not hear keys."""
    frames: list[object] = []

    def is_painted() -> bool:
        tab.page.runJavaScript("window.framesShown ?? 0", frames.append)
        return any(isinstance(count, (int, float)) and count > 2 for count in frames)

    count = "window.framesShown = (window.framesShown ?? 0) + 1"
    tab.page.runJavaScript(f"(function next() {{ {count}; requestAnimationFrame(next); }})()")
    until(is_painted, "the page is painted")


def click(tab: Tab, x: int, y: int, button: Qt.MouseButton = Qt.MouseButton.LeftButton) -> None:
    """Click into the page."""
    wait_until_painted(tab)
    KEYBOARD.mouseClick(page_input(tab), button, pos=QPoint(x, y))
