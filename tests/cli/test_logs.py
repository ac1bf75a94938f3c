"""`peersky logs`: the file as people read it, and followed while it grows and changes."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from pathlib import Path

import pytest

from peersky.cli.logs import entry_text, follow, last_lines
from peersky.system.logbook import Logbook
from peersky.system.paths import Profile
from tests.cli.conftest import TIMEOUT_S, Cli


def test_a_fresh_profile_has_none(cli: Cli) -> None:
    outcome = cli.run("logs")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_the_last_entries(cli: Cli, profile: Profile) -> None:
    book = Logbook(profile.log_file)
    for number in range(5):
        book.record("download-end", model="m", bytes=number, outcome="all is well", nothing=None)
    lines = cli.run("logs", "-n", "2").out.splitlines()
    assert len(lines) == 2
    assert lines[1].endswith('download-end        model=m  bytes=4  outcome="all is well"')
    entries = [json.loads(line) for line in cli.run("logs", "--json").out.splitlines()]
    assert [entry["bytes"] for entry in entries] == [0, 1, 2, 3, 4]


async def test_following(cli: Cli, profile: Profile) -> None:
    book = Logbook(profile.log_file)
    book.record("before")
    async with cli.start("logs", "-f") as process, asyncio.timeout(TIMEOUT_S):
        assert process.stdout is not None
        assert b"before" in await process.stdout.readline()
        book.record("after", model="m")
        assert b"after" in await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130


def test_following_over_a_new_file(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    lines = follow(file, 10, pause_s=0.01)
    found: list[bytes] = []
    enough = threading.Event()

    def read() -> None:
        for line in lines:
            found.append(line)
            if line == b"4":
                lines.close()
                enough.set()
                return

    reader = threading.Thread(target=read)
    reader.start()
    file.write_bytes(b"1\n2")
    with file.open("ab") as stream:
        stream.write(b"2\n3\n")
    file.replace(tmp_path / "log.jsonl.1")
    file.write_bytes(b"4\n")
    assert enough.wait(TIMEOUT_S)
    reader.join()
    assert found == [b"1", b"22", b"3", b"4"]
    assert last_lines(file, 2) == [b"3", b"4"]


@pytest.mark.attack("The command line")
def test_an_entry_cannot_steer_the_terminal() -> None:
    line = json.dumps({"at": "2026-01-01T00:00:00.000+00:00", "kind": "x\x1b]0;owned\x07", "text": "a\nb\x9b31m"})
    shown = entry_text(line.encode())
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown)
    assert entry_text(b"no json\x1b[2J\xff") == "no json [2J\ufffd"
    assert entry_text(b"[]") == "[]"
