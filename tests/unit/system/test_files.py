"""Files that are private, and replaced whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from peersky.core.errors import ProfileUnusable
from peersky.system.files import make_directory, unusable, write_atomically


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_atomically(tmp_path / "a", b"1")
    finally:
        os.umask(before)
    assert mode(tmp_path / "a") == 0o600


def test_a_file_that_others_could_read_becomes_private(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"old")
    file.chmod(0o644)
    write_atomically(file, b"new")
    assert file.read_bytes() == b"new"
    assert mode(file) == 0o600


def test_nothing_else_is_left_in_the_directory(tmp_path: Path) -> None:
    for number in range(3):
        write_atomically(tmp_path / "a", bytes([number]))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "real"
    target.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


@pytest.mark.fault("Full disk: a file of the profile keeps its old content")
def test_a_disk_that_is_full_costs_nothing_that_was_there(tmp_path: Path) -> None:
    """A limit of the file size stands in for the full disk: the write fails in the middle either way."""
    file = tmp_path / "a"
    file.write_bytes(b"old")
    script = (
        "import resource, sys; from pathlib import Path; from peersky.system.files import write_atomically\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))\n"
        "try: write_atomically(Path(sys.argv[1]), bytes(5000))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    outcome = subprocess.run([sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=True)
    assert outcome.stdout.startswith("ProfileUnusable PeerSky cannot write")
    assert file.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_directory_in_the_place_of_the_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(ProfileUnusable, match="there is a directory where a file belongs"):
        write_atomically(tmp_path / "a", b"1")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "this user may not write there"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EMFILE, "PeerSky has too many files open"),
        (errno.ENXIO, os.strerror(errno.ENXIO)),
    ],
)
def test_the_sentence_says_why_and_what_to_do(number: int, words: str) -> None:
    error = unusable(OSError(number, os.strerror(number)), Path("/x"))
    assert error.message == (
        f"PeerSky cannot write /x: {words}. Free or repair it, or choose another directory with --profile."
    )


def test_a_directory_is_made_private(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o755)
    make_directory(tmp_path / "a")
    make_directory(tmp_path / "b")
    assert mode(tmp_path / "a") == mode(tmp_path / "b") == 0o700
