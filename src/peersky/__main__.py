"""``python -m peersky`` and the ``peersky`` command."""

from __future__ import annotations

import sys

from peersky.cli import run_command


def main() -> int:
    """Run the command line; the exit code is for the shell."""
    return run_command(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
