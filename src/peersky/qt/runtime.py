"""The browser without its window: services in their thread, and the web profile that pages live in.

The window (:mod:`peersky.qt.window`) and the headless commands (:mod:`peersky.qt.headless`) both stand on it. A
QApplication must exist (:func:`peersky.qt.application.create_application`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from PyQt6.QtCore import QObject, pyqtSignal

from peersky.core.errors import NotFound, PeerSkyError
from peersky.core.origins import parse_origin
from peersky.core.trust import SITE_CAPABILITIES
from peersky.qt.application import remote_debugging_port
from peersky.qt.profile import WebProfile
from peersky.qt.publishing import Publishing
from peersky.qt.service_thread import ServiceThread
from peersky.system.profile_lock import ProfileLock
from peersky.system.prompt_port import NobodyToAsk
from peersky.web.compose import Services, open_services
from peersky.web.control import ControlServer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from concurrent.futures import Future

    from PyQt6.QtWebEngineCore import QWebEngineProfile

    from peersky.core.origins import Origin
    from peersky.core.reach import Closed
    from peersky.core.trust import Decision, Policy
    from peersky.llm.downloads import Download
    from peersky.qt.page import PeerSkyPage
    from peersky.qt.publishing import Wanted
    from peersky.system.notify_port import NotifyPort
    from peersky.system.paths import Profile
    from peersky.system.prompt_port import PromptPort
    from peersky.system.settings_store import SettingsStore

T = TypeVar("T")
_log = logging.getLogger(__name__)
_PREPARING: Final = frozenset({"installing", "starting"})


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

    open_requested = pyqtSignal(object)
    """The command line asks for a tab with this address, or (None) for the window."""


class Runtime:
    """Services, control socket and web profile of one profile directory, from :meth:`start` to :meth:`close`.

    Args:
        profile: the profile directory.
        prompts: how services ask the user; None: nobody is there to ask.
        notify: how services tell the user something; None: nobody is there to be told.

    Raises:
        ProfileUnusable: another process uses the profile, or it cannot be used.
    """

    def __init__(self, profile: Profile, prompts: PromptPort | None = None, notify: NotifyPort | None = None) -> None:
        self._closed = False
        self.activity = Activity()
        self._profile = profile
        self._lock = ProfileLock.acquire(profile)
        self._services_thread = ServiceThread()
        try:
            self.services = self.call(self._open(prompts, notify)).result()
        except BaseException:
            self._services_thread.stop()
            self._lock.release()
            raise
        self.settings: SettingsStore = self.services.settings
        self.web = WebProfile(
            self.services.apps,
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
        self._unsubscribe = self.settings.subscribe(self.activity.settings_changed.emit)

    async def _open(self, prompts: PromptPort | None, notify: NotifyPort | None) -> Services:
        services = await open_services(self._profile, prompts or NobodyToAsk(), notify)
        self._control = ControlServer(services, "browser", self.activity.open_requested.emit)
        services.bridge.subscribe(lambda origin, count: self.activity.changed.emit(str(origin), count))
        services.downloads.subscribe(self.activity.download_changed.emit)
        services.permissions.subscribe(self.activity.site_changed.emit)
        services.builtin.on_hang = self.activity.engine_hangs.emit
        services.p2p.lookups.subscribe(self.activity.lookup_changed.emit)
        node = services.p2p.node
        node.subscribe(lambda: self.activity.node_prepares.emit(node.sentence() if node.state in _PREPARING else ""))
        if prompts is not None:
            # Without a window the notice would count as shown, and nobody would have seen it.
            services.local_ai.unreachable.show = self.activity.unreachable.emit
            # With a window the browser stays; a command ends before anybody has found it.
            services.p2p.keep_sharing()
        return services

    @property
    def profile(self) -> QWebEngineProfile:
        """Chromium's profile."""
        return self.web.qt

    def policy(self) -> Policy:
        """What the user decided about origins, as it stands now."""
        return self.services.policy()

    def _closed_servers(self) -> Closed:
        closed, developer_tools = self.services.closed(), remote_debugging_port(os.environ)
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
            self.services.bridge.stop(asker)

        self._services_thread.submit(stop(parse_origin(origin)), "stop")

    def site(self, origin: Origin) -> Mapping[str, Any]:
        """What the window shows of a site: see :meth:`peersky.web.compose.Services.site`."""

        async def told() -> Mapping[str, Any]:
            await self.services.records.load()
            return self.services.site(origin)

        return self.call(told()).result()

    def decide_site(self, origin: str, capability: str, decision: Decision | None, for_good: bool) -> None:
        """Let a site do something, or not; None: as the table of rights says. See :class:`SitePermissions`."""
        permissions = self.services.permissions
        self._change_site(lambda: permissions.decide(origin, capability, decision, for_good=for_good))

    def block_site(self, origin: str) -> None:
        """Take everything from a site."""
        self._change_site(lambda: self.services.permissions.block(origin))

    def unblock_site(self, origin: str) -> None:
        """What was decided about a site counts no more; its limits stay."""

        def unblock() -> None:
            for capability in SITE_CAPABILITIES:
                self.services.permissions.decide(origin, capability, None)

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
            self.services.bridge.show_pages(origins)

        self._services_thread.submit(show(), "pages")

    def model_downloads(self) -> Sequence[Download]:
        """All downloads of models."""

        async def listed() -> Sequence[Download]:
            return self.services.downloads.list()

        return self.call(listed()).result()

    def steer_download(self, step: str, download_id: str) -> None:
        """``pause``, ``resume`` or ``cancel`` a download; nothing happens to one that has gone meanwhile."""

        async def steer() -> None:
            with contextlib.suppress(NotFound):
                getattr(self.services.downloads, step)(download_id)

        self._services_thread.submit(steer(), "download")

    def use_builtin(self) -> None:
        """Let the built-in engine answer from now on."""
        self._services_thread.submit(self.services.local_ai.use_builtin(), "use the built-in engine")

    def kill_engine(self) -> None:
        """Stop the built-in engine at once, whatever it does; the next question starts it anew."""

        async def kill() -> None:
            self.services.builtin.kill()

        self._services_thread.submit(kill(), "kill the engine")

    def publish(self, wanted: Wanted) -> Publishing:
        """A publication for the user, not yet started."""
        return Publishing(
            self._services_thread, lambda: self.services.p2p.publish(Path(wanted.path), wanted.to, wanted.name)
        )

    def _apply_decision(self, _origin: str) -> None:
        if self._blocked != (blocked := self.policy().blocked):
            self._blocked = blocked
            self.web.refresh_scripts()

    def _apply_settings(self, keys: frozenset[str]) -> None:
        if "trust.allowlist" in keys:
            self.web.refresh_scripts()

    def close(self) -> None:
        """Stop engines and services, and give the profile back. Every page must be gone before. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._unsubscribe()
        self.web.close()
        try:
            self.call(self._close()).result(timeout=15)
        finally:
            self._services_thread.stop()
            self._lock.release()

    async def _close(self) -> None:
        await self._control.close()
        await self.services.close()
