"""`peersky run` where no window can open, and where one is open already."""

from __future__ import annotations

import asyncio
import os

import pytest

from peersky.cli.browser import why_no_window
from peersky.system.paths import Profile
from peersky.system.profile_lock import ProfileLock
from tests.cli.conftest import TIMEOUT_S, Cli, Holder

WITH_DISPLAY = {"DISPLAY": ":0"}


@pytest.mark.parametrize(
    ("environment", "platform", "is_root", "words"),
    [
        (WITH_DISPLAY, "linux", True, "Chromium's sandbox"),
        ({}, "linux", True, "Chromium's sandbox"),
        ({}, "linux", False, "`peersky chat`"),
        ({"DISPLAY": ""}, "linux", False, "`peersky chat`"),
    ],
)
def test_why_there_is_no_window(environment: dict[str, str], platform: str, is_root: bool, words: str) -> None:
    assert words in (why_no_window(environment, platform, is_root) or "")


@pytest.mark.parametrize(
    ("environment", "platform"),
    [
        (WITH_DISPLAY, "linux"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux"),
        ({"QT_QPA_PLATFORM": "offscreen"}, "linux"),
        ({}, "darwin"),
        ({}, "win32"),
    ],
)
def test_where_a_window_can_open(environment: dict[str, str], platform: str) -> None:
    assert why_no_window(environment, platform, False) is None


def test_without_a_window_it_says_why_in_one_sentence(cli: Cli) -> None:
    outcome = cli.run("run")
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 1
    assert ("Chromium's sandbox" if os.geteuid() == 0 else "no display") in outcome.err
    assert not cli.profile.exists()


RUN = "import sys; from peersky.cli import browser, run_command; browser.why_no_window = lambda *_: None; "
IMPATIENT = "browser.PATIENCE_S = 0.2; "


async def run_as_if_there_were_a_display(cli: Cli, *arguments: str) -> tuple[int | None, str]:
    """`peersky run` past the look for a display, which these tests must do without."""
    script = RUN + IMPATIENT + "sys.exit(run_command(sys.argv[1:]))"
    argv = cli.argv("run", *arguments)
    argv[1:3] = ["-c", script]
    process = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.PIPE, env=cli.environment)
    async with asyncio.timeout(TIMEOUT_S):
        _, err = await process.communicate()
    return process.returncode, err.decode()


async def test_an_open_browser_gets_the_url(cli: Cli, holder: Holder) -> None:
    assert await run_as_if_there_were_a_display(cli, "peersky://home/") == (0, "")
    assert await run_as_if_there_were_a_display(cli) == (0, "")
    assert holder.opened == ["peersky://home/", None]


async def test_a_holder_that_does_not_answer_is_named(cli: Cli, profile: Profile) -> None:
    with ProfileLock.acquire(profile):
        code, err = await run_as_if_there_were_a_display(cli)
    assert code == 1
    assert f"in use by another PeerSky (process {os.getpid()})" in err
