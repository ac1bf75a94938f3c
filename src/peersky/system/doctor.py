"""What this machine lacks. Looks and reports: opens no connection, never shows a key, and creates only the profile."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import peersky
from peersky.core.errors import PeerSkyError
from peersky.system.paths import open_profile
from peersky.system.secrets import SecretStore, system_keyring

OLDEST_PYTHON: Final = (3, 11)
LEAST_MEMORY_BYTES: Final = 512 * 1024**2
LEAST_DISK_BYTES: Final = 1024**3
_IMPORT_TIMEOUT_S: Final = 120
_STARTER: Final = Path(peersky.__file__).parent / "assets" / "models" / "starter.gguf"

_LOAD_X11_PLUGIN: Final = (
    "import ctypes, pathlib, PyQt6.QtGui as gui; "
    "ctypes.CDLL(str(pathlib.Path(gui.__file__).parent / 'Qt6/plugins/platforms/libqxcb.so'))"
)

State = Literal["ok", "note", "missing"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: stable, for programs.
        state: ``ok``; ``note``: something is limited; ``missing``: PeerSky, or an essential part, cannot work.
        sentence: what was found, and what to do about it.
    """

    name: str
    state: State
    sentence: str

    def as_object(self) -> dict[str, Any]:
        return asdict(self)


def examine(profile_root: Path | None) -> list[Finding]:
    """Look at everything.

    Args:
        profile_root: the profile's directory; None: the default one.
    """
    system = platform.system()
    findings = [python_version(sys.version_info[:2])]
    findings += _imports()
    findings += [display(os.environ, sys.platform), *_sandbox(system), _processor(system), _memory(system)]
    findings += _profile(profile_root)
    findings.append(starter_model(_STARTER))
    return findings


def python_version(version: tuple[int, ...]) -> Finding:
    """Whether this Python is new enough."""
    have, need = ".".join(map(str, version)), ".".join(map(str, OLDEST_PYTHON))
    if version >= OLDEST_PYTHON:
        return Finding("python", "ok", f"Python {platform.python_version()} at {sys.executable}.")
    return Finding("python", "missing", f"Python {need} or newer is needed, and this is {have}.")


def _imports() -> Iterator[Finding]:
    """In processes of their own: a library that is broken ends its process, and only that."""
    yield import_finding(
        "qt", "Qt WebEngine, which shows pages,", "import PyQt6.QtWebEngineWidgets, PyQt6.QtWebEngineCore"
    )
    if sys.platform == "linux":
        found = import_finding("x11", "Qt's plugin for windows on X11", _LOAD_X11_PLUGIN)
        # Wayland needs it not, and neither does the command line.
        yield replace(found, state="note") if found.state == "missing" else found
    yield import_finding("engine", "The built-in engine", "import xllamacpp")


def import_finding(name: str, what: str, code: str) -> Finding:
    """Whether a library can be loaded; names the shared library that lacks, where one does.

    Args:
        what: how the sentence begins.
        code: the statement to try.
    """
    try:
        outcome = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_IMPORT_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name, "missing", f"{what} could not be tried: {error}.")
    if outcome.returncode == 0:
        return Finding(name, "ok", f"{what} can be loaded.")
    library = re.search(r"(\S+\.(?:so[.\d]*|dylib|dll)): cannot open shared object file", outcome.stderr)
    if library:
        return Finding(name, "missing", f"{what} lacks the system library {library[1]}; `make run` names its package.")
    if outcome.returncode < 0:
        why = "its program was ended by the system; the processor may be too old for it"
    else:
        why = (outcome.stderr.strip().splitlines() or ["it gave no reason"])[-1]
    return Finding(name, "missing", f"{what} cannot be loaded: {why}.".replace("..", "."))


def display(environment: Mapping[str, str], system_platform: str) -> Finding:
    """Whether a window can be shown. Without one, the command line still works."""
    if system_platform != "linux" or environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"):
        return Finding("display", "ok", "Windows can be shown.")
    if environment.get("QT_QPA_PLATFORM"):
        return Finding("display", "ok", f"Qt draws to {environment['QT_QPA_PLATFORM']!r}.")
    return Finding("display", "note", "There is no display; `peersky chat` and `peersky ask` work in the terminal.")


