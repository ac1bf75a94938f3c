"""``peersky publish``: a file or folder, over Hyper or IPFS; the node is that of the browser, if it runs."""

from __future__ import annotations

import argparse
import os
import threading
from pathlib import Path
from typing import Any, Final

from peersky.cli.progress import ProgressBar
from peersky.cli.session import Session
from peersky.cli.terminal import say
from peersky.core.errors import BackendFailed, InvalidRequest
from peersky.core.sizes import size_text
from peersky.system.paths import open_profile

_CUT_OFF: Final = "The P2P node stopped before everything was published. Publish it again."


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "publish",
        parents=[common],
        help="publish a file or folder",
        description="Publishes a file or folder and prints its address, and nothing else, on standard output. It is "
        "shared while PeerSky runs. Ctrl-C cancels: nothing is published then.",
    )
    parser.add_argument("path", metavar="PATH", type=Path)
    parser.add_argument("--to", choices=("hyper", "ipfs"), default="hyper", help="the network (hyper)")
    parser.add_argument(
        "--name", default="", help="of the drive (else PATH's): the same name is the same address, with new content"
    )
    parser.add_argument("--stay", action="store_true", help="then go on sharing until Ctrl-C")
    parser.set_defaults(run=run_publish)


def run_publish(options: argparse.Namespace) -> int:
    """Publish, show how far it is, and print the address."""
    # The services may run elsewhere: a file is named from where the user is.
    path = str(options.path.expanduser().absolute())
    if not os.path.lexists(path):
        raise InvalidRequest(f"There is no file or folder at {path}.", param="PATH")
    with Session(open_profile(options.profile)) as session:
        bar = ProgressBar()
        try:
            told = session.call(lambda client: _follow(client, path, options.to, options.name, bar))
        finally:
            bar.end()
        skipped = f"; {told['skipped']} were skipped, since they are no files" if told.get("skipped") else ""
        files = "1 file" if told["files"] == 1 else f"{told['files']} files"
        say(f"Published {files}, {size_text(told['bytes'])}{skipped}.")
        print(told["url"], flush=True)
        if session.is_own and options.stay:
            _share_until_interrupted()
        elif session.is_own:
            say("It is shared while PeerSky runs: `peersky run`, or --stay.")
    return 0


def _follow(client: Any, path: str, to: str, name: str, bar: ProgressBar) -> dict[str, Any]:
    """Show the progress; what was published."""
    with client.publish(path, to, name) as lines:
        for line in lines:
            if "url" in line:
                return dict(line)
            bar.show(_as_download(line))
    raise BackendFailed(_CUT_OFF, reason="interrupted")


def _as_download(line: dict[str, Any]) -> dict[str, Any]:
    """What the node tells, as the bar shows downloads."""
    done, total = line.get("done", 0), line.get("total", 0)
    return {
        "state": "running",
        "status": line.get("sentence", "Publishing"),
        "percent": 100 * done / total if total else None,
        "completedBytes": done,
        "totalBytes": total,
        "bytesPerSecond": None,
    }


def _share_until_interrupted() -> None:
    try:
        say("Shared until Ctrl-C.")
        threading.Event().wait()
    except KeyboardInterrupt:
        say("")
