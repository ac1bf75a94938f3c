"""Everything about models in one place: back ends, the bridge, downloads, and who is asked or told what.

Built once per profile by the composition root. Runs on the service loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from peersky.core.errors import NotSupported
from peersky.llm.bridge import Bridge
from peersky.llm.choice import builtin_changes
from peersky.llm.connections import Connections, MakeProvider
from peersky.llm.consent import CloudConsent
from peersky.llm.download import DOWNLOADED
from peersky.llm.downloads import Download, DownloadManager
from peersky.llm.endpoint import Endpoint, stored_endpoint
from peersky.llm.meter import Meter
from peersky.llm.model_switch import ModelSwitch
from peersky.llm.providers.base import Provider
from peersky.llm.unreachable import UnreachableNotice
from peersky.system.notify_port import NotifyPort
from peersky.system.paths import Profile
from peersky.system.permissions import SitePermissions
from peersky.system.settings_store import SettingsStore
from peersky.system.site_records import SiteRecords

DOWNLOADERS: Final = ("builtin", "ollama")
"""Back ends that fetch models. A service on the network is not among them."""


class LocalAi:
    """Builds the parts and hands each what it needs.

    Args:
        profile: where decisions and unfinished downloads are kept.
        settings: read at each request.
        builtin: the built-in engine.
        makers: how to make the other back ends for an endpoint, by kind.
        permissions: what the user decided about sites; asks the user.
        notify: how to tell the user of a download that ended.
        log: the logbook's ``record``.
        records: keeps what sites use of the models; None: nothing is counted, and nothing limited.
    """

    def __init__(
        self,
        profile: Profile,
        settings: SettingsStore,
        builtin: Provider,
        makers: Mapping[str, MakeProvider],
        permissions: SitePermissions,
        notify: NotifyPort,
        log: Callable[..., None],
        records: SiteRecords | None = None,
    ) -> None:
        self._settings = settings
        self._notify = notify
        self._builtin = builtin
        self.consent = CloudConsent(permissions)
        self.meter = Meter(settings, permissions, records) if records else None
        self.unreachable = UnreachableNotice(settings, profile.unreachable_file)
        stored = stored_endpoint(settings)
        providers = {builtin.kind: builtin, **{kind: make(stored) for kind, make in makers.items()}}
        self.bridge = Bridge(settings, providers, log, self.consent, self.unreachable.failed, self.meter)
        # Downloads have back ends of their own: one may go to a server that is not the stored one yet.
        self._downloaders = {kind: makers[kind](self._download_endpoint) for kind in DOWNLOADERS if kind in makers}
        self.downloads = DownloadManager({builtin.kind: builtin, **self._downloaders}, profile.downloads_file, log)
        self.connections = Connections(settings, builtin, makers)
        self.switch = ModelSwitch(settings, self.connections, self.downloads, profile.pending_model_file)
        self._states: dict[str, str] = {}
        self._unsubscribe = self.downloads.subscribe(self._tell_of_end)

    async def use_builtin(self) -> None:
        """Let the built-in engine answer from now on."""
        await asyncio.to_thread(self._settings.change, builtin_changes(self._settings))

    async def remove_model(self, name: str) -> int:
        """Delete a model of the built-in engine, with an unfinished download of it; the bytes that this freed.

        Raises:
            NotSupported, ProfileUnusable: as :meth:`Provider.remove`.
        """
        builtin = self._builtin
        known = (builtin.kind, builtin.canonical_name(name))
        unfinished = [d for d in self.downloads.list() if (d.provider, d.model) == known and d.state != "done"]
        for download in unfinished:
            self.downloads.cancel(download.id)
        try:
            return await builtin.remove(name)
        except NotSupported as error:
            if not unfinished or error.reason != "model_missing":
                raise
            return 0

    async def close(self) -> None:
        """Stop downloads and answers, and close the back ends. Safe to call twice."""
        self._unsubscribe()
        self.switch.close()
        self.unreachable.close()
        await self.downloads.close()
        await self.bridge.close()
        for provider in self._downloaders.values():
            await provider.close()

    def _download_endpoint(self) -> Endpoint:
        return self.switch.download_endpoint()

    def _tell_of_end(self, download: Download) -> None:
        before = self._states.get(download.id)
        self._states[download.id] = download.state
        if download.state == before:
            return
        if download.state == "done":
            fetched = download.status == DOWNLOADED
            text = "The download is done, and the model can answer." if fetched else f"{download.status}."
            self._notify.notify(f"{download.model} is ready", text)
        elif download.state == "failed":
            self._notify.notify(f"{download.model} was not downloaded", download.message)
        elif download.state == "removed":
            del self._states[download.id]
