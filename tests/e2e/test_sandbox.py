"""An ordinary user browses with Chromium's sandbox on; root only ever without a window, and is told so."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import OrdinaryUser

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

TIMEOUT_S = 60
# Waits in the page until the test has looked at the processes.
SCRIPT = "await new Promise((done) => setTimeout(done, 5000)); return [self.origin, 6 * 7]"


def test_an_ordinary_user_has_the_sandbox(as_ordinary_user: OrdinaryUser) -> None:
    command = as_ordinary_user.argv("eval", "peersky://home/", SCRIPT)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=as_ordinary_user.environment, stdout=pipe, stderr=pipe, text=True) as process:
        renderer = _renderer(process.pid)
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{renderer.pid}/status").read_text().splitlines())
        arguments = renderer.cmdline()
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out) == (0, '["peersky://home", 42]\n'), err
    assert "sandbox" not in err
    assert "--no-sandbox" not in arguments
    assert status["Seccomp"].strip() == "2", "system calls of pages are filtered"
    assert status["NoNewPrivs"].strip() == "1"
    assert int(status["Uid"].split()[0]) != 0


def _renderer(browser: int) -> psutil.Process:
    """The process that runs the page, once it filters its system calls."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        for child in psutil.Process(browser).children(recursive=True):
            try:
                # A renderer is a fork of the zygote and keeps its command line; only renderers have the filter.
                if "Seccomp:	2" in Path(f"/proc/{child.pid}/status").read_text():
                    return child
            except (psutil.Error, OSError):
                continue
        assert psutil.Process(browser).status() != psutil.STATUS_ZOMBIE, "the browser ended early"
    raise AssertionError("no sandboxed renderer appeared")


@pytest.mark.skipif(sys.platform == "linux" and os.geteuid() != 0, reason="asks what root is told")
def test_root_is_told_that_there_is_no_sandbox(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "peersky", "eval", "--profile", str(tmp_path / "p"), "peersky://home/", "return 1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert "running as root, so headless and without Chromium's sandbox" in done.stderr
