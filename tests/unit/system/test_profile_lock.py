"""One process at a time owns a profile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from peersky.core.errors import ProfileUnusable
from peersky.system.paths import Profile, open_profile
from peersky.system.profile_lock import ProfileLock

HOLD = (
    "import sys; from pathlib import Path; from peersky.system.paths import open_profile\n"
    "from peersky.system.profile_lock import ProfileLock\n"
    "lock = ProfileLock.acquire(open_profile(Path(sys.argv[1]))); print('held', flush=True); sys.stdin.read()\n"
)


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return open_profile(tmp_path / "p")


def test_a_second_one_is_told_who_has_it(profile: Profile) -> None:
    with ProfileLock.acquire(profile):
        with pytest.raises(ProfileUnusable, match=rf"in use by another PeerSky \(process {os.getpid()}\)") as error:
            ProfileLock.acquire(profile)
        assert error.value.reason == "profile_locked"


def test_it_can_be_given_back_and_taken_again(profile: Profile) -> None:
    lock = ProfileLock.acquire(profile)
    lock.release()
    lock.release()
    ProfileLock.acquire(profile).release()


def test_the_system_takes_it_back_from_the_dead(profile: Profile) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(profile.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ProfileUnusable, match=f"process {holder.pid}"):
            ProfileLock.acquire(profile)
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
    ProfileLock.acquire(profile).release()


def test_profiles_do_not_lock_each_other(profile: Profile, tmp_path: Path) -> None:
    with ProfileLock.acquire(profile), ProfileLock.acquire(open_profile(tmp_path / "q")):
        pass


def test_a_lock_file_that_cannot_be_made_is_said(profile: Profile) -> None:
    profile.lock_file.mkdir()
    with pytest.raises(ProfileUnusable, match="there is a directory where a file belongs") as error:
        ProfileLock.acquire(profile)
    assert error.value.reason == "profile_unusable"
