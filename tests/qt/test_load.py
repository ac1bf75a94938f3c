"""Many pages whose answers stream at once: nothing is lost, the order is kept, memory stays flat.

``make load`` has 50 pages that stream for ten minutes; ``make test`` a short form. How long the main thread stood
still is counted and told, and asserted nowhere: that depends on what else the machine does.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any, Final

import psutil
import pytest
from PyQt6.QtCore import QObject, QTimer

from peersky.core.chat import ChatChunk, ChatRequest
from peersky.llm import bridge as bridge_module
from peersky.llm.bridge import Bridge
from peersky.qt.driver import wait_until
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from peersky.web.llm_app import make_llm_app
from tests.fakes.scripted_provider import END, Log, ScriptedProvider, Step
from tests.qt.llm_lab import page_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

LONG: Final = bool(os.environ.get("PEERSKY_LONG"))
PAGES: Final = 50 if LONG else 8
TOKENS: Final = 12_000 if LONG else 2000
PAUSE_S: Final = 0.05 if LONG else 0.0
"""Between two tokens; 20 tokens a second are what people watch."""

PATIENCE_S: Final = 1500 if LONG else 90
STALL_S: Final = 0.1
MOST_GROWTH: Final = 64 * 1024**2
"""What the browser's own process may take in addition while the answers stream, in bytes."""

READ = """
window.state = {count: 0, wrong: 0, done: false};
(async () => {
  const state = window.state;
  for await (const {content} of window.llm.chat({messages: [{role: 'user', content: 'Count'}]})) {
    for (const word of content.split(' ').filter(Boolean)) {
      if (Number(word) !== state.count) state.wrong += 1;
      state.count += 1;
    }
  }
  state.done = true;
})().catch((error) => { window.state.error = `${error}`; window.state.done = true; });
0
"""


class Counting(ScriptedProvider):
    """Counts, at the pace of a model."""

    is_local = False

    def __init__(self) -> None:
        super().__init__(self._count)
        self.everybody = asyncio.Event()

    def _count(self, request: ChatRequest) -> Sequence[Step]:
        return [*(ChatChunk(content=f"{number} ") for number in range(TOKENS)), END]

    async def _play(self, script: Sequence[Step], finished: list[bool]) -> AsyncIterator[ChatChunk]:
        if self.open == PAGES:
            self.everybody.set()
        # Only then do all of them stream at the same time.
        await self.everybody.wait()
        async for chunk in super()._play(script, finished):
            yield chunk
            await asyncio.sleep(PAUSE_S)


class Stalls(QObject):
    """Looks every 10 ms whether the main thread still runs."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[float] = []
        self._last = time.monotonic()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._tick)
        self._timer.start(10)

    def _tick(self) -> None:
        now = time.monotonic()
        if now - self._last > STALL_S:
            self.found.append(now - self._last)
        self._last = now


@pytest.mark.timeout(PATIENCE_S + 600)
def test_many_pages_stream_at_once(
    world: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(bridge_module, "REMOTE_PARALLEL", PAGES)
    settings = SettingsStore(tmp_path / "settings.json", SecretStore(tmp_path / "secrets.json"))
    settings.change({"llm.enabled": True, "llm.provider": "builtin"})
    provider = Counting()
    bridge = Bridge(settings, {"builtin": provider}, Log())
    lab = world(hyper=page_app, llm=make_llm_app(bridge, lambda: lab.policy))
    pages = [lab.page(f"hyper://tab-{number}/") for number in range(PAGES)]
    stalls, process = Stalls(), psutil.Process()
    for page in pages:
        page.page.runJavaScript(READ)
    wait_until(provider.everybody.is_set, 120, "Not all pages have asked.")
    before, began = process.memory_info().rss, time.monotonic()
    wait_until(lambda: provider.open == 0, PATIENCE_S, "The answers do not end.")
    seconds, after = time.monotonic() - began, process.memory_info().rss
    for page in pages:
        assert page.evaluate(
            "while (!window.state.done) await new Promise((go) => setTimeout(go, 20)); return window.state;",
            timeout_s=60,
        ) == {"count": TOKENS, "wrong": 0, "done": True}
    assert (provider.most_open, provider.cut) == (PAGES, 0)
    lab.services.call(bridge.close()).result(10)
    longest = max(stalls.found, default=0.0)
    with capsys.disabled():
        print(
            f"\n{PAGES} pages, {TOKENS} tokens each in {seconds:.1f} s: nothing lost, in order; "
            f"memory {before >> 20} to {after >> 20} MB; the main thread stood still over 100 ms "
            f"{len(stalls.found)} times, at most {longest * 1000:.0f} ms"
        )
    assert after - before < MOST_GROWTH