def _sandbox(system: str) -> Iterator[Finding]:
    if system == "Linux":
        is_root = os.geteuid() == 0
        yield sandbox(Path("/proc/sys"), is_root)


def sandbox(proc_sys: Path, is_root: bool) -> Finding:
    """Whether Chromium's sandbox works on this Linux.

    It needs user namespaces that ordinary users may create; kernels have three switches for that, two of them from
    distributions.
    """
    if is_root:
        return Finding(
            "sandbox",
            "note",
            "This is root, for whom Chromium's sandbox does not work: `peersky run` needs an ordinary user.",
        )
    closed = [
        (proc_sys / "kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        (proc_sys / "user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
        (
            proc_sys / "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ]
    for file, value, remedy in closed:
        if _read(file) == value:
            return Finding(
                "sandbox",
                "missing",
                "Chromium's sandbox needs user namespaces, which this system forbids; an administrator allows them "
                f"with `sysctl -w {remedy}`.",
            )
    return Finding("sandbox", "ok", "Chromium's sandbox has what it needs.")


def _processor(system: str) -> Finding:
    return processor(platform.machine(), _read(Path("/proc/cpuinfo")) if system == "Linux" else "")


def processor(machine: str, cpuinfo: str) -> Finding:
    """Whether the processor can run the built-in engine.

    Args:
        cpuinfo: text of /proc/cpuinfo; empty where there is none, and nothing is known.
    """
    if machine.lower() not in ("x86_64", "amd64"):
        return Finding("processor", "ok", f"The processor is {machine}.")
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    if flags is None:
        return Finding("processor", "note", "Whether the processor has AVX2, which the engine needs, is not known.")
    if "avx2" in flags[1].split():
        return Finding("processor", "ok", "The processor has AVX2.")
    return Finding(
        "processor", "missing", "The processor lacks AVX2, which the built-in engine needs; use Ollama or a cloud."
    )


def _memory(system: str) -> Finding:
    available = re.search(r"^MemAvailable:\s+(\d+) kB", _read(Path("/proc/meminfo")), re.MULTILINE)
    if system != "Linux" or available is None:
        return Finding("memory", "note", "How much memory is free is not known.")
    return memory(int(available[1]) * 1024)


def memory(free_bytes: int) -> Finding:
    """Whether a model has room in memory."""
    sentence = f"{free_bytes / 1e9:.1f} GB of memory are free"
    if free_bytes < LEAST_MEMORY_BYTES:
        return Finding("memory", "note", f"Only {sentence}, which only the smallest models fit into.")
    return Finding("memory", "ok", f"{sentence}.")


def _profile(root: Path | None) -> Iterator[Finding]:
    try:
        profile = open_profile(root)
    except PeerSkyError as error:
        yield Finding("profile", "missing", error.message)
        return
    yield Finding("profile", "ok", f"The profile is {profile.root} and can be written.")
    yield disk(shutil.disk_usage(profile.root).free)
    if SecretStore(profile.secrets_file, system_keyring).where == "keyring":
        yield Finding("secrets", "ok", "API keys are kept in the system's keyring.")
    else:
        yield Finding(
            "secrets",
            "note",
            f"There is no keyring that answers: API keys are kept in {profile.secrets_file}, which only you may read.",
        )


def disk(free_bytes: int) -> Finding:
    """Whether models have room on the disk."""
    sentence = f"{free_bytes / 1e9:.1f} GB of disk are free where the profile is"
    if free_bytes < LEAST_DISK_BYTES:
        return Finding("disk", "note", f"Only {sentence}, which is too little for most models.")
    return Finding("disk", "ok", f"{sentence}.")


def starter_model(file: Path) -> Finding:
    """Whether the demonstration model came with the program."""
    try:
        with file.open("rb") as opened:
            magic = opened.read(4)
    except OSError:
        return Finding(
            "starter-model", "missing", f"The starter model {file} cannot be read; get PeerSky's files again."
        )
    if magic != b"GGUF":
        return Finding(
            "starter-model", "missing", f"The starter model {file} is no GGUF file; get PeerSky's files again."
        )
    return Finding("starter-model", "ok", f"The starter model is here ({file.stat().st_size / 1e6:.1f} MB).")


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
