"""The internal pages over the real parts about models, with back ends that answer as told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from PyQt6.QtCore import Qt
from PyQt6.QtTest import QTest
from PyQt6.QtWebEngineWidgets import QWebEngineView
from starlette.routing import Route

import peersky
from peersky.core.chat import ModelInfo
from peersky.core.origins import Origin
from peersky.llm.endpoint import Endpoint
from peersky.llm.local_ai import LocalAi
from peersky.llm.memory import MemoryStore
from peersky.llm.providers.base import Provider, PullProgress
from peersky.llm.providers.ollama import OllamaProvider
from peersky.llm.providers.openai_compat import OpenAIProvider
from peersky.p2p.ledger import Ledger
from peersky.qt.driver import PageDriver, wait_until
from peersky.system.app_store import AppStore
from peersky.system.logbook import Logbook
from peersky.system.paths import open_profile
from peersky.system.permissions import SitePermissions
from peersky.system.prompt_port import Consent, Question
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from peersky.system.site_records import SiteRecords
from peersky.web.compose import app_apis, internal_apis, site_apis
from peersky.web.imported_apps import ImportedApps
from peersky.web.llm_app import make_llm_app
from peersky.web.p2p_api import p2p_apis
from peersky.web.pages_app import make_pages_app
from tests.fakes.node_double import NodeDouble
from tests.fakes.scripted_provider import Hold, ScriptedProvider

ASSETS = Path(peersky.__file__).parent / "assets"
PATIENCE_S = 20.0
KEYBOARD: Any = QTest  # PyQt's stubs take the functions of this namespace for methods.


class Puller(ScriptedProvider):
    """A built-in engine that can fetch models: reports what the test says, and waits until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.pulled: list[str] = []
        self.progress = [PullProgress("Downloading", 250_000_000, 1_000_000_000)]
        self.hold = Hold()
        self.failure: Exception | None = None

    async def remove(self, model: str) -> int:
        self.infos = [info for info in self.infos if info.name != model]
        return 1_000_000_000

    async def ensure(self, model: str, report: Callable[[PullProgress], None]) -> None:
        self.pulled.append(model)
        for progress in self.progress:
            report(progress)
        await self.hold.wait()
        if self.failure:
            raise self.failure
        self.infos = [*self.infos, ModelInfo(model, self.kind)]


class Person:
    """Answers the browser's questions with yes."""

    def __init__(self) -> None:
        self.questions: list[Question] = []

    async def ask(self, question: Question) -> Consent:
        self.questions.append(question)
        return Consent.FOR_GOOD


class Notices:
    """Keeps what the user was told."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def notify(self, title: str, text: str) -> None:
        self.seen.append((title, text))


class PagesLab:
    """The real apps, and as many pages as are opened."""

    def __init__(self, folder: Path, world: Callable[..., Any], **apps: Any) -> None:
        self.profile = open_profile(folder / "profile")
        self.settings = SettingsStore(self.profile.settings_file, SecretStore(self.profile.secrets_file))
        self.logbook = Logbook(self.profile.log_file)
        self.builtin = Puller()
        self.person, self.notices = Person(), Notices()
        self.permissions = SitePermissions(self.profile.permissions_file, self.person, self._allowlist)
        self.records = SiteRecords(self.profile.records_file, clean=self.logbook.clean)
        self.ai = LocalAi(
            self.profile,
            self.settings,
            self.builtin,
            {"ollama": self._ollama, "openai": self._openai},
            self.permissions,
            self.notices,
            self.logbook.record,
            self.records,
        )
        self.memory = MemoryStore(
            self.profile.memory_file, lambda: self.settings.flag("llm.memoryEnabled"), lambda _sentence: None
        )
        self.node = NodeDouble()
        self.ledger = Ledger(self.profile.ledger_file)
        self.app_store = AppStore(self.profile.apps_dir)
        self.publications: list[tuple[Path, str, str, str]] = []
        self.forgotten: list[Origin] = []
        pages = make_pages_app(
            self.settings,
            self.ai.bridge,
            lambda: self.world.policy,
            ASSETS,
            self._apis(),
        )
        imported = ImportedApps(pages, self.app_store, lambda: self.world.policy, ASSETS)
        self.world = world(peersky=imported, llm=make_llm_app(self.ai.bridge, lambda: self.world.policy), **apps)
        self.tabs: list[Tab] = []

    def _apis(self) -> dict[str, list[Route]]:
        apis = internal_apis(self.settings, self.logbook, self.ai, self.memory)
        for host, routes in site_apis(self.permissions, self.records, self.settings).items():
            apis.setdefault(host, []).extend(routes)
        for host, routes in p2p_apis(self.node, self.ledger, self.memory).items():
            apis.setdefault(host, []).extend(routes)
        for host, routes in app_apis(self.app_store, self._publish, self._forget, self.profile).items():
            apis.setdefault(host, []).extend(routes)
        return apis

    async def _publish(self, folder: Path, to: str, name: str, app: str) -> AsyncIterator[bytes]:
        """A node that tells how far it is, and then an address."""
        self.publications.append((folder, to, name, app))
        for line in ({"sentence": "Starting."}, {"done": 1, "total": 2, "files": 0, "totalFiles": 1}):
            yield json.dumps(line).encode() + b"\n"
        yield json.dumps({"url": f"{to}://{name}/", "root": f"{to}://{name}/"}).encode() + b"\n"

    async def _forget(self, origin: Origin) -> None:
        self.forgotten.append(origin)

    def _allowlist(self) -> frozenset[str]:
        allowlist = self.settings.get("trust.allowlist")
        assert isinstance(allowlist, list)
        return frozenset(allowlist)

    def _ollama(self, endpoint: Callable[[], Endpoint]) -> Provider:
        return OllamaProvider(self.settings, self.logbook.record, endpoint=endpoint)

    def _openai(self, endpoint: Callable[[], Endpoint]) -> Provider:
        return OpenAIProvider(self.settings, self.logbook.record, endpoint=endpoint)

    def open(self, url: str, width: int = 1000, height: int = 900) -> Tab:
        self.tabs.append(Tab(self.world.page(), width, height))
        self.tabs[-1].page.load(url)
        return self.tabs[-1]

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do something on the service loop."""
        return self.world.services.call(work).result(PATIENCE_S)

    def release(self) -> None:
        """Let the downloads of the built-in engine end."""

        async def go() -> None:
            self.builtin.hold.released.set()

        self.call(go())

    def close(self) -> None:
        for tab in self.tabs:
            tab.view.deleteLater()
        self.call(self.ai.close())
        self.call(self.records.close())
        self.call(self.memory.close())
        self.call(self.ledger.close())


