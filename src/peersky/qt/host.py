"""What the window needs of the rest of the browser; :class:`peersky.qt.runtime.Runtime` is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PyQt6.QtCore import QObject
    from PyQt6.QtWebEngineCore import QWebEnginePage, QWebEngineProfile

    from peersky.core.trust import Policy
    from peersky.llm.downloads import Download
    from peersky.qt.publishing import Publishing, Wanted
    from peersky.qt.runtime import Activity
    from peersky.system.settings_store import SettingsStore


class Host(Protocol):
    """Profile, settings and activity that windows stand on. Main thread only."""

    @property
    def activity(self) -> Activity: ...
    @property
    def settings(self) -> SettingsStore: ...
    @property
    def profile(self) -> QWebEngineProfile: ...
    def policy(self) -> Policy: ...
    def new_page(self, parent: QObject | None = None) -> QWebEnginePage: ...
    def stop_generation(self, origin: str) -> None: ...
    def model_downloads(self) -> Sequence[Download]: ...
    def steer_download(self, step: str, download_id: str) -> None: ...
    def use_builtin(self) -> None: ...
    def publish(self, wanted: Wanted) -> Publishing: ...
