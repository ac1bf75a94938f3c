"""Tests PeerSky's provider of Ollama, and its model library, against a real Ollama: ``make interop``.

Ollama's server is built from its Go module, where Go is there; nothing in the project depends on it. Its engine,
``llama-server``, is C++ that the module leaves out; tests/interop says what stands in for it. The build lies in
``build/interop`` and is made once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULE = "github.com/ollama/ollama"
VERSION = "v0.33.0"
BUILD = ROOT / "build" / "interop" / VERSION
NOT_RUN = f"""
What no real Ollama ran (where it can be played, tests/unit/llm/test_ollama.py does so with a server that is a script):
- the llama-server of Ollama {VERSION}: it is C++, which the Go module leaves out; PeerSky's engine took its place;
- replies that it gives only when it is ill, or that others give in its place: silence, bytes that drip, endless lines,
  lines that are no JSON, an end without "done", redirects, HTML, 401, 403, 429, 499, 503;
- what needs a larger model: thoughts, tool calls and images in an answer, too little memory;
- Ollama's cloud and its registry: the registry was PeerSky's own, on loopback;
- Ollama before 0.24, which tells no capabilities in its list: 0.17.4 does not build from its Go module."""


def build(go: str, target: Path) -> bool:
    """Make the program ``target`` of Ollama's module, with the Go settings of this machine; False where Go fails."""
    print(f"Building {MODULE} {VERSION} with {go}; the first time, this takes some minutes.", flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Without this it calls itself 0.0.0.
    flags = f"-ldflags=-X={MODULE}/version.Version={VERSION.removeprefix('v')}"
    environment = os.environ | {"GOBIN": str(target.parent)}
    command = [go, "install", flags, f"{MODULE}@{VERSION}"]
    result = subprocess.run(command, env=environment, check=False)
    if result.returncode:
        print(f"Go could not build {MODULE} {VERSION}; what it said stands above. Nothing was tested.")
    return result.returncode == 0


def main() -> int:
    """Build what is missing and run tests/interop; arguments go to pytest. Returns the exit code."""
    target = BUILD / "bin" / ("ollama.exe" if sys.platform == "win32" else "ollama")
    if not target.exists():
        go = shutil.which("go")
        if go is None:
            print("Go is not installed, so no real Ollama can be built; nothing was tested. PeerSky needs neither.")
            return 0
        if not build(go, target):
            return 1
    command = [sys.executable, "-m", "pytest", "tests/interop", "-v", "-rsxX", *sys.argv[1:]]
    environment = os.environ | {"PEERSKY_INTEROP": str(target), "QT_QPA_PLATFORM": "offscreen"}
    returncode = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    print(NOT_RUN)
    return returncode


if __name__ == "__main__":
    sys.exit(main())
