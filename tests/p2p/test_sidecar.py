"""The P2P node's own tests (`sidecar/test/*.test.js`): real processes on loopback. Each of them is a test here, too."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from peersky.p2p import install
from peersky.p2p.program import node_binary

SIDECAR = Path(__file__).resolve().parents[2] / "sidecar"
FILES = sorted((SIDECAR / "test").glob("*.test.js"))
TIMEOUT_S = 240

# A test's name in its file: `test("…", …)`. Names that are put together at run time are not listed, but run as well.
_NAMED = re.compile(r'^test\("((?:[^"\\]|\\.)*)"', re.MULTILINE)


def names() -> Iterator[tuple[str, str]]:
    for file in FILES:
        for name in _NAMED.findall(file.read_text("utf-8")):
            yield file.name, name.replace('\\"', '"')


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """The failure of every test that ran, by file and name; empty for those that passed. One run of `node --test`."""
    folder = install.installed()
    assert folder, "the addons are installed by `make test`"
    report = tmp_path_factory.mktemp("sidecar") / "report.xml"
    command = [
        str(node_binary()), "--test", "--test-timeout=60000", "--test-concurrency=2", "--test-force-exit",
        "--test-reporter=junit", f"--test-reporter-destination={report}", *map(str, FILES),
    ]  # fmt: skip
    environment = {**os.environ, "PEERSKY_NATIVES": str(folder), "NODE_NO_WARNINGS": "1"}
    run = subprocess.run(
        command, cwd=SIDECAR, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert report.is_file(), run.stdout + run.stderr
    found = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        failure = case.find("failure")
        text = "" if failure is None else f"{failure.get('message', '')}\n{failure.text or ''}"
        found[Path(case.get("file", "")).name, case.get("name", "")] = text
    return found


@pytest.mark.timeout(TIMEOUT_S + 30)
@pytest.mark.parametrize(("file", "name"), list(names()))
def test_sidecar(outcomes: dict[tuple[str, str], str], file: str, name: str) -> None:
    assert (file, name) in outcomes, f"{file} did not run it; it ended early"
    assert not outcomes[file, name], outcomes[file, name]


@pytest.mark.timeout(TIMEOUT_S + 30)
def test_no_other_test_of_the_sidecar_failed(outcomes: dict[tuple[str, str], str]) -> None:
    listed = set(names())
    failures = {key: text for key, text in outcomes.items() if text and key not in listed}
    assert not failures