class Tab:
    """One page on the screen."""

    def __init__(self, page: PageDriver, width: int, height: int) -> None:
        self.page = page
        self.view = QWebEngineView()
        self.view.setPage(page.page)
        self.view.resize(width, height)
        self.view.show()

    def run(self, script: str) -> Any:
        return self.page.evaluate(script, timeout_s=PATIENCE_S)

    def until(self, condition: str) -> None:
        """Wait until an expression is true in the page."""
        what = f"This did not become true: {condition}"
        wait_until(lambda: bool(self.run(f"return Boolean({condition})")), PATIENCE_S, what)

    def text(self, selector: str) -> str:
        return str(self.run(f"return document.querySelector({json.dumps(selector)}).innerText"))

    def until_text(self, selector: str, part: str) -> None:
        """Wait until an element is to be seen and says something."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.until(f"{found}?.checkVisibility() && {found}.innerText.includes({json.dumps(part)})")

    def click(self, selector: str) -> None:
        self.until(f"document.querySelector({json.dumps(selector)})?.checkVisibility()")
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def fill(self, selector: str, text: str) -> None:
        """Type over a field, and leave it."""
        self.run(
            f"const field = document.querySelector({json.dumps(selector)}); field.focus();"
            f"field.value = {json.dumps(text)}; field.dispatchEvent(new Event('input', {{bubbles: true}}));"
            "field.dispatchEvent(new Event('change', {bubbles: true}))"
        )

    def value(self, selector: str) -> Any:
        return self.run(f"return document.querySelector({json.dumps(selector)}).value")

    @property
    def focused(self) -> str:
        """Id, or else the text, of what has the focus."""
        return str(self.run("return document.activeElement.id || document.activeElement.innerText"))

    def key(self, key: Qt.Key) -> None:
        """Press a key as a person would: through Chromium's input."""
        KEYBOARD.keyClick(self.view.focusProxy(), key)

    def write(self, text: str) -> None:
        """Type a text where the focus is."""
        KEYBOARD.keyClicks(self.view.focusProxy(), text)

    def focus_view(self) -> None:
        self.view.activateWindow()
        self.view.setFocus()
        wait_until(lambda: bool(self.run("return document.hasFocus()")), PATIENCE_S, "The page has no focus.")

    def tab_to(self, condition: str, most: int = 60) -> None:
        """Press Tab until what has the focus (``e``) is what was meant."""
        before = "document.activeElement"
        for _ in range(most):
            if self.run(f"const e = document.activeElement; return Boolean({condition})"):
                return
            self.run(f"window.was = {before}")
            self.key(Qt.Key.Key_Tab)
            wait_until(
                lambda: bool(self.run("return document.activeElement !== window.was")), PATIENCE_S, "Tab does nothing."
            )
        raise AssertionError(f"Tab does not lead to {condition}.")

    def grab(self, file: Path) -> None:
        self.view.grab().save(str(file))
