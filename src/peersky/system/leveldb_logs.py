"""Logs of Chromium's databases after a kill: what was cut off in the middle is cut off cleanly.

Chromium keeps IndexedDB and localStorage in LevelDB, and tells it to go on writing into the log that it finds. A record
that a kill left half stands in the middle of the log then; the start after that takes it for damage, and Chromium
deletes everything that the site had stored. So the half record goes before Chromium looks.

Format: https://github.com/google/leveldb/blob/main/doc/log_format.md (blocks of 32 KB; a record is checksum, length,
type and data, and one that crosses a block is split).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

BLOCK_BYTES: Final = 32 * 1024
_HEAD: Final = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_MASK_DELTA: Final = 0xA282EAD8


def repair_logs(folder: Path) -> list[Path]:
    """Cut half records off all logs of LevelDB below a folder. Nobody may have one of them open.

    Returns:
        The logs that were cut. One that cannot be read or written is left to Chromium.
    """
    cut = []
    for log in _logs(folder):
        try:
            if cut_off_half_record(log):
                cut.append(log)
        except OSError:
            continue
    return cut


def cut_off_half_record(log: Path) -> int:
    """Cut a log after its last whole record.

    Returns:
        How many bytes went; 0: it was whole.

    Raises:
        OSError: it cannot be read or written.
    """
    data = log.read_bytes()
    ends = _whole_records(data)
    # After a power cut a record may have its place in the file, and something else in it.
    while ends and not _is_right(data, *ends[-1]):
        ends.pop()
    end = ends[-1][1] if ends else 0
    if end < len(data) and not _is_padding(data, end):
        with log.open("r+b") as stream:
            stream.truncate(end)
            os.fsync(stream.fileno())
        return len(data) - end
    return 0


def _logs(folder: Path) -> Iterator[Path]:
    # A folder that holds a file CURRENT is a database of LevelDB.
    for current in folder.rglob("CURRENT"):
        yield from current.parent.glob("*.log")
        yield from current.parent.glob("MANIFEST-*")


def _whole_records(data: bytes) -> list[tuple[int, int]]:
    """Where each record begins and ends, up to the first that is not whole."""
    found: list[tuple[int, int]] = []
    at, first = 0, None
    while True:
        left = BLOCK_BYTES - at % BLOCK_BYTES
        if left < _HEAD.size:
            at += left
            continue
        if at + _HEAD.size > len(data):
            return found
        _, length, kind = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + length
        if _HEAD.size + length > left or end > len(data):
            return found
        if kind == _FULL and first is None:
            found.append((at, end))
        elif kind == _FIRST and first is None:
            first = at
        elif kind == _LAST and first is not None:
            found.append((first, end))
            first = None
        elif kind != _MIDDLE or first is None:
            return found
        at = end


def _is_right(data: bytes, start: int, end: int) -> bool:
    """Whether the checksums of all parts of a record fit."""
    at = start
    while at < end:
        left = BLOCK_BYTES - at % BLOCK_BYTES
        if left < _HEAD.size:
            at += left
            continue
        checksum, length, _ = _HEAD.unpack_from(data, at)
        stop = at + _HEAD.size + length
        if _masked(_crc32c(data[at + 6 : stop])) != checksum:
            return False
        at = stop
    return True


def _is_padding(data: bytes, end: int) -> bool:
    """Whether what follows the last record is the rest of its block, which holds no record any more."""
    left = BLOCK_BYTES - end % BLOCK_BYTES
    return left < _HEAD.size and len(data) - end <= left and not any(data[end:])


def _masked(checksum: int) -> int:
    """As LevelDB stores it."""
    return ((checksum >> 15 | checksum << 17) + _MASK_DELTA) & 0xFFFFFFFF


def _crc32c(data: bytes) -> int:
    """CRC-32C (RFC 3720, appendix B.4); the standard library has the other polynomial only."""
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum = _TABLE[(checksum ^ byte) & 0xFF] ^ (checksum >> 8)
    return checksum ^ 0xFFFFFFFF


def _table_entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ 0x82F63B78 if value & 1 else value >> 1
    return value


_TABLE: Final = tuple(map(_table_entry, range(256)))
