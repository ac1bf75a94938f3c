"""The browser without its window: services in their thread, and the web profile that pages live in.

The window (:mod:`peersky.qt.window`) and the headless commands (:mod:`peersky.qt.headless`) both stand on it. A
QApplication must exist (:func:`peersky.qt.application.create_application`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from PyQt6.QtCore import QObject, pyqtSignal

from peersky.core.errors import NotFound, PeerSkyError
from peersky.core.origins import OWN_SCHEMES, parse_origin
from peersky.core.trust import SITE_CAPABILITIES
from peersky.qt.application import remote_debugging_port
from peersky.qt.profile import ASSETS, WebProfile
from peersky.qt.publishing import Publishing
from peersky.qt.service_thread import ServiceThread
from peersky.system.foundation import Foundation
from peersky.system.profile_lock import ProfileLock
from peersky.system.prompt_port import NobodyToAsk
from peersky.web.late import LateApp, LatePages

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from concurrent.futures import Future

    from PyQt6.QtWebEngineCore import QWebEngineProfile

    from peersky.core.origins import Origin
    from peersky.core.reach import Closed
    from peersky.core.trust import Decision, Policy
    from peersky.llm.downloads import Download
    from peersky.qt.asgi_scheme import ASGIApp
    from peersky.qt.page import PeerSkyPage
    from peersky.qt.publishing import Wanted
    from peersky.system.notify_port import NotifyPort
    from peersky.system.paths import Profile
    from peersky.system.prompt_port import PromptPort
    from peersky.system.settings_store import SettingsStore
    from peersky.web.compose import Services
    from peersky.web.control import ControlServer

T = TypeVar("T")
_log = logging.getLogger(__name__)
_PREPARING: Final = frozenset({"installing", "starting"})


def _import_services() -> tuple[Callable[..., Coroutine[Any, Any, Services]], type[ControlServer]]:
    """What takes a third of a second to import."""
    from peersky.web.compose import open_services
    from peersky.web.control import ControlServer

    return open_services, ControlServer


class Activity(QObject):
    """What happens on the service thread, as signals on the main thread."""

    changed = pyqtSignal(str, int)
    """A serialised origin, and how many questions of it run or wait."""

    site_changed = pyqtSignal(str)
    """The user decided something about this serialised origin."""

    settings_changed = pyqtSignal(object)
    """Keys of the settings that changed (a frozenset)."""

    download_changed = pyqtSignal(object)
    """A :class:`~peersky.llm.downloads.Download` as it is now."""

    unreachable = pyqtSignal(str)
    """A page's question found no Ollama; the sentence for the user. Comes once."""

    engine_hangs = pyqtSignal(str)
    """The built-in engine gets nowhere; the sentence for the user, empty once it goes on or was stopped."""

    lookup_changed = pyqtSignal(object, bool)
    """A :class:`~peersky.web.p2p_lookups.Lookup`, and whether it waits for a peer still."""

    node_prepares = pyqtSignal(str)
    """What the P2P node does before it can look for anybody, for people; empty once it can."""

    failed = pyqtSignal(object)
    """The services cannot start; the exception that says why."""

    open_requested = pyqtSignal(object)
    """The command line asks for a tab with this address, or (None) for the window."""


