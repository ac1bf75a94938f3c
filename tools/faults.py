"""Runs everything that goes wrong on purpose, and prints it as one table: ``make faults``.

A row is a test marked ``@pytest.mark.fault("what goes wrong")``. Each really happens: processes are killed, disks fill
up, servers break off. ``make test`` runs the same rows; ``--long`` repeats those that depend on luck many times, which
is for the night. Other arguments go to pytest (``-k engine``, ``-x``).
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LONG = "PEERSKY_LONG"
"""Set in the environment, tests repeat more; see ``long_or`` in tests/conftest.py."""


class Table:
    """A pytest plugin that prints a line for each row as it ends, and nothing else."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self._seconds = 0.0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if marker := item.get_closest_marker("fault"):
                item.user_properties.append(("row", row_of(item.name, str(marker.args[0]))))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds = report.duration if report.when == "setup" else self._seconds + report.duration
        told = dict(report.user_properties)
        if report.failed:
            self._say("FAILED", str(told.get("row", report.nodeid)), f"{report.when} of {report.nodeid}")
        elif report.skipped:
            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            self._say("not run", str(told.get("row", report.nodeid)), why.removeprefix("Skipped: "))
        elif report.when == "call":
            self._say("holds", str(told.get("row", report.nodeid)), str(told.get("how", "")))

    def _say(self, outcome: str, row: str, how: str) -> None:
        self.outcomes[outcome] += 1
        # On the real output: pytest keeps what tests print.
        os.write(2, f"{outcome:8}{self._seconds:6.1f} s  {row}{f'  [{how}]' if how else ''}\n".encode())


def row_of(name: str, words: str) -> str:
    """The row's name; a test with parameters has one row for each of them."""
    _, bracket, parameters = name.partition("[")
    return f"{words}: {parameters.removesuffix(']')[:60]}" if bracket else words


def main(arguments: list[str]) -> int:
    """Run the rows, print the table and what it comes to; 0 if every row that was run holds."""
    os.chdir(ROOT)
    if "--long" in arguments:
        os.environ[LONG] = "1"
        arguments = [argument for argument in arguments if argument != "--long"]
    table = Table()
    options = ["-m", "fault", "-p", "no:terminalreporter", "--ignore=tests/interop"]
    code = pytest.main([*options, *arguments], plugins=[table])
    counted = table.outcomes
    print(f"\n{counted['holds']} rows hold, {counted['FAILED']} do not, {counted['not run']} were not run here.")
    if counted["FAILED"]:
        print("What pytest says of a row: .venv/bin/python -m pytest NODE, with the name in brackets.")
    return int(code)


if __name__ == "__main__":
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    sys.exit(main(sys.argv[1:]))
