"""Disks that are small or read-only, made the way that this machine allows."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


class Disk:
    """A file system of its own in memory.

    Attributes:
        folder: where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, kilobytes: int) -> None:
        self._remount(f"size={kilobytes}k")

    def read_only(self, yes: bool) -> None:
        self._remount("ro" if yes else "rw")

    def fill(self, but_for: int = 0) -> None:
        """Leave no byte free, or so many."""
        with (self.folder / "filling").open("wb", buffering=0) as file:
            for size in (1 << 16, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))
            file.truncate(file.tell() - but_for)

    def empty(self) -> None:
        (self.folder / "filling").unlink()

    def _remount(self, option: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{option}", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path, record_property: Callable[[str, object], None]) -> Iterator[Disk]:
    """A disk of 4 MB; only root may mount one, so elsewhere the row is not run."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a disk")
    record_property("how", "tmpfs")
    yield Disk(folder)
    subprocess.run(["umount", "-l", str(folder)], check=True)
