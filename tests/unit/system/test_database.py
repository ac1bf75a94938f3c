"""A SQLite file on a real disk: durability against kill -9, damage, backups, migrations, and what is left behind."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peersky.core.errors import ProfileUnusable
from peersky.system.database import Database

TABLE = "CREATE TABLE notes (text TEXT NOT NULL)"


def database(folder: Path, *migrations: str, notices: list[str] | None = None) -> Database:
    said = [] if notices is None else notices
    return Database(folder / "notes.sqlite3", migrations or (TABLE,), on_notice=said.append)


def put(text: str) -> Any:
    return lambda connection: connection.execute("INSERT INTO notes VALUES (?)", (text,))


def texts(connection: sqlite3.Connection) -> list[str]:
    return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY rowid")]


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def modes_of(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


def contents(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def keep(folder: Path, *notes: str) -> None:
    """Open, write and close."""
    one = database(folder)
    await one.write(lambda connection: connection.executemany("INSERT INTO notes VALUES (?)", [(n,) for n in notes]))
    await one.close()


async def test_what_is_written_is_there_the_next_time(tmp_path: Path) -> None:
    await keep(tmp_path, "a", "b")
    again = database(tmp_path)
    assert await again.read(texts) == ["a", "b"]
    await again.close()
    assert names(tmp_path) == ["notes.sqlite3", "notes.sqlite3.backup"]


async def test_nothing_is_made_before_the_first_use(tmp_path: Path) -> None:
    one = database(tmp_path)
    await one.close()
    await one.close()
    assert names(tmp_path) == []
    with pytest.raises(ProfileUnusable, match="closing"):
        await one.read(texts)


async def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        one = database(tmp_path)
        await one.write(put("a"))
        modes = modes_of(tmp_path)
        await one.close()
    finally:
        os.umask(before)
    assert set(modes) == {"notes.sqlite3", "notes.sqlite3-wal", "notes.sqlite3-shm", "notes.sqlite3.backup"}
    assert set(modes.values()) == {0o600}
    assert set(modes_of(tmp_path).values()) == {0o600}


async def test_a_write_is_whole_or_not_at_all(tmp_path: Path) -> None:
    one = database(tmp_path)

    def half(connection: sqlite3.Connection) -> None:
        put("half")(connection)
        raise KeyError("no")

    with pytest.raises(KeyError):
        await one.write(half)
    await one.write(put("whole"))
    assert await one.read(texts) == ["whole"]
    await one.close()


async def test_writes_at_once_wait_for_one_another(tmp_path: Path) -> None:
    one = database(tmp_path)
    await asyncio.gather(*(one.write(put(str(number))) for number in range(50)))
    assert sorted(map(int, await one.read(texts))) == list(range(50))
    await one.close()


async def test_a_fault_in_our_sql_stays_one(tmp_path: Path) -> None:
    one = database(tmp_path)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await one.read(lambda connection: connection.execute("SELECT * FROM nowhere"))
    await one.close()


# --- migrations


async def test_migrations_run_once_and_in_order(tmp_path: Path) -> None:
    await keep(tmp_path, "a")
    second = "ALTER TABLE notes ADD COLUMN seen INTEGER NOT NULL DEFAULT 7"
    for _ in range(2):
        one = database(tmp_path, TABLE, second)
        assert await one.read(lambda c: c.execute("SELECT text, seen FROM notes").fetchall()) == [("a", 7)]
        await one.close()


@pytest.mark.fault("An upgrade of a database fails half-way")
async def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    await keep(tmp_path, "a")
    one = database(tmp_path, TABLE, "DELETE FROM notes; SELECT * FROM nowhere")
    for _ in range(2):
        with pytest.raises(ProfileUnusable, match=r"no such table: nowhere\). Nothing in it was changed"):
            await one.read(texts)
    await one.close()
    again = database(tmp_path)
    assert await again.read(texts) == ["a"]
    await again.close()


@pytest.mark.fault("A database of a newer PeerSky")
async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    newer = database(tmp_path, TABLE, "CREATE TABLE more (x)")
    await newer.write(put("a"))
    await newer.close()
    before = (tmp_path / "notes.sqlite3").read_bytes()
    one = database(tmp_path)
    with pytest.raises(ProfileUnusable, match="newer PeerSky"):
        await one.read(texts)
    await one.close()
    assert (tmp_path / "notes.sqlite3").read_bytes() == before


# --- damage

RUIN: dict[str, Callable[[Path], Any]] = {
    "overwritten": lambda file: file.write_bytes(b"x" * 5000),
    "cut": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "a ruined page": lambda file: file.write_bytes(file.read_bytes()[:4096] + b"\xff" * (file.stat().st_size - 4096)),
    "emptied": lambda file: file.write_bytes(b""),
    "deleted": Path.unlink,
}


@pytest.mark.fault("A damaged database")
@pytest.mark.parametrize("how", RUIN)
async def test_a_damaged_file_is_kept_and_its_backup_takes_its_place(tmp_path: Path, how: str) -> None:
    await keep(tmp_path, *("note" for _ in range(2000)))
    file = tmp_path / "notes.sqlite3"
    RUIN[how](file)
    ruined = file.read_bytes() if file.exists() else None
    notices: list[str] = []
    one = database(tmp_path, notices=notices)
    assert await one.read(texts) == ["note"] * 2000
    await one.write(put("new"))
    await one.close()
    (notice,) = notices
    assert "was restored" in notice
    kept = [name for name in names(tmp_path) if ".damaged-" in name]
    assert len(kept) == (ruined is not None)
    if ruined is not None:
        assert (tmp_path / kept[0]).read_bytes() == ruined
        assert kept[0] in notice
    again = database(tmp_path, notices=notices)
    assert (await again.read(texts))[-1] == "new"
    await again.close()
    assert len(notices) == 1


@pytest.mark.fault("A damaged database without a good backup")
@pytest.mark.parametrize("backup", [None, b"", b"x" * 5000], ids=["none", "empty", "damaged"])
async def test_without_a_good_backup_it_begins_empty_and_says_so(tmp_path: Path, backup: bytes | None) -> None:
    await keep(tmp_path, "a")
    (tmp_path / "notes.sqlite3").write_bytes(b"x" * 5000)
    backup_file = tmp_path / "notes.sqlite3.backup"
    backup_file.unlink() if backup is None else backup_file.write_bytes(backup)
    notices: list[str] = []
    one = database(tmp_path, notices=notices)
    assert await one.read(texts) == []
    await one.close()
    assert "begins empty" in notices[0]


@pytest.mark.fault("A database damaged while it is open")
async def test_damage_that_is_found_in_the_middle_is_repaired_by_the_next_use(tmp_path: Path) -> None:
    await keep(tmp_path, *("note" * 100 for _ in range(2000)))
    notices: list[str] = []
    one = database(tmp_path, notices=notices)
    await one.read(lambda connection: connection.execute("PRAGMA cache_size = 1"))
    RUIN["a ruined page"](tmp_path / "notes.sqlite3")
    with pytest.raises(ProfileUnusable, match="is damaged"):
        await one.read(texts)
    assert len(await one.read(texts)) == 2000
    assert "was restored" in notices[0]
    await one.close()


async def test_a_disk_that_refuses_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.sqlite3").mkdir()
    one = database(tmp_path)
    with pytest.raises(ProfileUnusable, match="directory where a file belongs"):
        await one.read(texts)
    await one.close()


@pytest.mark.fault("Full disk: a database loses the write and nothing else")
async def test_a_full_disk_costs_the_write_and_nothing_else(tmp_path: Path) -> None:
    one = database(tmp_path)
    await one.write(put("a"))

    def shrink(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA max_page_count = 3")

    await one.read(shrink)
    with pytest.raises(ProfileUnusable, match="the disk is full"):
        await one.write(put("b" * 100_000))
    await one.write(put("c"))
    assert await one.read(texts) == ["a", "c"]
    await one.close()


# --- what is left behind


async def test_what_is_deleted_is_nowhere(tmp_path: Path) -> None:
    await keep(tmp_path, "a secret", "something else")
    one = database(tmp_path)
    await one.write(lambda connection: connection.execute("DELETE FROM notes WHERE text = 'a secret'"))
    await one.forget_deleted()
    assert b"something else" in contents(tmp_path)
    assert b"a secret" not in contents(tmp_path)
    assert await one.read(texts) == ["something else"]
    await one.close()
    assert names(tmp_path) == ["notes.sqlite3", "notes.sqlite3.backup"]


async def test_erase_leaves_nothing_and_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("stays")
    await keep(tmp_path, "a")
    (tmp_path / "notes.sqlite3").write_bytes(b"x" * 5000)
    one = database(tmp_path)
    await one.read(texts)
    await one.erase()
    assert names(tmp_path) == ["other.txt"]
    assert await one.read(texts) == []
    await one.close()


# --- kill -9

WRITER = """
import asyncio, sys
from pathlib import Path
from peersky.system.database import Database

async def main():
    one = Database(Path(sys.argv[1]), ("CREATE TABLE notes (text TEXT NOT NULL)",))
    for number in range(1_000_000):
        await one.write(lambda connection: connection.execute("INSERT INTO notes VALUES (?)", (str(number),)))
        print(number, flush=True)

asyncio.run(main())
"""


def killed_in_mid_write(file: Path, acknowledged: int) -> int:
    """Let a process write until so many writes were acknowledged, and kill it. The number of its last one that was."""
    command = [sys.executable, "-c", WRITER, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(acknowledged):
            assert writer.stdout.readline()
        writer.kill()
        return acknowledged - 1 + len(writer.stdout.readlines())


@pytest.mark.fault("kill -9 in the middle of writes to a database")
@pytest.mark.parametrize("acknowledged", [1, 7, 60])
async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, acknowledged: int) -> None:
    last = await asyncio.to_thread(killed_in_mid_write, tmp_path / "notes.sqlite3", acknowledged)
    notices: list[str] = []
    one = database(tmp_path, notices=notices)
    found = await one.read(texts)
    await one.close()
    # One more may be there: written, and the process killed before it could say so.
    assert found in ([str(n) for n in range(last + 1)], [str(n) for n in range(last + 2)])
    assert notices == []
