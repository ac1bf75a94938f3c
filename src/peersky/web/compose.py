"""The composition root: builds the services of one profile and hands each what it needs. No globals, no Qt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from starlette.routing import Route
from starlette.types import ASGIApp

import peersky
from peersky.core.origins import P2P_SCHEMES, Origin
from peersky.core.reach import Closed
from peersky.llm.local_ai import LocalAi
from peersky.llm.memory import MemoryStore, Partition
from peersky.llm.providers.builtin import BuiltinProvider
from peersky.llm.providers.ollama import OllamaProvider
from peersky.llm.providers.openai_compat import OpenAIProvider
from peersky.p2p.install import install
from peersky.p2p.program import Install
from peersky.p2p.publisher import Network, publish
from peersky.system.app_store import AppStore
from peersky.system.foundation import Foundation
from peersky.system.logbook import Logbook, LogbookHandler
from peersky.system.notify_port import NobodyToNotify, NotifyPort
from peersky.system.paths import Profile
from peersky.system.permissions import Key, SitePermissions
from peersky.system.prompt_port import PromptPort
from peersky.system.settings_store import SettingsStore
from peersky.system.site_records import Event, SiteRecords
from peersky.system.tasks import TaskOwner
from peersky.web.about_api import AboutApi
from peersky.web.activity_api import ActivityApi
from peersky.web.apps_api import AppsApi, Forget, Publish
from peersky.web.docs_api import DocsApi
from peersky.web.imported_apps import ImportedApps
from peersky.web.llm_app import make_llm_app
from peersky.web.local_ai_api import LocalAiApi
from peersky.web.logs_api import LogsApi
from peersky.web.memory_app import memory_routes, with_memory
from peersky.web.p2p_service import P2PService
from peersky.web.pages_app import make_pages_app
from peersky.web.publish_lines import publish_lines
from peersky.web.sites_api import SitesApi, site_summary

ASSETS: Final = Path(peersky.__file__).parent / "assets"
SOURCE: Final = Path(peersky.__file__).parents[2]


class Services:
    """Everything that runs behind the URL schemes. Made by :func:`open_services`, on the service loop.

    Attributes:
        apps: the ASGI app of each URL scheme.
        tasks: owner of tasks that belong to no part in particular.
        prompts: through which a service asks the user.
        local_ai: back ends, downloads and what belongs to them; ``bridge`` and ``downloads`` are parts of it.
        memory: what pages keep with ``window.llmMemory``.
        permissions: what the user decided about sites.
        records: what sites used of the models, and who asked for what.
        p2p: the P2P node and what stands on it.
        app_store: the apps that the user added.
    """

    def __init__(
        self,
        foundation: Foundation,
        notify: NotifyPort,
        install_node: Install,
    ) -> None:
        self._foundation = foundation
        self.profile = profile = foundation.profile
        self.settings = settings = foundation.settings
        self.logbook = logbook = foundation.logbook
        self.prompts = foundation.prompts
        self.permissions = foundation.permissions
        self.policy = foundation.policy
        self.tasks = TaskOwner("services")
        self.builtin = builtin = BuiltinProvider(settings, profile.models_dir, logbook.record)
        self.records = SiteRecords(
            profile.records_file, lambda sentence: logbook.record("activity.notice", text=sentence), logbook.clean
        )
        foundation.on_answer = self._note_answer
        self.local_ai = LocalAi(
            profile,
            settings,
            builtin,
            {
                "ollama": lambda endpoint: OllamaProvider(settings, logbook.record, endpoint=endpoint),
                "openai": lambda endpoint: OpenAIProvider(settings, logbook.record, endpoint=endpoint),
            },
            self.permissions,
            notify,
            logbook.record,
            self.records,
        )
        self.bridge, self.downloads = self.local_ai.bridge, self.local_ai.downloads
        self.memory = MemoryStore(
            profile.memory_file,
            lambda: settings.flag("llm.memoryEnabled"),
            lambda sentence: logbook.record("memory.notice", text=sentence),
        )
        self.p2p = P2PService(
            *(profile, settings, self.permissions, self.policy, ASSETS, install_node, logbook.record),
            self.records.note,
        )
        apis = internal_apis(settings, logbook, self.local_ai, self.memory)
        for host, routes in site_apis(self.permissions, self.records, settings).items():
            apis[host] = [*apis.get(host, []), *routes]
        for host, routes in self.p2p.apis(self.memory).items():
            apis[host] = [*apis.get(host, []), *routes]
        self.app_store = AppStore(profile.apps_dir, lambda sentence: logbook.record("apps.notice", text=sentence))
        for host, routes in app_apis(self.app_store, self._publish_app, self._forget_origin, profile).items():
            apis[host] = [*apis.get(host, []), *routes]
        pages = make_pages_app(settings, self.bridge, self.policy, ASSETS, apis)
        self.apps: dict[str, ASGIApp] = {
            "peersky": ImportedApps(pages, self.app_store, self.policy, ASSETS),
            "llm": with_memory(
                make_llm_app(self.bridge, self.policy, self.records.note),
                *(self.memory, self.policy, self.permissions, self.records.note),
            ),
            **dict.fromkeys(P2P_SCHEMES, self.p2p.app),
        }
        loop = asyncio.get_running_loop()
        self._unsubscribe = (
            self.permissions.subscribe(lambda _origin: self._recheck(loop)),
            settings.subscribe(lambda keys: self._recheck(loop) if "trust.allowlist" in keys else None),
        )
        self._log_handler = LogbookHandler(logbook)
        logging.getLogger().addHandler(self._log_handler)

    def site(self, origin: Origin) -> dict[str, Any]:
        """What the window shows of a site: see :func:`peersky.web.sites_api.site_summary`. Service loop only."""
        assert self.local_ai.meter is not None
        limits = self.local_ai.meter.limits(origin, cloud=self.bridge.service(origin) is not None)
        return site_summary(self.permissions, self.records, origin, limits)

    def _recheck(self, loop: asyncio.AbstractEventLoop) -> None:
        """On whichever thread something changed. A loop that is closed has no answer that runs."""
        if not loop.is_closed():
            loop.call_soon_threadsafe(self.bridge.recheck)

    def _note_answer(self, key: Key, allowed: bool) -> None:
        origin, capability, target = key
        outcome, details = "allowed" if allowed else "declined", {"service": target} if target else {}
        self.records.note(Event(origin, capability, "prompt", outcome, not allowed, details=details))

    def closed(self) -> Closed:
        """The browser's own servers, which no page may reach. May be called on any thread."""
        node_port = self.p2p.node.port
        return self._foundation.closed((*self.builtin.ports(), *(() if node_port is None else (node_port,))))

    def _publish_app(self, folder: Path, to: Network, name: str, app: str) -> AsyncIterator[bytes]:
        publication = publish(self.p2p.node, self.p2p.ledger, folder, to, name, app)
        return publish_lines(self.p2p, self.tasks, publication)

    async def _forget_origin(self, origin: Origin) -> None:
        """Delete what is kept for an app that is gone, and what the user allowed it."""
        await self.memory.clear(Partition(str(origin)))
        self.permissions.forget(str(origin))
        await self.records.forget(str(origin))

    async def close(self) -> None:
        """Stop what runs: answers, engines, the P2P node, tasks. Safe to call twice."""
        async with AsyncExitStack() as closing:  # Backwards, and all of them even if one fails.
            closing.callback(logging.getLogger().removeHandler, self._log_handler)
            closing.push_async_callback(self.records.close)
            for unsubscribe in self._unsubscribe:
                closing.callback(unsubscribe)
            closing.push_async_callback(self.memory.close)
            closing.push_async_callback(self.p2p.close)
            closing.push_async_callback(self.local_ai.close)
            closing.push_async_callback(self.tasks.close)


