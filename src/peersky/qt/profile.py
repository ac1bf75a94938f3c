"""A QWebEngineProfile whose URL schemes are served by ASGI apps, with the scripts that trusted pages get."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QCoreApplication, QEvent
from PyQt6.QtWebEngineCore import QWebEngineProfile, QWebEngineScript, QWebEngineSettings

from peersky.core.reach import Closed
from peersky.core.trust import is_trusted
from peersky.qt.asgi_scheme import AsgiSchemeHandler
from peersky.qt.driver import wait_until
from peersky.qt.page import BrowserNavigations, PeerSkyPage
from peersky.qt.stamp import StampingInterceptor
from peersky.system.leveldb_logs import repair_logs
from peersky.web.late import LateUploads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from PyQt6.QtCore import QObject

    from peersky.core.trust import Policy
    from peersky.qt.asgi_scheme import ASGIApp
    from peersky.qt.service_thread import ServiceThread
    from peersky.web.asker import Asker

_LAST_REQUESTS_S: Final = 3.0

ASSETS: Final = Path(__file__).parent.parent / "assets"
INJECTED: Final = ASSETS / "inject"
_SCRIPTS: Final = ("trust", "errors", "keys", "fetch", "addresses", "llm", "memory")
"""In this order. The first three are seen by all of them, the others run each in a function of its own."""


class WebProfile:
    """Chromium's profile for PeerSky. Main thread only.

    Args:
        apps: ASGI app by URL scheme.
        services: where the apps run.
        policy: the user's trust decisions, read at each request.
        storage: directory for localStorage and the like; None keeps nothing.
        spool_dir: where large uploads wait.
        on_error: takes one line about a fault, for the log.
        closed: the browser's own servers, which no page may reach; read at each request.
    """

    def __init__(
        self,
        apps: Mapping[str, ASGIApp],
        services: ServiceThread,
        policy: Callable[[], Policy],
        storage: Path | None,
        spool_dir: Path,
        on_error: Callable[[str], None],
        closed: Callable[[], Closed] = Closed,
    ) -> None:
        self._policy, self._on_error, self._services, self._spool_dir = policy, on_error, services, spool_dir
        self._closed = closed
        # Slices of uploads that the end of the program cut off.
        shutil.rmtree(spool_dir, ignore_errors=True)
        self._unclean = None if storage is None else _begin(storage, on_error)
        self.qt = QWebEngineProfile() if storage is None else QWebEngineProfile("peersky")
        if storage is not None:
            self.qt.setPersistentStoragePath(str(storage / "storage"))
            self.qt.setCachePath(str(storage / "cache"))
        self._navigations = BrowserNavigations()
        self._interceptor = StampingInterceptor(self._navigations, policy, closed, on_error)
        self.qt.setUrlRequestInterceptor(self._interceptor)
        self._handlers: dict[str, AsgiSchemeHandler] = {}
        for scheme, app in apps.items():
            self.serve(scheme, app)
        self._set_attributes()
        self.refresh_scripts()

    def serve(self, scheme: str, app: ASGIApp) -> None:
        """Serve an app at a scheme, in place of whatever was served there."""
        if scheme in self._handlers:
            self.qt.removeUrlSchemeHandler(self._handlers[scheme])
        sliced = LateUploads(app, self._spool_dir / scheme)
        handler = AsgiSchemeHandler(
            scheme,
            sliced,
            self._services,
            self._interceptor.asker,
            self._interceptor.redirected,
            self._may_send_body,
            self._on_error,
        )
        self._handlers[scheme] = handler
        self.qt.installUrlSchemeHandler(scheme.encode(), handler)

    def new_page(self, parent: QObject | None = None) -> PeerSkyPage:
        """A page of this profile."""
        return PeerSkyPage(self.qt, parent, self._navigations, self._on_error, self._closed)

    def refresh_scripts(self) -> None:
        """Give pages loaded from now on the scripts that fit the user's present decisions."""
        scripts = self.qt.scripts()
        if scripts is None:
            return
        scripts.clear()
        world = QWebEngineScript.ScriptWorldId
        for name, source, where in (
            ("peersky", injected_source(self._policy()), world.MainWorld),
            # Links lead on to our schemes from every page: where its own scripts can neither see nor hinder it.
            ("links", links_source(), world.ApplicationWorld),
        ):
            script = QWebEngineScript()
            script.setName(name)
            script.setSourceCode(source)
            script.setInjectionPoint(QWebEngineScript.InjectionPoint.DocumentCreation)
            script.setWorldId(where)
            script.setRunsOnSubFrames(True)
            scripts.insert(script)

    def close(self) -> None:
        """Let Chromium's profile go. Every page of it must be gone before, or Chromium aborts."""
        # So must every request: one that Chromium still tears down when its profile goes crashes the process.
        wait_until(lambda: all(handler.is_idle for handler in self._handlers.values()), _LAST_REQUESTS_S, None)
        for handler in self._handlers.values():
            self.qt.removeUrlSchemeHandler(handler)
        self.qt.deleteLater()
        # Deleted here and now: at interpreter exit the order would be anybody's guess.
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        if self._unclean is not None:
            with contextlib.suppress(OSError):
                self._unclean.unlink()

    def _may_send_body(self, asker: Asker) -> bool:
        """Without a stamp nothing may be written, and what is or is in an untrusted page has nothing to send to us."""
        policy = self._policy()
        return asker.top is not None and is_trusted(asker.origin, policy) and is_trusted(asker.top, policy)

    def _set_attributes(self) -> None:
        settings, attribute = self.qt.settings(), QWebEngineSettings.WebAttribute
        if settings is None:
            return
        for name, value in {
            attribute.FullScreenSupportEnabled: True,
            attribute.ScrollAnimatorEnabled: True,
            attribute.PluginsEnabled: False,
            attribute.ErrorPageEnabled: False,
            attribute.DnsPrefetchEnabled: False,
            attribute.HyperlinkAuditingEnabled: False,
            attribute.WebRTCPublicInterfacesOnly: True,
            attribute.LocalContentCanAccessRemoteUrls: False,
            attribute.LocalContentCanAccessFileUrls: False,
            attribute.PdfViewerEnabled: True,
        }.items():
            settings.setAttribute(name, value)


