"""Memory of the idle window, of each further tab, and after a thousand answers and a thousand pages."""

from __future__ import annotations

import time
from typing import Final

from bench.processes import bare_view, browser_window, open_tab, tree_memory_mb
from bench.rows import Row
from bench.world import BrowserChild, World, model_settings
from peersky.llm.library.catalogue import STARTER_FILE

BUDGET_S: Final = {True: 60.0, False: 330.0}
FURTHER_TABS: Final = 5
_MOST_MORE_MB: Final = 60.0
_MOST_GROWTH: Final = 1.05
_PAGES: Final = ("peersky://home/", "peersky://settings/llm", "peersky://p2p/", "peersky://about/")
_ASK: Final = "for (let i = 0; i < COUNT; i++) await llm.complete('What is PeerSky?', {maxTokens: 8});"
# Memory is compared with memory, not with garbage, which V8 leaves lying until its young generation is full: some
# 50 kB for each fetch, whoever answers it.
_COLLECT: Final = "for (let i = 0; i < 3; i++) { gc(); await new Promise((r) => setTimeout(r, 300)); }"


def measure(world: World) -> list[Row]:
    """All rows of the section."""
    return [*_window(world), *_use(world)]


def _window(world: World) -> list[Row]:
    idle: list[float] = []
    bare: list[float] = []
    tab: list[float] = []
    bare_tab: list[float] = []
    settle_s = 2.0 if world.quick else 5.0
    for _ in world.rounds(1 if world.quick else 3, 1, 0.4):
        with bare_view(world) as view:
            view.first_paint_s()
            time.sleep(settle_s)
            bare.append(view.memory_mb())
        with bare_view(world, 1 + FURTHER_TABS) as view:
            view.first_paint_s()
            time.sleep(settle_s)
            bare_tab.append((view.memory_mb() - bare[-1]) / FURTHER_TABS)
        profile = world.profile({})
        with browser_window(world, profile) as window:
            window.first_paint_s()
            time.sleep(settle_s)
            idle.append(window.memory_mb())
            for _ in range(FURTHER_TABS):
                open_tab(world, profile, "peersky://home/")
            time.sleep(settle_s)
            tab.append((window.memory_mb() - idle[-1]) / FURTHER_TABS)
    note = "all processes together, what they share counted once (PSS)"
    return [
        Row("idle, one tab", "MB", idle, bare, "bare view", "added", most=_MOST_MORE_MB, note=note),
        Row("each further tab (home page)", "MB", tab, bare_tab, "further bare view", "added"),
    ]


def _use(world: World) -> list[Row]:
    """The same browser before and after; the first tenth fills caches and does not count."""
    answers, pages = (100, 60) if world.quick else (1000, 1000)
    rows = []
    with BrowserChild(world.profile(model_settings(STARTER_FILE)), "--gc") as browser:
        page = browser.page()

        def held_mb() -> float:
            browser.ask("collect")
            browser.run(page, _COLLECT)
            return tree_memory_mb(browser.pid)

        browser.run(page, _ASK.replace("COUNT", str(answers // 10)))
        before_mb = held_mb()
        browser.run(page, _ASK.replace("COUNT", str(answers)))
        rows.append(_growth(f"after {answers:,} answers", held_mb(), before_mb))
        for number in range(pages // 10):
            browser.ask("load", page=page, url=_PAGES[number % len(_PAGES)])
        before_mb = held_mb()
        done = 0
        for number in range(pages):
            if number > 40 and world.left_s < 0:
                break
            browser.ask("load", page=page, url=_PAGES[number % len(_PAGES)])
            done += 1
        rows.append(_growth(f"after {done:,} pages", held_mb(), before_mb))
    return rows


def _growth(name: str, after_mb: float, before_mb: float) -> Row:
    note = "browser, pages and engine together, garbage collected; the first tenth of the answers or pages came before"
    return Row(name, "MB", [after_mb], [before_mb], "before", most=_MOST_GROWTH, note=note)