class Runtime:
    """Services, control socket and web profile of one profile directory, from construction to :meth:`close`.

    Args:
        profile: the profile directory.
        prompts: how services ask the user; None: nobody is there to ask.
        notify: how services tell the user something; None: nobody is there to be told.
        late: the services start with the first request that needs them, or with :meth:`start_services`, so that a
            window is not kept waiting; otherwise they have started when this returns.

    Raises:
        ProfileUnusable: another process uses the profile, or it cannot be used.
    """

    def __init__(
        self,
        profile: Profile,
        prompts: PromptPort | None = None,
        notify: NotifyPort | None = None,
        *,
        late: bool = False,
    ) -> None:
        self._is_closed = False
        self.activity = Activity()
        self._profile, self._notify, self._has_window = profile, notify, prompts is not None
        self._opening: Future[Services] | None = None
        self._opening_lock = threading.Lock()
        self._services: Services | None = None
        self._shown: frozenset[Origin] = frozenset()
        self._files: ASGIApp | None = None
        self._lock = ProfileLock.acquire(profile)
        self._services_thread = ServiceThread()
        try:
            self._foundation = Foundation(profile, prompts or NobodyToAsk())
            if not late:
                self.start_services().result()
        except BaseException:
            self._services_thread.stop()
            self._lock.release()
            raise
        self.settings: SettingsStore = self._foundation.settings
        self.web = WebProfile(
            self._apps(),
            self._services_thread,
            self.policy,
            profile.web_dir,
            profile.spool_dir,
            _log.error,
            self._closed_servers,
        )
        self._blocked = self.policy().blocked
        self.activity.settings_changed.connect(self._apply_settings)
        self.activity.site_changed.connect(self._apply_decision)
        self._unsubscribe = (
            self.settings.subscribe(self.activity.settings_changed.emit),
            self._foundation.permissions.subscribe(self.activity.site_changed.emit),
        )

    # The services

    def start_services(self) -> Future[Services]:
        """Start the services, unless they have been started. Any thread. :attr:`Activity.failed` tells of a failure."""
        with self._opening_lock:
            if self._opening is None:
                self._opening = self.call(self._open())
                self._opening.add_done_callback(self._tell_failure)
            return self._opening

    def _tell_failure(self, opening: Future[Services]) -> None:
        if not opening.cancelled() and (failure := opening.exception()) is not None:
            self.activity.failed.emit(failure)

    @property
    def services(self) -> Services:
        """The services; waits until they have started. Not on the service loop.

        Raises:
            ProfileUnusable: they cannot start.
        """
        return self.start_services().result()

    async def _opened(self) -> Services:
        """The same on the service loop. Whoever gives up waiting does not end the start for others."""
        return await asyncio.shield(asyncio.wrap_future(self.start_services()))

    async def _open(self) -> Services:
        # In a thread: files of a page, which need no services, are sent meanwhile.
        open_services, control_server = await asyncio.to_thread(_import_services)
        foundation = self._foundation
        services = await open_services(self._profile, foundation.prompts, self._notify, foundation=foundation)
        try:
            self._control = control_server(services, "browser", self.activity.open_requested.emit)
        except BaseException:
            await services.close()
            raise
        services.bridge.subscribe(lambda origin, count: self.activity.changed.emit(str(origin), count))
        services.downloads.subscribe(self.activity.download_changed.emit)
        services.builtin.on_hang = self.activity.engine_hangs.emit
        services.p2p.lookups.subscribe(self.activity.lookup_changed.emit)
        node = services.p2p.node
        node.subscribe(lambda: self.activity.node_prepares.emit(node.sentence() if node.state in _PREPARING else ""))
        if self._has_window:
            # Without a window the notice would count as shown, and nobody would have seen it.
            services.local_ai.unreachable.show = self.activity.unreachable.emit
            # With a window the browser stays; a command ends before anybody has found it.
            services.p2p.keep_sharing()
        self._services = services
        services.bridge.show_pages(self._shown)
        for download in services.downloads.list():
            self.activity.download_changed.emit(download)
        return services

    def _apps(self) -> dict[str, ASGIApp]:
        def late(scheme: str) -> LateApp:
            async def app() -> ASGIApp:
                return (await self._opened()).apps[scheme]

            return LatePages(app, self._pages_and_files) if scheme == "peersky" else LateApp(app)

        return {scheme: late(scheme) for scheme in OWN_SCHEMES}

    def _pages_and_files(self) -> ASGIApp:
        if self._files is None:
            from peersky.web.pages_app import make_files_app

            self._files = make_files_app(self.policy, ASSETS)
        return self._files

    @property
    def profile(self) -> QWebEngineProfile:
        """Chromium's profile."""
        return self.web.qt

    def policy(self) -> Policy:
        """What the user decided about origins, as it stands now."""
        return self._foundation.policy()

    def _closed_servers(self) -> Closed:
        closed = self._foundation.closed() if self._services is None else self._services.closed()
        developer_tools = remote_debugging_port(os.environ)
        return closed if developer_tools is None else replace(closed, ports=closed.ports | {developer_tools})

    def new_page(self, parent: QObject | None = None) -> PeerSkyPage:
        """A page of the profile."""
        return self.web.new_page(parent)

    def call(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the service loop."""
        return self._services_thread.call(work)

    def stop_generation(self, origin: str) -> None:
        """Stop every answer that is being written for an origin."""

        async def stop(asker: Origin) -> None:
            (await self._opened()).bridge.stop(asker)

        self._services_thread.submit(stop(parse_origin(origin)), "stop")

    def site(self, origin: Origin) -> Mapping[str, Any]:
        """What the window shows of a site: see :meth:`peersky.web.compose.Services.site`."""

        async def told() -> Mapping[str, Any]:
            services = await self._opened()
            await services.records.load()
            return services.site(origin)

        return self.call(told()).result()

    def decide_site(self, origin: str, capability: str, decision: Decision | None, for_good: bool) -> None:
        """Let a site do something, or not; None: as the table of rights says. See :class:`SitePermissions`."""
        permissions = self._foundation.permissions
        self._change_site(lambda: permissions.decide(origin, capability, decision, for_good=for_good))

    def block_site(self, origin: str) -> None:
        """Take everything from a site."""
        self._change_site(lambda: self._foundation.permissions.block(origin))

    def unblock_site(self, origin: str) -> None:
        """What was decided about a site counts no more; its limits stay."""

        def unblock() -> None:
            for capability in SITE_CAPABILITIES:
                self._foundation.permissions.decide(origin, capability, None)

        self._change_site(unblock)

    def _change_site(self, change: Callable[[], None]) -> None:
        """Away from the main thread: it waits for the disk."""

        async def work() -> None:
            try:
                await asyncio.to_thread(change)
            except PeerSkyError as error:
                # It counts until PeerSky is closed.
                _log.error("What may be done by a site was not stored: %s", error.message)

        self._services_thread.submit(work(), "site")

    def show_pages(self, origins: frozenset[Origin]) -> None:
        """Whose pages the user looks at: their questions go first."""

        async def show() -> None:
            self._shown = origins
            if self._services is not None:
                self._services.bridge.show_pages(origins)

        self._services_thread.submit(show(), "pages")

    def model_downloads(self) -> Sequence[Download]:
        """All downloads of models, as far as the services are there to know; they tell of each when they start."""
        services = self._services
        if services is None:
            return ()

        async def listed() -> Sequence[Download]:
            return services.downloads.list()

        return self.call(listed()).result()

    def steer_download(self, step: str, download_id: str) -> None:
        """``pause``, ``resume`` or ``cancel`` a download; nothing happens to one that has gone meanwhile."""

        async def steer() -> None:
            with contextlib.suppress(NotFound):
                getattr((await self._opened()).downloads, step)(download_id)

        self._services_thread.submit(steer(), "download")

    def use_builtin(self) -> None:
        """Let the built-in engine answer from now on."""

        async def use() -> None:
            await (await self._opened()).local_ai.use_builtin()

        self._services_thread.submit(use(), "use the built-in engine")

    def kill_engine(self) -> None:
        """Stop the built-in engine at once, whatever it does; the next question starts it anew."""

        async def kill() -> None:
            (await self._opened()).builtin.kill()

        self._services_thread.submit(kill(), "kill the engine")

    def publish(self, wanted: Wanted) -> Publishing:
        """A publication for the user, not yet started."""
        p2p = self.services.p2p
        return Publishing(self._services_thread, lambda: p2p.publish(Path(wanted.path), wanted.to, wanted.name))

    def _apply_decision(self, _origin: str) -> None:
        if self._blocked != (blocked := self.policy().blocked):
            self._blocked = blocked
            self.web.refresh_scripts()

    def _apply_settings(self, keys: frozenset[str]) -> None:
        if "trust.allowlist" in keys:
            self.web.refresh_scripts()

    def check(self) -> None:
        """Raise why the services could not start, if they could not."""
        if self._opening is not None and self._opening.done():
            self._opening.result()

    def close(self) -> None:
        """Stop engines and services, and give the profile back. Every page must be gone before. Safe to call twice."""
        if self._is_closed:
            return
        self._is_closed = True
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self.web.close()
        try:
            if self._opening is not None:
                self.call(self._close(self._opening)).result(timeout=15)
        finally:
            self._services_thread.stop()
            self._lock.release()

    async def _close(self, opening: Future[Services]) -> None:
        try:
            services = await asyncio.wrap_future(opening)
        except Exception:  # noqa: BLE001 - told when it failed; there is nothing to close
            return
        await self._control.close()
        await services.close()
