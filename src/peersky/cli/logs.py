"""``peersky logs``: the profile's log, from its file, so that it needs no browser and disturbs none."""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from collections import deque
from collections.abc import Generator
from pathlib import Path
from typing import Any, BinaryIO, Final

from peersky.system.files import unusable
from peersky.system.paths import open_profile

PAUSE_S: Final = 0.2
LINES: Final = 100

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "logs",
        parents=[common],
        help="what happened: downloads, answers, engine",
        description="Prints the last entries of the log. Keys never stand in it.",
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what happens, until Ctrl-C")
    parser.add_argument("-n", "--lines", type=int, default=LINES, metavar="N", help=f"how many entries; {LINES}")
    parser.add_argument("--json", action="store_true", help="one JSON object per line, as they are in the file")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print, and follow."""
    file = open_profile(options.profile).log_file
    count = max(0, options.lines)
    try:
        for line in follow(file, count) if options.follow else last_lines(file, count):
            print(line.decode("utf-8", "replace") if options.json else entry_text(line), flush=True)
    except OSError as error:
        raise unusable(error, file, "read") from error
    return 0


def last_lines(file: Path, count: int) -> list[bytes]:
    """The last entries, from the file and the older one beside it."""
    lines: deque[bytes] = deque(maxlen=count)
    for part in (_older(file), file):
        if part.exists():
            lines.extend(part.read_bytes().splitlines())
    return list(lines)


def follow(file: Path, count: int, pause_s: float = PAUSE_S) -> Generator[bytes, None, None]:
    """The last entries, then those that are written from now on, without end and over the change to a new file."""
    stream = file.open("rb") if file.exists() else None
    try:
        *lines, rest = (stream.read() if stream else b"").split(b"\n")
        before = _older(file).read_bytes().splitlines() if _older(file).exists() else []
        yield from (before + lines)[-count:] if count else []
        while True:
            data = stream.read() if stream else b""
            *lines, rest = (rest + data).split(b"\n")
            yield from lines
            if data:
                continue
            time.sleep(pause_s)
            if _replaced(file, stream):
                if stream:
                    yield from (rest + stream.read()).splitlines()
                    stream.close()
                elif not before and _older(file).exists():
                    # The first file came and went between two looks.
                    yield from _older(file).read_bytes().splitlines()
                stream, rest = file.open("rb"), b""
    finally:
        if stream:
            stream.close()


def _older(file: Path) -> Path:
    return file.with_name(file.name + ".1")


def _replaced(file: Path, stream: BinaryIO | None) -> bool:
    try:
        now = file.stat()
    except FileNotFoundError:
        return False
    if stream is None:
        return True
    return (now.st_ino, now.st_dev) != _identity(stream) or now.st_size < stream.tell()


def _identity(stream: BinaryIO) -> tuple[int, int]:
    status = os.fstat(stream.fileno())
    return status.st_ino, status.st_dev


def entry_text(line: bytes) -> str:
    """An entry for people: time, kind, and what else it says. Control characters, which could steer a terminal, go."""
    try:
        entry = json.loads(line)
        at, kind = str(entry.pop("at"))[:19].replace("T", " "), str(entry.pop("kind"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return _CONTROLS.sub(" ", line.decode("utf-8", "replace"))
    said = [f"{name}={_value(value)}" for name, value in entry.items() if value not in (None, "", [])]
    return _CONTROLS.sub(" ", f"{at}  {kind:<18}  {'  '.join(said)}".rstrip())


def _value(value: Any) -> str:
    return value if isinstance(value, str) and " " not in value else json.dumps(value, ensure_ascii=False)
