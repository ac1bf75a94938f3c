"""Every page and app as axe-core sees it, light and dark, narrow and wide, and none scrolls sideways at any width."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.qt.accessibility import ADDRESSES, CONTROL

ROOT = Path(__file__).parents[2]
SCHEMES = ("light", "dark")
PATIENCE_S = 300
pytestmark = pytest.mark.timeout(PATIENCE_S + 30)


@pytest.fixture(scope="module")
def found() -> Mapping[str, Mapping[str, list[str]]]:
    """What was found, by scheme and address. Both looks run at the same time."""
    runs = {}
    for scheme in SCHEMES:
        command = [sys.executable, "-m", "tests.qt.accessibility", scheme]
        environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
        # Where a browser ran in this process before, they name its colours, and a look at others would wait for ever.
        environment.pop("QTWEBENGINE_CHROMIUM_FLAGS", None)
        runs[scheme] = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    reports = {}
    try:
        for scheme, run in runs.items():
            said, _ = run.communicate(timeout=PATIENCE_S)
            assert run.returncode == 0, f"The look at the {scheme} pages ended with {run.returncode}."
            reports[scheme] = json.loads(said)
    finally:
        for run in runs.values():
            run.kill()
            run.communicate()
    return reports


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("address", ["", *ADDRESSES[:-1]], ids=lambda address: address or "faults")
def test_everybody_can_use_it(found: Mapping[str, Mapping[str, list[str]]], address: str, scheme: str) -> None:
    assert found[scheme][address] == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_control_what_is_bad_is_found(found: Mapping[str, Mapping[str, list[str]]], scheme: str) -> None:
    text = "\n".join(found[scheme][CONTROL])
    for fault in ("360 px: image-alt", "1400 px: color-contrast", "320 px: 388 pixels wider"):
        assert fault in text
