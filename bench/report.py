"""The sections' rows as a table, on the terminal and in ``docs/benchmarks.md``."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.rows import Row, figure, row_of, spread
from bench.world import CACHE, ROOT

DOCUMENT: Final = ROOT / "docs" / "benchmarks.md"
NOTES: Final = Path(__file__).with_name("notes.md")
_TITLES: Final = {
    "bridge": "The bridge",
    "concurrency": "Many at once",
    "conversations": "Long conversations",
    "start": "Start",
    "memory": "Memory",
    "p2p": "Peer-to-peer",
    "downloads": "Downloads of models",
    "prompts": "The engine's settings",
}
_HEAD: Final = """\
# How fast PeerSky is

PeerSky beside what it stands on, in one run on one machine, the sides in turn. What counts is the first column of
figures: PeerSky's figure ÷ the other side's (×), or what PeerSky adds to it (+), round by round; the absolute ones are
for orientation. Each is the median of the rounds, in brackets p10 to p90 (of less than five rounds, lowest to highest).

Written by `make bench` (half an hour; `make bench ARGS="bridge start"` measures these sections again, and the others
stay). `make bench-quick` prints the same table after five minutes, from fewer rounds. Counts, which do not depend on
the machine, are held by `tests/qt/test_counts.py` in every `make test`.
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What measuring one section gave.

    Attributes:
        took_s: how long it took.
        load: what else the machine did before: its load average of a minute.
        at: when, as :func:`time.time`.
        on: the machine.
    """

    rows: list[Row]
    took_s: float
    load: float
    at: float
    on: str


def machine() -> str:
    """One line about this computer."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else ""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9 if hasattr(os, "sysconf") else 0
    name = model or platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, {memory:.0f} GB, {platform.system()}, Python {platform.python_version()}"


def _file(name: str, quick: bool) -> Path:
    return CACHE / f"{'quick' if quick else 'full'}-{name}.json"


def write_outcome(name: str, quick: bool, outcome: Outcome) -> None:
    """Keep what a section gave."""
    CACHE.mkdir(parents=True, exist_ok=True)
    kept = {
        "rows": [row.as_object() for row in outcome.rows],
        "took_s": outcome.took_s,
        "load": outcome.load,
        "at": outcome.at,
        "on": outcome.on,
    }
    _file(name, quick).write_text(json.dumps(kept, indent=1), encoding="utf-8")


def read_outcome(name: str, quick: bool) -> Outcome | None:
    """What a section gave the last time; None if it never ran."""
    try:
        kept = json.loads(_file(name, quick).read_text("utf-8"))
    except FileNotFoundError:
        return None
    return Outcome([row_of(row) for row in kept["rows"]], kept["took_s"], kept["load"], kept["at"], kept["on"])


def _judged(row: Row) -> str:
    if row.kind == "value":
        return f"{spread(row.judged, figure)} {row.unit}"
    if row.kind == "ratio":
        return f"×{spread(row.judged, figure)}"
    return f"+{spread(row.judged, figure)} {row.unit}".replace("+-", "−")


def _goal(row: Row) -> str:
    sign = {"ratio": "×", "added": "+", "value": ""}[row.kind]
    unit = "" if row.kind == "ratio" else f" {row.unit}"
    parts = [f"≤ {sign}{figure(row.most)}{unit}"] if row.most is not None else []
    parts += [f"≥ {sign}{figure(row.least)}{unit}"] if row.least is not None else []
    return ", ".join(parts)


def _met(row: Row) -> str:
    return {True: "met", False: "**missed**", None: ""}[row.is_met]


def _cells(row: Row) -> list[str]:
    ours = "" if row.kind == "value" else f"{spread(row.ours, figure)} {row.unit}"
    base = f"{spread(row.base, figure)} {row.unit}, {row.against}" if row.base else ""
    return [row.name, _judged(row), _goal(row), _met(row), ours, base, str(len(row.ours))]


def show(name: str, outcome: Outcome) -> str:
    """A section for the terminal."""
    lines = [f"{_TITLES[name]} ({outcome.took_s:.0f} s)"]
    for row in outcome.rows:
        what, judged, goal, met, ours, base, _ = _cells(row)
        verdict = f"{goal} {met.strip('*')}".strip()
        lines.append(f"  {what:<58} {judged:<30} {verdict:<24} {ours}{' | ' + base if base else ''}")
    return "\n".join(lines)


def write_report(outcomes: Mapping[str, Outcome]) -> str:
    """Write the document; its path within the repository."""
    parts = [_HEAD]
    met = sum(row.is_met is True for outcome in outcomes.values() for row in outcome.rows)
    missed = sum(row.is_met is False for outcome in outcomes.values() for row in outcome.rows)
    machines = " and ".join(dict.fromkeys(outcome.on for outcome in outcomes.values()))
    parts.append(f"Machine: {machines}. {met} goals met, {missed} missed.\n")
    parts.append(_table(outcomes))
    parts.append(_when(outcomes))
    parts.append(NOTES.read_text("utf-8"))
    DOCUMENT.write_text("\n".join(parts), encoding="utf-8")
    return str(DOCUMENT.relative_to(ROOT))


def _table(outcomes: Mapping[str, Outcome]) -> str:
    lines = ["| What | Ratio or difference | Goal | | PeerSky | Other side | Rounds |", "|---|---|---|---|---|---|---|"]
    notes: list[str] = []
    for name, outcome in outcomes.items():
        lines.append(f"| **{_TITLES[name]}** | | | | | | |")
        for row in outcome.rows:
            cells = _cells(row)
            if row.note:
                if row.note not in notes:
                    notes.append(row.note)
                cells[0] += f" ({notes.index(row.note) + 1})"
            lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    lines += [f"{number}. {note[0].upper()}{note[1:]}." for number, note in enumerate(notes, 1)]
    return "\n".join(lines) + "\n"


def _when(outcomes: Mapping[str, Outcome]) -> str:
    said = []
    for name, outcome in outcomes.items():
        at = datetime.datetime.fromtimestamp(outcome.at, datetime.UTC)
        said.append(f"{name} {at:%Y-%m-%d %H:%M} ({outcome.took_s:.0f} s, load before {outcome.load:.1f})")
    total_s = sum(outcome.took_s for outcome in outcomes.values())
    return f"Measured (UTC): {'; '.join(said)}. Together {total_s / 60:.0f} minutes.\n"
