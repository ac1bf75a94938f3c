"""Bundles the P2P node: `sidecar/` and its libraries become `src/peersky/assets/sidecar/`.

    make vendor            # bundle
    ... --check            # only compare, as `make check` does

The bundle is committed, so that users get 3 MB instead of the 600 MB that `npm ci` of sidecar/package-lock.json puts
there. Comparing needs neither npm nor those: bundle.json holds digests of what the bundle was made from and of its
files.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from tools import npm

ROOT = Path(__file__).resolve().parent.parent
SIDECAR = ROOT / "sidecar"
BUNDLE = ROOT / "src" / "peersky" / "assets" / "sidecar"
MANIFEST = "bundle.json"
DOWNLOAD_MB = 250
"""What `npm ci` in sidecar/ fetches (measured)."""

# What the bundle is made from, below sidecar/. Its tests are not.
SOURCES = ("*.js", "*.json", "libraries/*.js", "natives/*.json")


def main(arguments: list[str]) -> int:
    """Bundle, or with `--check` compare; returns the exit code."""
    if arguments == ["--check"]:
        problems = differences(SIDECAR, BUNDLE)
        for problem in problems:
            print(f"{problem}. Run `make vendor`.", file=sys.stderr)
        return 1 if problems else 0
    venv = ROOT / ".venv"
    if not npm.install(venv, SIDECAR, DOWNLOAD_MB) or npm.node(venv, str(SIDECAR / "build.js"), str(BUNDLE)):
        return 1
    (BUNDLE / MANIFEST).write_text(json.dumps(manifest(SIDECAR, BUNDLE), indent=1) + "\n", encoding="utf-8")
    return 0


def manifest(sidecar: Path, bundle: Path) -> dict[str, str | dict[str, str]]:
    """Digests: one of all sources, and one of each file of the bundle."""
    sources = hashlib.sha256()
    for path in sorted({path for pattern in SOURCES for path in sidecar.glob(pattern)}):
        sources.update(f"{path.relative_to(sidecar).as_posix()} {digest(path)}\n".encode())
    files = sorted(path for path in bundle.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {
        "sources": sources.hexdigest(),
        "files": {path.relative_to(bundle).as_posix(): digest(path) for path in files},
    }


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def differences(sidecar: Path, bundle: Path) -> list[str]:
    """How the bundle differs from what its manifest says, and the manifest from the sources; one sentence each."""
    try:
        recorded = json.loads((bundle / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return [f"{MANIFEST} of the P2P node's bundle is missing or damaged"]
    actual = manifest(sidecar, bundle)
    problems = []
    if actual["sources"] != recorded.get("sources"):
        problems.append("The bundle of the P2P node was made from other sources than those in sidecar/")
    if actual["files"] != recorded.get("files"):
        problems.append("A file of the P2P node's bundle was changed, is missing or does not belong there")
    return problems


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