def internal_apis(
    settings: SettingsStore, logbook: Logbook, local_ai: LocalAi, memory: MemoryStore
) -> dict[str, list[Route]]:
    """The APIs of the browser's own pages, by host, beside those that :func:`make_pages_app` makes itself."""
    api = LocalAiApi(settings, local_ai)
    return {
        "home": api.home_routes(),
        "settings": [*api.settings_routes(), *memory_routes(memory)],
        "logs": LogsApi(logbook, settings).routes(),
    }


def site_apis(permissions: SitePermissions, records: SiteRecords, settings: SettingsStore) -> dict[str, list[Route]]:
    """The APIs of the pages about what sites may do and what they did, by host."""
    return {
        "settings": SitesApi(permissions, records, settings).routes(),
        "activity": ActivityApi(records, settings).routes(),
    }


def app_apis(store: AppStore, publish_app: Publish, forget: Forget, profile: Profile) -> dict[str, list[Route]]:
    """The APIs of the pages that list apps and that tell about the browser, by host.

    Args:
        publish_app, forget: see :mod:`peersky.web.apps_api`.
    """
    api = AppsApi(store, publish_app, forget, ASSETS, profile.tmp_dir)
    return {
        "apps": api.routes(),
        "home": api.home_routes(),
        "about": [*AboutApi(ASSETS, profile.root).routes(), *DocsApi(SOURCE).routes()],
    }


async def open_services(
    profile: Profile,
    prompts: PromptPort,
    notify: NotifyPort | None = None,
    install_node: Install = install,
    foundation: Foundation | None = None,
) -> Services:
    """Build the services of a profile whose lock the caller holds.

    Args:
        prompts: how to ask the user; :class:`~peersky.system.prompt_port.NobodyToAsk` without a window.
        notify: how to tell the user something; None without a window.
        install_node: makes sure that the P2P node is installed, before its first start.
        foundation: that of the same profile and the same prompts, where the caller has it already.

    Raises:
        ProfileUnusable: the settings cannot be read.
    """
    # In a thread of its own, since a keyring may take its time: the user may have to unlock it.
    opened = await asyncio.to_thread(_open_foundation, foundation, profile, prompts)
    return Services(opened, notify or NobodyToNotify(), install_node)


def _open_foundation(found: Foundation | None, profile: Profile, prompts: PromptPort) -> Foundation:
    foundation = found or Foundation(profile, prompts)
    settings = foundation.settings
    if settings.is_stored("llm.baseURL") and not settings.text("llm.provider"):
        # The key decides which back end is meant, at every question; from here on it is in memory.
        settings.secret("llm.apiKey")
    return foundation
