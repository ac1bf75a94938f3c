"""The command line: one module per command, :func:`run_command` chooses. It shares the services of the browser."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import peersky
from peersky.cli.terminal import say
from peersky.core.errors import PeerSkyError

EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130
EXIT_BROKEN_PIPE: Final = 141

Command = Callable[[argparse.Namespace], int]

# Only the module of the command that is run is imported: the window opens sooner.
_MODULES: Final = {
    "run": "browser",
    "eval": "browser",
    "shot": "browser",
    "chat": "chat",
    "ask": "ask",
    "models": "models",
    "publish": "publish",
    "settings": "settings",
    "logs": "logs",
    "doctor": "doctor",
}


def run_command(arguments: list[str]) -> int:
    """Run one command.

    Args:
        arguments: those after the program's name.

    Returns:
        The exit code: 0 done, 1 failed with a sentence on standard error, 2 used wrongly, 130 interrupted; what else
        there is stands with the command.
    """
    parser = _parser(arguments[0] if arguments else "")
    options = parser.parse_args(arguments)
    if not hasattr(options, "run"):
        parser.print_help()
        return 0
    run: Command = options.run
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        # A character that the terminal cannot show must not cost the answer.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        code = run(options)
        sys.stdout.flush()
        return code
    except PeerSkyError as error:
        say(f"peersky: {error.message}")
        return EXIT_FAILED
    except KeyboardInterrupt:
        say("")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough. Python flushes again at exit; let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE


def _parser(command: str) -> argparse.ArgumentParser:
    """The parser for a command; for all of them where ``command`` is none."""
    parser = argparse.ArgumentParser(prog="peersky", description=peersky.__doc__)
    parser.add_argument("--version", action="version", version=f"PeerSky {peersky.__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--profile", type=Path, metavar="DIR", help="directory of the profile")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for module in dict.fromkeys([_MODULES[command]] if command in _MODULES else _MODULES.values()):
        importlib.import_module(f"peersky.cli.{module}").add_to(commands, common)
    return parser
