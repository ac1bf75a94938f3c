"""Makes `.venv` ready for a purpose: run, test, check … Standard library only; `make` calls it.

    python3 -m tools.bootstrap PURPOSE

A purpose names the requirement files that it needs (`PURPOSES`), so that running installs nothing that only
testing needs. What was installed is recorded in `.venv/peersky-stamp.json` with a digest of the files it came
from: while these stay as they are, the next call returns at once and starts neither pip nor a request.

On Linux it then looks for the shared libraries that Chromium and Qt link to and that no Python package brings
(`tools/system_libraries.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools import npm, system_libraries

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)

# Purpose -> requirement files.
PURPOSES = {
    "run": ["runtime"],
    "test": ["dev"],
    "check": ["dev"],
    "vendor": ["runtime"],
    "pins": ["pins"],
}
# dev.txt repeats all of runtime.txt; tests/unit/tools/test_bootstrap.py holds it to that.
INCLUDES = {"dev": ["runtime"]}

# Unpacked, packages take about this many times what was downloaded (measured: 2.7 for the runtime).
UNPACKED_FACTOR = 3


class BootstrapError(Exception):
    """An expected failure. Its text is what the user reads: what is wrong, and what to do."""


def main(arguments: list[str]) -> int:
    """Prepare `.venv` for the purpose in `arguments` and return the exit code."""
    if len(arguments) != 1 or arguments[0] not in PURPOSES:
        print(f"usage: python3 -m tools.bootstrap {'|'.join(PURPOSES)}", file=sys.stderr)
        return 2
    try:
        check_python(sys.version_info[:2])
        with only_one():
            prepare(arguments[0])
    except (BootstrapError, OSError) as error:
        print(f"\npeersky: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\npeersky: interrupted. Run the same command to go on.", file=sys.stderr)
        return 130
    return 0


def check_python(version: tuple[int, ...]) -> None:
    """Refuse a Python that the pinned packages do not support."""
    if version < OLDEST_PYTHON:
        have, need = (".".join(map(str, numbers)) for numbers in (version, OLDEST_PYTHON))
        raise BootstrapError(
            f"PeerSky needs Python {need} or newer, and this is {have} ({sys.executable}). "
            f"Install a newer one, then name it: make PYTHON=python{need} …"
        )


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Let a second bootstrap of the same tree wait, so that two pips never write into one `.venv`."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with Path(__file__).open("rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def prepare(purpose: str) -> None:
    """Bring `.venv` and, on Linux, the system libraries to what `purpose` needs."""
    venv = ROOT / ".venv"
    stamp = Stamp(venv / "peersky-stamp.json")
    identity = venv_identity(venv)
    if stamp.get("venv") != identity or not venv_python(venv).exists():
        require_writable(ROOT)
        stamp.clear()
        create_venv(venv)
        stamp.set("venv", identity)
    for name in PURPOSES[purpose]:
        digest = digest_of(ROOT, name)
        if stamp.get(name) == digest:
            continue
        require_writable(venv)
        included = INCLUDES.get(name, [])
        install(venv, name, already=[other for other in included if stamp.get(other)])
        if name in {"runtime", "dev"}:
            link_project(venv)
        for done in [name, *included]:
            stamp.set(done, digest_of(ROOT, done))
    if purpose in {"run", "test"}:
        install_addons(venv, stamp, is_needed=purpose == "test")
    if purpose == "check" and not npm.install(venv):
        raise BootstrapError("npm could not install the linter; its reason is above.")
    if sys.platform == "linux" and purpose in {"run", "test"}:
        check_system(venv, stamp, for_tests=purpose == "test")


class Stamp:
    """The record of what `.venv` holds. A record that cannot be read counts as empty."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._entries: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._entries = {}

    def get(self, key: str) -> str | None:
        """What was recorded for `key`, or None."""
        return self._entries.get(key)

    def set(self, key: str, value: str) -> None:
        """Record `value`. Written at once, so that an interrupted bootstrap goes on where it was."""
        self._entries[key] = value
        self._path.write_text(json.dumps(self._entries, indent=1), encoding="utf-8")

    def clear(self) -> None:
        """Forget everything: the environment is about to be made anew."""
        self._entries = {}


def digest_of(root: Path, name: str) -> str:
    """A digest of everything that decides what installing `requirements/<name>.txt` would do."""
    digest = hashlib.sha256(build_tables(root).encode())
    digest.update((root / "requirements" / f"{name}.txt").read_bytes())
    return digest.hexdigest()


def build_tables(root: Path) -> str:
    """The part of pyproject.toml that an install depends on: all that comes before the tools' settings."""
    return re.split(r"^\[tool\.", (root / "pyproject.toml").read_text("utf-8"), maxsplit=1, flags=re.MULTILINE)[0]


def venv_identity(venv: Path) -> str:
    """What makes an environment useless when it changes: its place, and Python's minor version."""
    return f"{venv} {platform.python_implementation()} {sys.version_info[0]}.{sys.version_info[1]}"


