"""Logs of LevelDB after a kill or a power cut: whole records stay, the half one goes, a whole log is not touched."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from peersky.system.leveldb_logs import BLOCK_BYTES, _crc32c, _masked, cut_off_half_record, repair_logs

FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
SMALL, LARGE = b"a record", bytes(range(256)) * 300


class Log:
    """Writes as LevelDB's log_writer.cc does."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ends: list[int] = []

    def add(self, content: bytes) -> None:
        begin = True
        while True:
            left = BLOCK_BYTES - len(self.data) % BLOCK_BYTES
            if left < 7:
                self.data += bytes(left)
                left = BLOCK_BYTES
            part, content = content[: left - 7], content[left - 7 :]
            kind = (FULL if begin else LAST) if not content else (FIRST if begin else MIDDLE)
            checksum = _masked(_crc32c(bytes([kind]) + part))
            self.data += struct.pack("<IHB", checksum, len(part), kind) + part
            begin = False
            if not content:
                break
        self.ends.append(len(self.data))


@pytest.fixture
def log() -> Log:
    made = Log()
    for content in (SMALL, LARGE, b"", SMALL, LARGE, SMALL):
        made.add(content)
    return made


def cut(folder: Path, data: bytes) -> bytes:
    """What is left of a log."""
    file = folder / "000003.log"
    file.write_bytes(data)
    gone = cut_off_half_record(file)
    kept = file.read_bytes()
    assert kept == data[: len(kept)]
    assert gone == len(data) - len(kept)
    return kept


def test_the_checksum_is_that_of_the_specification() -> None:
    assert _crc32c(bytes(32)) == 0x8A9136AA
    assert _crc32c(b"\xff" * 32) == 0x62A8AB43


def test_a_whole_log_is_not_touched(tmp_path: Path, log: Log) -> None:
    for end in [0, *log.ends]:
        assert len(cut(tmp_path, bytes(log.data[:end]))) == end


def test_wherever_it_was_cut_the_whole_records_stay(tmp_path: Path, log: Log) -> None:
    near = {one + by for one in [0, *log.ends] for by in range(-9, 10)}
    blocks = {block * BLOCK_BYTES + by for block in range(1, 6) for by in range(-9, 10)}
    for end in sorted(near | blocks | set(range(0, len(log.data), 997))):
        if 0 <= end <= len(log.data):
            whole = max([0, *(one for one in log.ends if one <= end)])
            assert len(cut(tmp_path, bytes(log.data[:end]))) == whole, end


def test_what_a_power_cut_left_of_the_last_record_goes_too(tmp_path: Path, log: Log) -> None:
    end, before = log.ends[-1], log.ends[-2]
    zeros = log.data[: before + 7] + bytes(end - before - 7)
    assert len(cut(tmp_path, bytes(zeros))) == before
    assert len(cut(tmp_path, bytes(log.data + bytes(5000)))) == end
    noise = log.data[:before] + b"\x55" * 300
    assert len(cut(tmp_path, bytes(noise))) == before


def test_the_rest_of_a_block_without_room_for_a_record_stays(tmp_path: Path) -> None:
    log = Log()
    log.add(bytes(BLOCK_BYTES - 7 - 5))
    padded = bytes(log.data) + bytes(5)
    assert cut(tmp_path, padded) == padded
    assert len(cut(tmp_path, padded + b"\x01\x02")) == len(log.data)


def test_a_log_that_was_written_on_after_a_half_record_keeps_what_came_before(tmp_path: Path, log: Log) -> None:
    """As Chromium leaves it when it is not stopped: what comes after the half record cannot be read by anybody."""
    half = log.data[: log.ends[-2] + 9]
    assert len(cut(tmp_path, bytes(half + Log().data + log.data[: log.ends[0]]))) == log.ends[-2]


def test_all_databases_below_a_folder_and_nothing_else(tmp_path: Path, log: Log) -> None:
    half = bytes(log.data[:-3])
    for name in ("IndexedDB/one.leveldb", "Local Storage/leveldb"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "CURRENT").write_text("MANIFEST-000001\n")
        (folder / "MANIFEST-000001").write_bytes(half)
        (folder / "000005.log").write_bytes(half)
        (folder / "000004.ldb").write_bytes(half)
    (tmp_path / "other.log").write_bytes(half)
    assert {file.name for file in repair_logs(tmp_path)} == {"MANIFEST-000001", "000005.log"}
    assert repair_logs(tmp_path) == []
    assert (tmp_path / "other.log").read_bytes() == half
    assert repair_logs(tmp_path / "absent") == []
