"""``python -m bench [--quick] [SECTION …]``: measure, keep what was measured, and write ``docs/benchmarks.md``.

Each section's rows are kept in ``build/bench``, so one may be measured again and the others stay. Sections: bridge,
concurrency, conversations, start, memory, p2p, downloads, prompts.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
import traceback
from typing import Final

from bench.report import Outcome, machine, read_outcome, show, write_outcome, write_report
from bench.rows import Row
from bench.world import World, make_world

SECTIONS: Final = ("bridge", "concurrency", "conversations", "start", "memory", "p2p", "downloads", "prompts")


def main(arguments: list[str]) -> int:
    """Run the sections named, or all; 0 if each could be measured, whatever came out."""
    quick = "--quick" in arguments
    named = [argument for argument in arguments if argument != "--quick"]
    if unknown := [name for name in named if name not in SECTIONS]:
        print(f"There is no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}.", file=sys.stderr)
        return 2
    failed = []
    with make_world(quick) as world:
        for name in named or SECTIONS:
            try:
                _measure(name, world)
            except Exception:  # noqa: BLE001 - the other sections are worth having
                traceback.print_exc()
                failed.append(name)
    outcomes = {name: outcome for name in SECTIONS if (outcome := read_outcome(name, quick)) is not None}
    if quick:
        for name, outcome in outcomes.items():
            print(show(name, outcome))
    else:
        print(f"\nWritten: {write_report(outcomes)}")
    if failed:
        print(f"Could not be measured: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


def _measure(name: str, world: World) -> None:
    section = importlib.import_module(f"bench.{name}")
    print(f"{name} …", flush=True)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    began_s = time.monotonic()
    world.begin(section.BUDGET_S[world.quick])
    rows: list[Row] = section.measure(world)
    took_s = time.monotonic() - began_s
    outcome = Outcome(rows, took_s, load, time.time(), machine())
    write_outcome(name, world.quick, outcome)
    print(show(name, outcome), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
