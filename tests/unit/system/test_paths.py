"""The profile directory: created private, refused in one sentence."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from peersky.core.errors import ProfileUnusable
from peersky.system.paths import default_root, open_profile

NOBODY = 65534


def test_a_new_profile_is_private(tmp_path: Path) -> None:
    profile = open_profile(tmp_path / "a" / "b")
    for path in (profile.root, *(entry for entry in profile.root.iterdir() if entry.is_dir())):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert profile.models_dir.is_dir()
    assert profile.settings_file.parent == profile.root


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    profile = open_profile(tmp_path / "p")
    (profile.models_dir / "m.gguf").write_bytes(b"x")
    assert open_profile(tmp_path / "p") == profile
    assert (profile.models_dir / "m.gguf").read_bytes() == b"x"


def test_a_directory_of_the_users_keeps_its_mode(tmp_path: Path) -> None:
    """Somebody who types --profile /tmp must not find /tmp closed to everybody else."""
    tmp_path.chmod(0o777)
    open_profile(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o777


def test_the_profile_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_profile(Path("p")).root == tmp_path / "p"


def test_without_a_name_it_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_root().is_relative_to(tmp_path)
    assert open_profile(None).root == default_root()


def test_a_file_is_no_profile(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("x")
    with pytest.raises(ProfileUnusable, match="there is a file where a directory belongs"):
        open_profile(tmp_path / "p")


def test_below_a_file_is_no_profile(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("x")
    with pytest.raises(ProfileUnusable, match="a part of the path is a file"):
        open_profile(tmp_path / "p" / "q")


def test_a_nul_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(ProfileUnusable, match="is no path of a directory"):
        open_profile(tmp_path / "a\x00b")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_directory_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "p"
    root.mkdir(mode=0o555)
    open_it = _open_as_nobody if os.geteuid() == 0 else open_profile
    with pytest.raises(ProfileUnusable, match="this user may not write there"):
        open_it(root)


def _open_as_nobody(root: Path) -> None:
    """Root may write everywhere, so a child gives that up and reports what it saw."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.seteuid(NOBODY)
            open_profile(root)
        except ProfileUnusable as error:
            os.write(writer, error.message.encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        message = pipe.read()
    os.waitpid(child, 0)
    if message:
        raise ProfileUnusable(message)


@pytest.mark.fault("Full disk at the start")
def test_a_full_disk_is_found_out_at_once(tmp_path: Path) -> None:
    """A limit of the file size stands in for the full disk: the write fails in the middle either way."""
    script = (
        "import resource, sys; from pathlib import Path; from peersky.system.paths import open_profile\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))\n"
        "try: open_profile(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "p")]
    outcome = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert outcome.stdout.startswith("ProfileUnusable PeerSky cannot use the profile directory")
