"""The commands that the README promises exist, and CI calls the same ones."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from tools.bootstrap import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


def make(*arguments: str, **environment: str) -> str:
    """What make prints."""
    outcome = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return outcome.stdout


def test_help_lists_every_command() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert phony
    assert re.findall(r"make ([\w-]+)", make("help")) == phony[1].split()


def test_arguments_reach_pytest() -> None:
    assert "-m pytest -k origins" in make("-n", "test", "ARGS=-k origins")


def test_running_installs_for_running_only() -> None:
    assert "-m tools.bootstrap run" in make("-n", "run")


def test_ci_calls_what_people_call() -> None:
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith("make")] == ["make check", "make test"]
