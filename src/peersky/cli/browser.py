"""``peersky run``, ``eval`` and ``shot``: the commands that need the browser. Qt is imported when they run."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from peersky.cli.session import PATIENCE_S, find_holder
from peersky.cli.terminal import say
from peersky.core.errors import PeerSkyError, ProfileUnusable
from peersky.system.paths import Profile, open_profile
from peersky.system.profile_lock import ProfileLock

EXIT_CANNOT: Final = 2
DEFAULT_TIMEOUT_S: Final = 30.0
_PAUSE_S: Final = 0.1
_SIZE: Final = re.compile(r"([1-9]\d{1,4})x([1-9]\d{1,4})\Z")


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:
    """Declare the three commands."""
    run = commands.add_parser("run", parents=[common], help="open the browser window")
    run.add_argument("url", metavar="URL", nargs="?")
    run.set_defaults(run=run_window)

    evaluate = commands.add_parser(
        "eval",
        parents=[common],
        help="run JavaScript in a page, without a window",
        description="Opens URL, runs SCRIPT (the body of an async function; `return` gives the result) as the page "
        "itself would, and prints the result as one line of JSON. Exit code 1 with the error on a rejection.",
    )
    evaluate.add_argument("url", metavar="URL")
    evaluate.add_argument("script", metavar="SCRIPT")
    evaluate.add_argument("--timeout-s", type=_seconds, default=DEFAULT_TIMEOUT_S, metavar="N")
    evaluate.set_defaults(run=run_eval)

    shot = commands.add_parser("shot", parents=[common], help="save a picture of a page, without a window")
    shot.add_argument("url", metavar="URL")
    shot.add_argument("file", metavar="FILE.png", type=Path)
    shot.add_argument("--size", type=_size, default=(1280, 800), metavar="WxH")
    shot.add_argument("--dark", action="store_true", help="as with a dark desktop")
    shot.add_argument("--timeout-s", type=_seconds, default=DEFAULT_TIMEOUT_S, metavar="N")
    shot.set_defaults(run=run_shot)


def run_window(options: argparse.Namespace) -> int:
    """Open the window; in a browser that already runs on the profile, a tab."""
    if (reason := why_no_window(os.environ, sys.platform, _is_root())) is not None:
        say(f"peersky: {reason}")
        return EXIT_CANNOT
    profile = open_profile(options.profile)
    if _open_elsewhere(profile, options.url):
        return 0
    from peersky.qt.app import run

    return int(run(profile, options.url))


def run_eval(options: argparse.Namespace) -> int:
    """Run a script in a page."""
    profile = open_profile(options.profile)
    from peersky.qt.headless import evaluate

    return int(evaluate(profile, options.url, options.script, options.timeout_s))


def run_shot(options: argparse.Namespace) -> int:
    """Save a picture of a page."""
    profile = open_profile(options.profile)
    from peersky.qt.headless import screenshot

    file = options.file.absolute()
    return int(screenshot(profile, options.url, file, options.size, options.dark, options.timeout_s))


def why_no_window(environment: Mapping[str, str], platform: str, is_root: bool) -> str | None:
    """Why no window can open here, with what to do; None where one can.

    Args:
        platform: as ``sys.platform``.
    """
    if is_root:
        return (
            "Chromium's sandbox, which keeps web pages away from your files, does not work for root: start PeerSky as "
            "an ordinary user, for example `runuser -u NAME -- peersky run` (`adduser NAME` creates one)."
        )
    if platform == "linux" and not any(
        environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    ):
        return "There is no display to open a window on; `peersky chat` talks with the model in this terminal."
    return None


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def _open_elsewhere(profile: Profile, url: str | None) -> bool:
    """Hand the URL to the browser that holds the profile; False once nobody holds it.

    Raises:
        ProfileUnusable: a command holds it and does not end soon.
    """
    deadline_s = time.monotonic() + PATIENCE_S
    told = False
    while True:
        client = find_holder(profile)
        if client is None:
            try:
                ProfileLock.acquire(profile).release()
            except ProfileUnusable as error:
                # Somebody is just starting or ending.
                if error.reason != "profile_locked" or time.monotonic() > deadline_s:
                    raise
            else:
                return False
        else:
            try:
                holder = client.ping()
                if holder["kind"] == "browser":
                    client.open(url)
                    return True
                if time.monotonic() > deadline_s:
                    raise ProfileUnusable(
                        f"The profile is in use by another command (process {holder['pid']}); end it first, or choose "
                        "another directory with --profile."
                    )
                if not told:
                    told = True
                    say(f"Waiting for another command (process {holder['pid']}) to finish with the profile.")
            except PeerSkyError as error:
                if error.reason != "holder_gone":
                    raise
            finally:
                client.close()
        time.sleep(_PAUSE_S)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError("must be between 0 and 86400 seconds")
    return value


def _size(text: str) -> tuple[int, int]:
    match = _SIZE.match(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 1280x800")
    return int(match[1]), int(match[2])
