"""``peersky doctor``: what this machine lacks."""

from __future__ import annotations

import argparse
import json
from typing import Any, Final

from peersky.system.doctor import examine

_SIGNS: Final = {"ok": "ok     ", "note": "note   ", "missing": "MISSING"}


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "doctor",
        parents=[common],
        help="tell what this machine lacks",
        description="Exit code 0 when nothing essential lacks, else 1.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Look, and print what was found."""
    findings = examine(options.profile)
    is_well = all(finding.state != "missing" for finding in findings)
    if options.json:
        print(json.dumps({"ok": is_well, "findings": [finding.as_object() for finding in findings]}))
    else:
        for finding in findings:
            print(f"{_SIGNS[finding.state]}  {finding.sentence}")
    return 0 if is_well else 1
