"""Installs what the P2P node needs beside its bundle: the native addons of this platform. Runs on any event loop.

The bundle (``assets/sidecar``) comes with the program. The addons come from the npm registry, each package pinned with
its digest in ``assets/sidecar/natives/package-lock.json``; npm checks the digests, and no script of a package is run.
The packages hold the addons of all platforms (200 MB); one file of each is kept.

A folder that is named after the lock file's digest is complete: it was renamed to that name when all was there. So a
second call finds it and does nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import platformdirs

from peersky.core.errors import NotSupported, PeerSkyError
from peersky.p2p.errors import NodeUnavailable
from peersky.p2p.program import Program, Say, node_binary

BUNDLE: Final = Path(__file__).resolve().parents[1] / "assets" / "sidecar"
DOWNLOAD_BYTES: Final = 70_000_000
"""What npm fetches (measured)."""
NEEDED_BYTES: Final = 300_000_000
"""Room for the packages before all but this platform's addons are deleted (measured: 260 MB)."""

_POLL_S: Final = 0.5
_SYSTEMS: Final = {"Linux": "linux", "Darwin": "darwin", "Windows": "win32"}
_MACHINES: Final = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


async def install(say: Say) -> Program:
    """Make sure that the addons are there, and return how the node is started.

    Args:
        say: told in sentences how far the download is.

    Raises:
        NotSupported: there are no addons for this computer, or no Node.
        NodeUnavailable: ``not_installed``: the download failed, or there is no room.
    """
    node = node_binary()
    folder = installed()
    if folder is None:
        folder = await _install(node, say)
    return Program((str(node), str(BUNDLE / "main.mjs"), str(folder)))


def installed() -> Path | None:
    """The folder of the addons, or None where they are not installed."""
    return next((path for path in _places() if path.is_dir()), None)


def _places() -> list[Path]:
    """Where the addons may be: with the program's own environment, else with the user's data."""
    name = f"{_platform()}-{hashlib.sha256(_lock().read_bytes()).hexdigest()[:16]}"
    return [
        Path(sys.prefix) / "share" / "peersky" / "p2p" / name,
        platformdirs.user_data_path("peersky") / "p2p-addons" / name,
    ]


def _lock() -> Path:
    return BUNDLE / "natives" / "package-lock.json"


def _platform() -> str:
    """This computer in the words of the packages ("linux-x64").

    Raises:
        NotSupported: they have nothing for it.
    """
    system, machine = _SYSTEMS.get(platform.system()), _MACHINES.get(platform.machine().lower())
    if not system or not machine:
        raise NotSupported(
            f"Peer-to-peer pages need native code that there is not for {platform.system()} on {platform.machine()}.",
            reason="not_installed",
        )
    return f"{system}-{machine}"


async def _install(node: Path, say: Say) -> Path:
    target = next(path for path in _places() if _is_writable(path.parent))
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if free < NEEDED_BYTES:
        raise _failed(f"there is too little room: {free / 1e6:.0f} MB are free, {NEEDED_BYTES / 1e6:.0f} MB needed")
    # Beside the target, so that it can be renamed.
    work = Path(tempfile.mkdtemp(prefix="installing-", dir=target.parent))
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(BUNDLE / "natives" / name, work / name)
        await _npm_ci(node, work, say)
        say("Putting the peer-to-peer node together.")
        await asyncio.to_thread(_keep_own, work)
        with suppress(OSError):  # Another process was faster.
            (work / "addons").rename(target)
        if not target.is_dir():
            raise _failed(f"{target} cannot be written")
        return target
    except OSError as error:
        raise _failed(f"{error.strerror or error}") from error
    finally:
        await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)


def _is_writable(folder: Path) -> bool:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return os.access(there, os.W_OK)


def _failed(why: str) -> NodeUnavailable:
    return NodeUnavailable(f"What peer-to-peer pages need could not be installed: {why}.", reason="not_installed")


async def _npm_ci(node: Path, work: Path, say: Say) -> None:
    """Run `npm ci` in `work`, and say how much it has downloaded.

    Raises:
        NodeUnavailable: it failed.
    """
    home = node.parent if os.name == "nt" else node.parent.parent
    npm = home / ("node_modules" if os.name == "nt" else "lib/node_modules") / "npm" / "bin" / "npm-cli.js"
    # A cache of its own: its size is the progress, and 70 MB of other platforms' code do not stay in the user's.
    cache = work / "cache"
    options = (
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
        "--loglevel=error",
        "--prefer-online",
    )
    environment = {"NODE_USE_SYSTEM_CA": "1", **os.environ}
    process = await asyncio.create_subprocess_exec(
        node, npm, "ci", *options, "--cache", cache,
        cwd=work, env=environment,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said = -1
    try:
        assert process.stderr is not None
        errors = b""
        while not process.stderr.at_eof():
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    errors = (errors + await process.stderr.read(4096))[-4096:]
            done = min(await asyncio.to_thread(_size, cache), DOWNLOAD_BYTES)
            if done // 1_000_000 > said:
                said = done // 1_000_000
                say(f"Downloading what peer-to-peer pages need: {said} of {DOWNLOAD_BYTES // 1_000_000} MB.")
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code:
        raise _failed(_reason(errors.decode("utf-8", "replace")))


def _reason(errors: str) -> str:
    """What npm complains of, as a clause."""
    lines = [line.removeprefix("npm error").strip() for line in errors.splitlines() if line.startswith("npm error")]
    codes = [line.removeprefix("code ") for line in lines if line.startswith("code ")]
    if "ENOSPC" in codes:
        return "the disk is full"
    if "EINTEGRITY" in codes:
        return "a package that was downloaded is not the one that was meant"
    why = f"npm could not download it ({codes[0]})" if codes else "npm could not download it"
    return f"{why}; check the connection and try again"


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # npm moves its files.
            total += path.stat().st_size if path.is_file() else 0
    return total


def _keep_own(work: Path) -> None:
    """Copy this platform's addons into `work`/addons, synced to disk.

    Raises:
        NodeUnavailable: a package has none.
    """
    own = work / "addons"
    own.mkdir()
    for name in json.loads((work / "package.json").read_text("utf-8"))["dependencies"]:
        addon = work / "node_modules" / name / "prebuilds" / _platform() / f"{name}.node"
        if not addon.is_file():
            raise _failed(f"{name} has nothing for {_platform()}")
        copy = own / addon.name
        shutil.copyfile(addon, copy)
        with copy.open("rb") as file:
            os.fsync(file.fileno())


def main() -> int:
    """Install from the command line, as `make run` does; returns the exit code."""
    last = ""

    def say(sentence: str) -> None:
        nonlocal last
        if sys.stdout.isatty():
            sys.stdout.write(f"\r{sentence}\x1b[K")
        elif sentence.partition(":")[0] != last:  # A log wants a line, not seventy.
            sys.stdout.write(f"{sentence}\n")
        last = sentence.partition(":")[0]
        sys.stdout.flush()

    try:
        asyncio.run(install(say))
    except PeerSkyError as error:
        sys.stderr.write(f"\n{error.message}\n")
        return 1
    if last and sys.stdout.isatty():
        sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
