"""What the bridge costs: a token's way from the engine to the reader, the first token, throughput, processor time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.asking import ALONE, ways
from bench.direct import Answer, question
from bench.rows import Row, percentile
from bench.world import BrowserChild, World, endless_starter, half_model, model_settings

BUDGET_S: Final = {True: 75.0, False: 300.0}
PACED_RATE: Final = 50
"""Words a second where the way of one is timed: about what a model of half a billion weights does on two cores."""

_MOST_ADDED_MS: Final = 0.5
_MOST_ADDED_P99_MS: Final = 3.0
_MOST_ADDED_FIRST_MS: Final = 3.0
_IN_PAGES: Final = ("fetch", "window.llm")
_WAYS: Final = (*_IN_PAGES, "peersky ask")


def measure(world: World) -> list[Row]:
    """All rows of the section."""
    rows = _ways_of_a_token(world)
    rows += _throughput(world, "starter model", endless_starter(), 1000, 0.9, 3 if world.quick else 12)
    rows += _throughput(world, "0.5B model", half_model(), 60 if world.quick else 100, 0.99, 3 if world.quick else 8)
    return rows


def _ways_of_a_token(world: World) -> list[Row]:
    """From the stand-in's ``write`` to the reader: words carry the time at which they were sent."""
    middle: dict[str, list[float]] = {}
    slow: dict[str, list[float]] = {}
    count = 150 if world.quick else 400
    with (
        BrowserChild(world.profile(model_settings(endless_starter())), "--paced") as browser,
        BrowserChild(world.folder, "--bare") as bare,
    ):
        page = browser.page()
        browser.run(page, "await llm.complete('x', {maxTokens: 2})")
        each = ways(browser, page, question(count, seed=PACED_RATE), bare)
        for number in world.rounds(3, 1, 0.5):
            for name in _turned(list(each), number):
                late = _lateness(each[name]())
                middle.setdefault(name, []).append(percentile(late, 0.5))
                slow.setdefault(name, []).append(percentile(late, 0.99))
    note = f"{count} words a round, {PACED_RATE} a second, from a stand-in for the engine; clocks compared to 0.1 ms"
    rows = []
    for name in (ALONE, *_WAYS):
        goal = name in _IN_PAGES
        for what, values, most in (
            ("median", middle, _MOST_ADDED_MS),
            ("p99", slow, _MOST_ADDED_P99_MS),
        ):
            rows.append(
                Row(
                    f"a token's way, {name}, {what}",
                    "ms",
                    values[name],
                    values["direct"],
                    "plain socket",
                    "added",
                    most=most if goal else None,
                    note=note,
                )
            )
    return rows


def _lateness(answer: Answer) -> list[float]:
    """How long each word was on its way; the first ones, with the start of the reply, are left out."""
    found = []
    for time_ms, text in zip(answer.times_ms, answer.texts, strict=True):
        found += [time_ms - float(word) for word in text.split()]
    return found[3:]


def _turned(names: list[str], number: int) -> list[str]:
    """Who is first changes from round to round."""
    by = number % len(names)
    return names[by:] + names[:by]


def _throughput(world: World, what: str, model: Path, tokens: int, least: float, rounds: int) -> list[Row]:
    first: dict[str, list[float]] = {}
    speed: dict[str, list[float]] = {}
    gaps: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    with (
        BrowserChild(world.profile(model_settings(model))) as browser,
        BrowserChild(world.folder, "--bare") as bare,
    ):
        page = browser.page()
        for _ in range(2):  # Both slots have read the question: all sides find it in the cache.
            browser.run(page, f"await llm.complete({question(2)['messages'][0]['content']!r}, {{maxTokens: 2}})")
        each = ways(browser, page, question(tokens), bare)
        _warm(each)
        for number in world.rounds(rounds, 2, 0.5 if what.startswith("starter") else 1.0):
            for name in _turned(list(each), number):
                process = bare if name == ALONE else browser
                before_s = process.ask("cpu")
                answer = each[name]()
                cpu.setdefault(name, []).append((process.ask("cpu") - before_s) * 1e6 / answer.tokens)
                first.setdefault(name, []).append(answer.first_ms)
                # From the first piece on, so that the start of the command does not count as slowness.
                span_s = (answer.times_ms[-1] - answer.times_ms[0]) / 1000
                speed.setdefault(name, []).append((answer.tokens - 1) / span_s)
                between = [b - a for a, b in zip(answer.times_ms, answer.times_ms[1:], strict=False)]
                gaps.setdefault(name, []).append(percentile(between, 0.99))
    rows = []
    for name in (ALONE, *_WAYS):
        is_command = name == "peersky ask"
        goal = None if name == ALONE else least
        rows.append(
            Row(
                f"first token, {what}, {name}",
                "ms",
                first[name],
                first["direct"],
                "plain socket",
                "added",
                most=_MOST_ADDED_FIRST_MS if name in _IN_PAGES else None,
                note="the question is in the engine's cache" + (", start of the command included" * is_command),
            )
        )
        who = f"{what}, {name}"
        rows += [
            Row(f"throughput, {who}", "tokens/s", speed[name], speed["direct"], "plain socket", least=goal),
            Row(f"p99 between pieces, {who}", "ms", gaps[name], gaps["direct"], "plain socket", "added"),
            Row(f"browser's processor time, {who}", "µs/token", cpu[name], kind="value"),
        ]
    return rows


def _warm(each: dict[str, Callable[[], Answer]]) -> None:
    for ask in each.values():
        ask()
