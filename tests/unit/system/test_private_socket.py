"""The private socket: only this user can reach it, and what the dead leave behind is removed."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path

import pytest

from peersky.system.paths import Profile, open_profile
from peersky.system.private_socket import Address, PrivateSocket, read_address

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this platform has no Unix sockets")


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return open_profile(tmp_path / "p")


def long_profile(tmp_path: Path) -> Profile:
    return open_profile(tmp_path / ("long" * 30))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def connect(address: Address) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address.path)


def test_it_listens_where_the_profile_says(profile: Profile) -> None:
    private = PrivateSocket(profile)
    address = read_address(profile)
    assert address == private.address
    assert address is not None
    connect(address)
    assert address.path == str(profile.run_dir / "control.sock")
    private.close()


def test_only_the_user_can_reach_it(profile: Profile) -> None:
    private = PrivateSocket(profile)
    path = Path(private.address.path)
    assert mode(path) == mode(profile.control_file) == 0o600
    assert mode(path.parent) == 0o700
    assert len(private.address.token) >= 40
    assert private.address.token not in repr(private.address)
    private.close()


def test_a_path_that_is_too_long_is_replaced_by_a_private_directory(tmp_path: Path) -> None:
    profile = long_profile(tmp_path)
    private = PrivateSocket(profile)
    path = Path(private.address.path)
    assert not path.is_relative_to(profile.root)
    assert mode(path.parent) == 0o700
    connect(private.address)
    private.close()
    assert not path.parent.exists()


def test_closing_leaves_nothing(profile: Profile) -> None:
    private = PrivateSocket(profile)
    private.close()
    private.close()
    assert list(profile.run_dir.iterdir()) == []
    assert read_address(profile) is None


def test_what_the_dead_left_is_removed(tmp_path: Path) -> None:
    for profile in (open_profile(tmp_path / "p"), long_profile(tmp_path)):
        dead = PrivateSocket(profile)
        # The process dies: its descriptors are closed, its files stay.
        dead.listener.close()
        private = PrivateSocket(profile)
        connect(private.address)
        assert private.address.token != dead.address.token
        if private.address.path != dead.address.path:
            assert not Path(dead.address.path).parent.exists()
        private.close()


def test_closing_late_does_not_take_the_next_ones_announcement(profile: Profile) -> None:
    first = PrivateSocket(profile)
    second = PrivateSocket(profile)
    first.close()
    assert read_address(profile) == second.address
    second.close()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"path": "x"}', '{"path": "x", "port": "y", "pid": 1}'])
def test_an_announcement_that_makes_no_sense_is_none(profile: Profile, content: str) -> None:
    profile.control_file.write_text(content)
    assert read_address(profile) is None


def test_a_file_of_the_users_that_a_false_announcement_names_stays(profile: Profile, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("x")
    announcement = {"path": str(precious), "port": 0, "pid": 1, "token": "t"}
    profile.control_file.write_text(json.dumps(announcement))
    PrivateSocket(profile).close()
    assert precious.read_text() == "x"


def test_without_unix_sockets_it_is_loopback_and_the_token(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    private = PrivateSocket(profile)
    assert private.address.path == ""
    assert private.listener.getsockname() == ("127.0.0.1", private.address.port)
    private.close()