def _begin(storage: Path, on_error: Callable[[str], None]) -> Path | None:
    """Mend what a browser that was killed left, and leave a mark, which goes when this one ends in order."""
    mark = storage / "unclean"
    try:
        storage.mkdir(parents=True, exist_ok=True)
        if mark.exists():
            for log in repair_logs(storage / "storage"):
                on_error(f"The browser was killed while it wrote {log.parent.name}; the half record is gone.")
        mark.touch()
    except OSError:
        # Chromium says itself what it cannot do without its folder.
        return None
    return mark


def injected_source(policy: Policy) -> str:
    """The script that every page and frame gets at document creation; it leaves untrusted frames at once."""
    config = js_literal({"allowlist": sorted(policy.allowlist), "blocked": sorted(policy.blocked)})
    trust, errors, keys, *rest = ((INJECTED / f"{name}.js").read_text("utf-8") for name in _SCRIPTS)
    wrapped = "\n".join(f"(() => {{\n{part}\n}})();" for part in rest)
    return (
        f"(() => {{ 'use strict'; const config = {config};\n{trust}\nif (!isTrustedFrame()) return;\n"
        f"{errors}\n{keys}\n{wrapped}\n}})();"
    )


def links_source() -> str:
    """The script that corrects P2P addresses in links and forms of every page."""
    parts = "\n".join((INJECTED / f"{name}.js").read_text("utf-8") for name in ("errors", "keys", "links"))
    return f"(() => {{ 'use strict';\n{parts}\n}})();"


def js_literal(value: object) -> str:
    """A value as JavaScript source: the only way in which Python puts data into a script."""
    return json.dumps(value).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
