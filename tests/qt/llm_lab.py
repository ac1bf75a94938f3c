"""A trusted page in the real QtWebEngine, the real bridge behind it, and a provider that answers as a test says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from peersky.core.chat import ChatChunk, ChatRequest
from peersky.llm.bridge import Bridge
from peersky.qt.driver import wait_until
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from peersky.web.llm_app import make_llm_app
from tests.fakes.scripted_provider import END, Hold, Log, ScriptedProvider, Step

HELLO: Final[list[Step]] = [ChatChunk(content="Hé"), ChatChunk(content="llo 🙂"), END]
HI: Final = "const messages = [{role: 'user', content: 'Hi'}];"


async def _page(request: Request) -> Response:
    return HTMLResponse(
        "<!doctype html><title>Test</title><script>window.early = [typeof llm, typeof _llmBridge];</script>"
    )


page_app: Final = Starlette(routes=[Route("/{path:path}", _page)])
"""A page that looks for the bridge in its first script."""


@dataclass(frozen=True)
class Case:
    """A script in the page and what it returns."""

    name: str
    script: str
    expected: Any
    answer: list[Step] | None = None


def chat(options: str = "{messages}") -> str:
    """Source of a call of ``window.llm.chat``."""
    return f"window.llm.chat({options})"


def error_of(code: str, what: str = "[e.name, e.reason, e instanceof DOMException]") -> str:
    """Source of a script that runs ``code`` and returns what it says of the error ``e``."""
    return f"{HI} try {{ {code} }} catch (e) {{ return {what}; }} return 'no error';"


class Lab:
    """A trusted page, the bridge behind it, and a provider that answers as told."""

    def __init__(self, folder: Path, world: Callable[..., Any]) -> None:
        self.settings = SettingsStore(folder / "settings.json", SecretStore(folder / "secrets.json"))
        self.settings.change({"llm.enabled": True, "llm.provider": "builtin"})
        self.provider = ScriptedProvider(HELLO)
        self.bridge = Bridge(self.settings, {"builtin": self.provider}, Log())
        llm = make_llm_app(self.bridge, lambda: self.world.policy)
        self.world = world(peersky=page_app, hyper=page_app, llm=llm)
        self.page = self.world.page("peersky://p2p/test")

    def close(self) -> None:
        self.world.services.call(self.bridge.close()).result(10)

    def run(self, script: str) -> Any:
        return self.page.evaluate(script, timeout_s=20)

    def start(self, script: str) -> None:
        """Run a script without waiting for it."""
        self.run(
            f"window.result = (async () => {{ {script} }})().then("
            "(value) => ({value}), (e) => ({error: e.name, reason: e.reason, message: e.message}));"
        )

    def result(self) -> Any:
        """What the script that was started returned, as ``{value}``, or threw, as ``{error, reason, message}``."""
        return self.run("return await window.result;")

    def reach(self, hold: Hold) -> None:
        wait_until(hold.reached.is_set, 10, "The provider was not asked.")

    def release(self, hold: Hold) -> None:
        self.on_service_thread(hold.released.set)

    def on_service_thread(self, work: Callable[[], Any]) -> Any:
        async def do() -> Any:
            return work()

        return self.world.services.call(do()).result(10)

    def until_cut(self) -> None:
        """Wait until the provider has let go of its one unfinished answer, which would go on for ever."""
        wait_until(lambda: self.provider.cut == 1, 10, "The generation was not stopped.")
        assert (self.provider.open, len(self.provider.requests)) == (0, 1)

    def fire(self, script: str) -> None:
        """Run a script that may take the page away, and do not wait for it."""
        self.page.page.runJavaScript(f"(async () => {{ {script} }})(); 0")

    @property
    def asked(self) -> ChatRequest:
        return self.provider.requests[-1]
