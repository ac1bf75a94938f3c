"""Tests PeerSky against real Ollamas (its provider and model library) and a real Kubo (IPFS): ``make interop``.

They are built from their Go modules, where Go is there; nothing in the project depends on them. The new Ollama's
engine, ``llama-server``, is C++ that the module leaves out; tests/interop says what stands in for it. The old one has
its own and needs a C++ compiler. The builds lie in ``build/interop`` and are made once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULE = "github.com/ollama/ollama"
NEW, OLD = "v0.33.0", "v0.6.5"
KUBO_MODULE, KUBO = "github.com/ipfs/kubo", "v0.43.0"
BUILD = ROOT / "build" / "interop"
NOT_RUN = f"""
What no real Ollama ran (where it can be played, tests/unit/llm/ollama/ does so with a server that is a script):
- the llama-server of Ollama {NEW}: it is C++, which the Go module leaves out; PeerSky's engine took its place;
- replies that it gives only when it is ill, or that others give in its place: silence, bytes that drip, endless lines,
  lines that are no JSON, an end without "done", redirects, HTML, 401, 403, 429, 499, 503;
- what needs a larger model: thoughts, tool calls and images in an answer, too little memory;
- Ollama's cloud and its registry: the registry was PeerSky's own, on loopback;
- the versions between {OLD} and {NEW}: 0.17.4 does not build from the module alone, the others were not tried."""


def build(version: str) -> Path | None:
    """The program ``ollama`` of this version, made with the Go settings of this machine; None where that fails."""
    target = BUILD / version / "bin" / ("ollama.exe" if sys.platform == "win32" else "ollama")
    if target.exists():
        return target
    go = shutil.which("go")
    if go is None:
        print(f"Go is not installed, so the real Ollama {version} cannot be built. PeerSky needs neither.")
        return None
    print(f"Building {MODULE} {version} with {go}; this once, it takes some minutes.", flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Without this it calls itself 0.0.0.
    flags = f"-ldflags=-X={MODULE}/version.Version={version.removeprefix('v')}"
    environment = os.environ | {"GOBIN": str(target.parent)}
    result = subprocess.run([go, "install", flags, f"{MODULE}@{version}"], env=environment, check=False)
    if result.returncode:
        print(f"Go could not build {MODULE} {version}; what it said stands above.")
        return None
    return target


def build_kubo() -> Path | None:
    """Kubo's program ``ipfs``, made with the Go settings of this machine; None where that fails."""
    folder = BUILD / f"kubo-{KUBO}"
    target = folder / ("ipfs.exe" if sys.platform == "win32" else "ipfs")
    if target.exists():
        return target
    go = shutil.which("go")
    if go is None:
        print(f"Go is not installed, so the real Kubo {KUBO} cannot be built. PeerSky does not need it.")
        return None
    print(f"Building {KUBO_MODULE} {KUBO} with {go}; this once, it takes some minutes.", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    # Not `go install module@version`: that asks for the list of all versions, which not every proxy has.
    (folder / "go.mod").write_text(f"module interop\n\ngo 1.25\n\nrequire {KUBO_MODULE} {KUBO}\n", encoding="utf-8")
    command = [go, "build", "-mod=mod", "-o", str(target), f"{KUBO_MODULE}/cmd/ipfs"]
    result = subprocess.run(command, cwd=folder, check=False)
    if result.returncode:
        print(f"Go could not build {KUBO_MODULE} {KUBO}; what it said stands above.")
        return None
    return target


def main() -> int:
    """Build what is missing and run tests/interop; arguments go to pytest. Returns the exit code."""
    programs = [str(program) for program in map(build, (NEW, OLD)) if program is not None]
    kubo = build_kubo()
    if not programs and kubo is None:
        print("Nothing was tested.")
        return 0
    command = [sys.executable, "-m", "pytest", "tests/interop", "-v", "-rsxX", *sys.argv[1:]]
    environment = os.environ | {
        "PEERSKY_INTEROP": os.pathsep.join(programs),
        "PEERSKY_KUBO": str(kubo or ""),
        "QT_QPA_PLATFORM": "offscreen",
    }
    returncode = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    print(NOT_RUN)
    return returncode


if __name__ == "__main__":
    sys.exit(main())
