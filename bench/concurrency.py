"""Many pages that ask at once, against as many connections to the engine: throughput, fairness, stalls of the window's
thread.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench import direct
from bench.direct import question
from bench.rows import Row, percentile
from bench.world import BrowserChild, Port, World, endless_starter, half_model, model_settings

BUDGET_S: Final = {True: 55.0, False: 260.0}
TOKENS: Final = 100
"""Of one answer; whoever has one asks again at once, until the time is over."""

_LEAST_THROUGHPUT: Final = 0.97

# Answers whole and read as they come; those that are not ready at the end count as far as they are.
_LOOP: Final = """
    const body = JSON.stringify(BODY), decoder = new TextDecoder();
    let tokens = 0;
    while (Date.now() < FROM) await new Promise((r) => setTimeout(r, Math.max(0, FROM - Date.now())));
    const stop = new AbortController();
    setTimeout(() => stop.abort(), UNTIL - Date.now());
    try {
      while (Date.now() < UNTIL) {
        const response = await fetch('llm://bridge/v1/chat/completions', {method: 'POST', body, signal: stop.signal});
        for await (const part of response.body) tokens += decoder.decode(part).split('"content":').length - 1;
      }
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    }
    return tokens;
"""


def measure(world: World) -> list[Row]:
    """Rows for each number of pages, with a model as fast as none that is of use, and with one of a realistic rate."""
    sizes = (1, 4, 16) if world.quick else (1, 4, 16, 64)
    # An answer of the slower model takes some seconds.
    short, long = (2.5, 5.0) if world.quick else (5.0, 20.0)
    rows = _with_model(world, "starter model", endless_starter(), sizes, short, 2 if world.quick else 4)
    return rows + _with_model(world, "0.5B model", half_model(), sizes[-2:], long, 1)


def _with_model(world: World, what: str, model: Path, sizes: Sequence[int], seconds: float, rounds: int) -> list[Row]:
    rows: list[Row] = []
    with BrowserChild(world.profile(model_settings(model))) as browser:
        pages = [browser.page()]
        browser.run(pages[0], "await llm.complete('x', {maxTokens: 2})")
        port = browser.engine()
        for size in sizes:
            while len(pages) < size:
                pages.append(browser.page())
            rows += _together(world, browser, pages[:size], port, what, seconds, rounds)
    return rows


def _together(
    world: World, browser: BrowserChild, pages: list[int], port: Port, what: str, seconds: float, rounds: int
) -> list[Row]:
    size = len(pages)
    ours: list[float] = []
    base: list[float] = []
    fair: list[float] = []
    fair_direct: list[float] = []
    late: list[float] = []
    for number in world.rounds(rounds, 1):
        for side in ("pages", "direct") if number % 2 else ("direct", "pages"):
            if side == "pages":
                browser.ask("ticks", on=True)
                counts = _in_pages(browser, pages, seconds)
                late += browser.ask("ticks", on=False)
                ours.append(sum(counts) / seconds)
                fair.append(max(counts) / max(1, min(counts)))
            else:
                counts = _on_sockets(port, size, seconds)
                base.append(sum(counts) / seconds)
                fair_direct.append(max(counts) / max(1, min(counts)))
    who = f"{size} page{'s' * (size > 1)} at once, {what}"
    rows = [Row(f"throughput, {who}", "tokens/s", ours, base, f"{size} connections", least=_LEAST_THROUGHPUT)]
    if size > 1:
        note = f"tokens of the page that got most ÷ least in {seconds:g} s of asking again and again"
        rows.append(Row(f"most ÷ least served, {who}", "times", fair, fair_direct, f"{size} connections", note=note))
    note = "how much later than due a timer of 5 ms came on the window's thread, in all rounds together"
    rows.append(Row(f"window's thread late, p99, {who}", "ms", [percentile(late, 0.99)], kind="value", note=note))
    rows.append(Row(f"window's thread late, at most, {who}", "ms", [max(late)], kind="value"))
    return rows


def _in_pages(browser: BrowserChild, pages: list[int], seconds: float) -> list[int]:
    from_ms = time.time() * 1000 + 300
    body: dict[str, Any] = question(TOKENS)
    script = _LOOP.replace("BODY", json.dumps(body)).replace("UNTIL", f"{from_ms + seconds * 1000:.0f}")
    running = [browser.start(page, script.replace("FROM", f"{from_ms:.0f}")) for page in pages]
    return [browser.wait(number) for number in running]


def _on_sockets(port: Port, size: int, seconds: float) -> list[int]:
    counts = [0] * size
    until_s = time.monotonic() + seconds

    def loop(own: int) -> None:
        while time.monotonic() < until_s:
            counts[own] += direct.count(port, question(TOKENS), until_s)

    threads = [threading.Thread(target=loop, args=(own,)) for own in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts
