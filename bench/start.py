"""From the start of the process to the first paint, and to the first token; loads of a model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from bench import direct
from bench.asking import WINDOW_LLM, in_page, on_command_line
from bench.direct import question
from bench.processes import bare_view, browser_window
from bench.rows import Row
from bench.world import BrowserChild, World, engine_alone, half_model, model_settings
from peersky.llm.library.catalogue import STARTER_FILE

BUDGET_S: Final = {True: 50.0, False: 180.0}
_MOST_PAINT: Final = 1.2

_QUESTION: Final = """(async () => {
  const asked = performance.now();
  for await (const delta of window.llm.complete('What is PeerSky?', {maxTokens: 5})) return performance.now() - asked;
})()"""


def measure(world: World) -> list[Row]:
    """All rows of the section."""
    return [*_window(world), *_command(world), *_loads(world)]


def _window(world: World) -> list[Row]:
    """The first round only fills the file cache and writes byte code; it does not count."""
    ours: list[float] = []
    base: list[float] = []
    token: list[float] = []
    engine: list[float] = []
    settings = model_settings(STARTER_FILE)
    for number in world.rounds(4 if world.quick else 13, 3, 0.6):
        for side in ("window", "view") if number % 2 else ("view", "window"):
            if side == "view":
                with bare_view(world) as view:
                    base.append(view.first_paint_s())
                continue
            with browser_window(world, world.profile(settings)) as window:
                ours.append(window.first_paint_s())
                token.append(ours[-1] + float(window.evaluate(_QUESTION)) / 1000)
        engine.append(base[-1] + _engine_first_token_s(STARTER_FILE))
    note = "the view shows one line of text, PeerSky its home page; each in a new profile, files in the system's cache"
    asked = "first paint and, asked right after it, the first token of the starter model, engine not running before"
    return [
        Row("first paint", "s", ours[1:], base[1:], "bare QWebEngineView", most=_MOST_PAINT, note=note),
        Row("window to first token", "s", token[1:], engine[1:], "bare view, then engine alone", note=asked),
    ]


def _engine_first_token_s(model: Path) -> float:
    """From the start of the engine's process to its first token, without the browser."""
    began_s = time.time()
    with engine_alone(model) as port:
        answer = direct.ask(port, question(5))
        return answer.times_ms[0] / 1000 - began_s


def _command(world: World) -> list[Row]:
    ours: list[float] = []
    base: list[float] = []
    for _ in world.rounds(3 if world.quick else 9, 2, 0.5):
        profile = world.profile(model_settings(STARTER_FILE))
        ours.append(on_command_line(profile, 5).first_ms / 1000)
        base.append(_engine_first_token_s(STARTER_FILE))
    return [Row("peersky ask, no browser running, to first token", "s", ours, base, "engine alone")]


def _loads(world: World) -> list[Row]:
    """The model of 528 MB: the browser's first load, and one after its engine had been stopped."""
    ours: list[float] = []
    again: list[float] = []
    base: list[float] = []
    for _ in world.rounds(1 if world.quick else 5, 1):
        base.append(_engine_first_token_s(half_model()))
        with BrowserChild(world.profile(model_settings(half_model()))) as browser:
            page = browser.page()
            ours.append(in_page(browser, page, WINDOW_LLM, question(5)).first_ms / 1000)
            browser.ask("stop_engine")
            again.append(in_page(browser, page, WINDOW_LLM, question(5)).first_ms / 1000)
    note = "528 MB, in the system's file cache"
    return [
        Row("model load to first token, 0.5B", "s", ours, base, "engine alone", note=note),
        Row("the same again, engine stopped between", "s", again, base, "engine alone", note=note),
    ]