def venv_python(venv: Path) -> Path:
    """The environment's interpreter."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def require_writable(folder: Path) -> None:
    """Say where this user may not write, before anything is half done."""
    if not os.access(folder, os.W_OK):
        raise BootstrapError(f"cannot write to {folder}. Clone PeerSky to a folder of your own.")


def create_venv(venv: Path) -> None:
    """Create `.venv`, or replace one that was made by another Python or at another place."""
    try:
        import ensurepip  # noqa: F401  # Debian ships Python without it
    except ImportError:
        system_libraries.provide(["python3-venv"], BootstrapError)
    print(f"Creating .venv with Python {platform.python_version()}", flush=True)
    # This may be the interpreter of the very .venv that is replaced.
    base = getattr(sys, "_base_executable", sys.executable)
    command = [base, "-m", "venv", "--clear", str(venv)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode:
        raise BootstrapError(f"could not create {venv}:\n{(outcome.stdout + outcome.stderr).strip()}")


def install(venv: Path, name: str, already: list[str]) -> None:
    """Install `requirements/<name>.txt`, after saying how much that downloads.

    Only wheels are taken (no compiler is needed, no downloaded code runs), each with a pinned hash.
    """
    sizes = json.loads((ROOT / "requirements" / "sizes.json").read_text("utf-8"))
    count, size_bytes = download_size(sizes, name, already, platform.system(), platform.machine())
    print(
        f"Installing requirements/{name}.txt: {count} packages, about {size_bytes / 1e6:.0f} MB to download",
        flush=True,
    )
    free_bytes = shutil.disk_usage(venv).free
    if free_bytes < size_bytes * (1 + UNPACKED_FACTOR):
        need_mb = size_bytes * (1 + UNPACKED_FACTOR) / 1e6
        raise BootstrapError(f"not enough room: {free_bytes / 1e6:.0f} MB are free, about {need_mb:.0f} MB needed.")
    requirement_file = ROOT / "requirements" / f"{name}.txt"
    pip(venv, "install", "--no-user", "--require-hashes", "--only-binary", ":all:", "-r", str(requirement_file))


def install_addons(venv: Path, stamp: Stamp, *, is_needed: bool) -> None:
    """Install the native addons of the P2P node. Where they are not needed at once, a failure is only said: the first
    peer-to-peer page tries again.
    """
    lock = ROOT / "src" / "peersky" / "assets" / "sidecar" / "natives" / "package-lock.json"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.get("addons") == digest:
        return
    if subprocess.run([str(venv_python(venv)), "-I", "-m", "peersky.p2p.install"], check=False).returncode == 0:
        stamp.set("addons", digest)
    elif is_needed:
        raise BootstrapError("the P2P node could not be installed; the reason is above.")
    else:
        print("peersky: peer-to-peer pages will try this again.", file=sys.stderr)


def link_project(venv: Path) -> None:
    """Link src/ into `.venv` and write the `peersky` command.

    Without build isolation: the build backend is pinned in the requirement files like everything else.
    """
    isolated = ["--no-user", "--no-deps", "--no-build-isolation", "--no-index"]
    pip(venv, "install", "--quiet", *isolated, "-e", str(ROOT))


def pip(venv: Path, *arguments: str) -> None:
    """Run pip, whose own output is the progress that people see. `-I`: neither PYTHONPATH nor this folder counts."""
    command = [str(venv_python(venv)), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    if subprocess.run(command, check=False).returncode:
        raise BootstrapError(
            "pip could not install the packages; its reason is above. Most often the network is away or the disk "
            "is full. Run the same command again: what was downloaded is kept."
        )


def download_size(
    sizes: dict[str, dict[str, list[int]]], name: str, already: list[str], system: str, machine: str
) -> tuple[int, int]:
    """How many packages and bytes `requirements/<name>.txt` adds to what is `already` installed.

    The sizes were recorded when the versions were pinned; a platform that was not recorded is told the
    figures of Linux on x86-64.
    """
    machine = {"AMD64": "x86_64", "arm64": "aarch64"}.get(machine, machine)

    def look_up(requirements: str) -> list[int]:
        by_platform = sizes[requirements]
        return by_platform.get(f"{system}-{machine}", by_platform["Linux-x86_64"])

    count, size_bytes = look_up(name)
    for other in already:
        other_count, other_bytes = look_up(other)
        count, size_bytes = count - other_count, size_bytes - other_bytes
    return count, size_bytes


def check_system(venv: Path, stamp: Stamp, *, for_tests: bool) -> None:
    """Install or name the system libraries that are missing, for the displays that there are now."""
    displays = [name for name in system_libraries.WINDOWS if os.environ.get(name)]
    key = f"system packages for {' '.join(['tests'] * for_tests + displays) or 'the terminal'}"
    if stamp.get(key) == stamp.get("runtime"):
        return
    packages, unknown = system_libraries.missing(venv, displays, for_tests=for_tests)
    if unknown:
        print(f"Missing libraries of unknown packages: {' '.join(unknown)}", file=sys.stderr)
    there = not packages or system_libraries.provide(packages, BootstrapError)
    if there and not unknown:
        stamp.set(key, stamp.get("runtime") or "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
