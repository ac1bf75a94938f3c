"""Attacks the browser in every way that is known, and prints one table: ``make attack``.

A row is a test function that is marked, or whose module is, with ``@pytest.mark.attack("part")``; its name is the row's
sentence, and its parameters are the ways in which it was tried. A hostile site, a hostile P2P page and a hostile
imported app stand before the real browser; a row holds if none of its ways led anywhere. ``make test`` runs the same
rows. Other arguments go to pytest (``-k frames``, ``-x``).
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Row:
    """One test function.

    Attributes:
        ways: how many of its parameters were tried.
        not_run: why some were not.
        failed: nodes that did not hold.
    """

    part: str
    sentence: str
    ways: int = 0
    seconds: float = 0.0
    not_run: set[str] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        if self.failed:
            return "FAILED"
        return "holds" if self.ways else "not run"


class Table:
    """A pytest plugin that gathers rows, and nothing else."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.broken: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if marker := item.get_closest_marker("attack"):
                name = item.nodeid.partition("[")[0]
                self.rows.setdefault(name, Row(str(marker.args[0]), sentence(name.rpartition("::")[2])))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        row = self.rows[report.nodeid.partition("[")[0]]
        row.seconds += report.duration
        if report.failed:
            row.failed.append(report.nodeid)
        elif report.skipped:
            row.not_run.add(str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else "skipped")
        elif report.when == "call":
            row.ways += 1

    def print(self) -> None:
        part = ""
        for row in sorted(self.rows.values(), key=lambda row: row.part):
            if row.part != part:
                part = row.part
                print(f"\n{part}")
            ways = f"{row.ways} ways" if row.ways > 1 else ""
            print(f"  {row.outcome:8}{ways:>9}  {row.sentence}{''.join(f'  [{why}]' for why in sorted(row.not_run))}")
            for node in row.failed:
                print(f"           {node}")


def sentence(name: str) -> str:
    """The name of a test function as people read it."""
    words = name.removeprefix("test_").replace("_", " ")
    return words[:1].upper() + words[1:]


def main(arguments: list[str]) -> int:
    """Run the rows, print the table and what it comes to; 0 if every row holds."""
    os.chdir(ROOT)
    table = Table()
    options = ["-m", "attack", "-p", "no:terminalreporter", "--ignore=tests/interop"]
    code = pytest.main([*options, *arguments], plugins=[table])
    table.print()
    outcomes = [row.outcome for row in table.rows.values()]
    ways = sum(row.ways for row in table.rows.values())
    counted = {name: outcomes.count(name) for name in ("holds", "FAILED", "not run")}
    print(
        f"\n{counted['holds']} rows hold ({ways} ways tried), {counted['FAILED']} do not, "
        f"{counted['not run']} were not run here."
    )
    for node in table.broken:
        print(f"This could not be read: {node}")
    return int(code)


if __name__ == "__main__":
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    sys.exit(main(sys.argv[1:]))
