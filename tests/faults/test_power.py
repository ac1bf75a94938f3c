"""Power cuts, as far as a test can make one: what reached the disk is in the order in which it was synced, and may end
anywhere."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peersky.core.errors import ProfileUnusable
from peersky.system.database import Database
from peersky.system.files import sweep, write_atomically

TABLE = "CREATE TABLE notes (text TEXT NOT NULL)"
PATIENCE_S = 30


def rows(database: Database) -> list[str]:
    """All notes, read on the database's own thread; closes the database."""

    async def read() -> list[str]:
        try:
            found = await database.read(lambda c: c.execute("SELECT text FROM notes ORDER BY rowid").fetchall())
        finally:
            await database.close()
        return [text for (text,) in found]

    return asyncio.run(read())


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database whose ten writes are all in its log: it was killed before it could tidy up."""
    folder: Path = tmp_path_factory.mktemp("crashed")
    script = (
        "import asyncio, os, signal, sys; from pathlib import Path; from peersky.system.database import Database\n"
        "async def main():\n"
        "    one = Database(Path(sys.argv[1]), (sys.argv[2],))\n"
        "    for number in range(10):\n"
        "        await one.write(lambda c: c.execute('INSERT INTO notes VALUES (?)', (str(number) * 300,)))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", script, str(folder / "notes.sqlite3"), TABLE], check=False)
    assert (folder / "notes.sqlite3-wal").stat().st_size > 10_000
    return folder


@pytest.mark.fault("Power fails while a database writes: its log ends anywhere")
@given(st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_log_that_ends_anywhere(crashed: Path, tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / "now"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(crashed, folder)
    # The index of the log is rebuilt from it: nobody syncs that file.
    (folder / "notes.sqlite3-shm").unlink()
    log = folder / "notes.sqlite3-wal"
    whole = log.read_bytes()
    end = data.draw(st.integers(0, len(whole)))
    log.write_bytes(whole[:end] + data.draw(st.binary(max_size=5000)))
    notices: list[str] = []
    found = rows(Database(folder / "notes.sqlite3", (TABLE,), on_notice=notices.append))
    assert found == [str(number) * 300 for number in range(len(found))]
    assert notices == []


@pytest.mark.fault("Power fails while a file is replaced: its content is synced before its name")
def test_the_order_of_a_replacement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    sync, replace = os.fsync, Path.replace

    def see_sync(handle: int) -> None:
        happened.append("directory" if Path(f"/proc/self/fd/{handle}").is_dir() else "content")
        sync(handle)

    def see_replace(self: Path, target: Path) -> Path:
        happened.append("name")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", see_sync)
    monkeypatch.setattr(Path, "replace", see_replace)
    write_atomically(tmp_path / "a", b"1")
    assert happened == ["content", "name", "directory"]


@pytest.mark.fault("kill -9 in the middle of an upgrade of a database")
def test_killed_while_it_migrates(tmp_path: Path) -> None:
    file = tmp_path / "notes.sqlite3"
    made = Database(file, (TABLE,))
    assert rows(made) == []
    endless = (
        "INSERT INTO notes VALUES ('half'); CREATE TABLE more (n); WITH RECURSIVE all_of(n) AS "
        "(SELECT 1 UNION ALL SELECT n + 1 FROM all_of) INSERT INTO more SELECT n FROM all_of"
    )
    script = (
        "import asyncio, sys; from pathlib import Path; from peersky.system.database import Database\n"
        "one = Database(Path(sys.argv[1]), tuple(sys.argv[2:]))\n"
        "asyncio.run(one.read(lambda c: None))\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(file), TABLE, endless]) as upgrade:
        log, deadline = file.with_name("notes.sqlite3-wal"), time.monotonic() + PATIENCE_S
        while not (log.exists() and log.stat().st_size > 1 << 20):
            assert upgrade.poll() is None
            assert time.monotonic() < deadline
        upgrade.kill()
    notices: list[str] = []
    assert rows(Database(file, (TABLE,), on_notice=notices.append)) == []
    again = Database(file, (TABLE, "INSERT INTO notes VALUES ('whole')"), on_notice=notices.append)
    assert (rows(again), notices) == (["whole"], [])


@pytest.mark.fault("An upgrade of a database does the wrong thing: what was before stands in the backup")
def test_the_backup_before_an_upgrade(tmp_path: Path) -> None:
    file = tmp_path / "notes.sqlite3"
    assert rows(Database(file, (TABLE, "INSERT INTO notes VALUES ('kept')"))) == ["kept"]
    file.with_name("notes.sqlite3.backup").unlink()
    with pytest.raises(ProfileUnusable, match="Nothing in it was changed"):
        rows(Database(file, (TABLE, "SELECT 1", "DELETE FROM notes; SELECT * FROM nowhere")))
    assert rows(Database(file.with_name("notes.sqlite3.backup"), (TABLE, "SELECT 1"))) == ["kept"]


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    left = tmp_path / ".settings.json.0123abcd.tmp"
    others = [tmp_path / name for name in ("settings.json", ".hidden.tmp", "a.0123abcd.tmp")]
    for file in (left, *others):
        file.write_bytes(b"{}")
    sweep(tmp_path)
    sweep(tmp_path / "nowhere")
    assert sorted(tmp_path.iterdir()) == sorted(others)


@pytest.mark.fault("The clock is set back by years between two starts")
def test_backups_do_not_believe_the_clock(tmp_path: Path) -> None:
    file = tmp_path / "notes.sqlite3"
    assert rows(Database(file, (TABLE, "INSERT INTO notes VALUES ('a')"))) == ["a"]
    # The clock was wrong when the backup was made, and the browser is killed before it makes another.
    script = (
        "import asyncio, os, signal, sys; from pathlib import Path; from peersky.system.database import Database\n"
        "one = Database(Path(sys.argv[1]), (sys.argv[2], 'SELECT 1'))\n"
        "asyncio.run(one.write(lambda c: c.execute(\"INSERT INTO notes VALUES ('b')\")))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(file), TABLE], check=False)
    os.utime(file, (1, 1))
    assert rows(Database(file, (TABLE, "SELECT 1"))) == ["a", "b"]
    file.write_bytes(b"x" * 9000)
    notices: list[str] = []
    assert rows(Database(file, (TABLE, "SELECT 1"), on_notice=notices.append)) == ["a", "b"]
    assert "was restored" in notices[0]
