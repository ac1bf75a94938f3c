"""Pins what pyproject.toml names: writes requirements/*.txt and the download sizes beside them.

    make pins

uv resolves once for every platform and every supported Python, and keeps environment markers, so that the
same files install on 3.11 and 3.13, on Linux and macOS. The sizes come from the same resolution; they are
what tools/bootstrap.py announces before it downloads.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from packaging.markers import Marker, default_environment
from packaging.tags import Tag, cpython_tags, mac_platforms
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"

# File -> what goes in: the project's own dependencies or not, and groups of pyproject.toml.
FILES = {
    "runtime": (True, ["build"]),
    "dev": (True, ["build", "dev"]),
    "pins": (False, ["pins"]),
}
PYTHON = (3, 11)
# `platform.system()-platform.machine()` -> the platform tags that its pip accepts, the best first.
PLATFORMS = {
    f"Linux-{machine}": [
        *(f"manylinux_2_{minor}_{machine}" for minor in range(39, 4, -1)),
        *(f"manylinux{year}_{machine}" for year in ("2014", "2010", "1")),
    ]
    for machine in ("x86_64", "aarch64")
} | {
    "Darwin-aarch64": list(mac_platforms((15, 0), "arm64")),
    "Darwin-x86_64": list(mac_platforms((15, 0), "x86_64")),
}


def main() -> None:
    """Pin every file, and record the sizes."""
    sizes: dict[str, dict[str, list[int]]] = {}
    for name, (with_project, groups) in FILES.items():
        print(f"Resolving requirements/{name}.txt", flush=True)
        output = REQUIREMENTS / f"{name}.txt"
        arguments = [f"--group={group}" for group in groups]
        if with_project:
            arguments.insert(0, "pyproject.toml")
        if name == "dev":
            arguments += ["--constraints", "requirements/runtime.txt"]
        resolve(arguments, output)
        with tempfile.TemporaryDirectory() as folder:
            lock = Path(folder) / "pylock.toml"
            resolve([*arguments, "--constraints", str(output), "--format=pylock.toml"], lock)
            packages = tomllib.loads(lock.read_text("utf-8"))["packages"]
        sizes[name] = {key: download_size(packages, key) for key in PLATFORMS}
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(entry)}" for name, entry in sizes.items())
    (REQUIREMENTS / "sizes.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def resolve(arguments: list[str], output: Path) -> None:
    """Run uv. It prints no index address and no header, so no file tells where it was made."""
    command = [
        str(Path(sys.executable).parent / "uv"), "pip", "compile", "--quiet", "--universal", "--upgrade",
        f"--python-version={PYTHON[0]}.{PYTHON[1]}", "--no-header", "--annotation-style=line", "--generate-hashes",
        *arguments, "--output-file", str(output),
    ]  # fmt: skip
    subprocess.run(command, check=True, cwd=ROOT)


def download_size(packages: list[dict[str, Any]], platform_key: str) -> list[int]:
    """The number of packages that apply on a platform, and the bytes of the wheels that pip would choose."""
    system, machine = platform_key.split("-")
    environment: dict[str, str] = {
        **{key: str(value) for key, value in default_environment().items()},
        "platform_system": system,
        "platform_machine": machine,
        "sys_platform": system.lower(),
        "python_version": f"{PYTHON[0]}.{PYTHON[1]}",
        "python_full_version": f"{PYTHON[0]}.{PYTHON[1]}.9",
    }
    tags = [*cpython_tags(PYTHON, platforms=PLATFORMS[platform_key])]
    tags += [Tag(f"py{n}", "none", p) for n in ("311", "3", "2") for p in [*PLATFORMS[platform_key], "any"]]
    rank = {tag: position for position, tag in enumerate(tags)}
    count = total_bytes = 0
    for package in packages:
        marker = package.get("marker")
        if marker and not Marker(marker).evaluate(environment):
            continue
        best = min((wheel_rank(wheel, rank), wheel["size"]) for wheel in package["wheels"])
        if best[0] == len(rank):
            sys.exit(f"{package['name']} {package['version']} has no wheel for {platform_key}")
        count, total_bytes = count + 1, total_bytes + best[1]
    return [count, total_bytes]


def wheel_rank(wheel: dict[str, Any], rank: dict[Tag, int]) -> int:
    """How well pip likes a wheel: 0 is best, `len(rank)` is not at all."""
    *_, tags = parse_wheel_filename(wheel["url"].rsplit("/", 1)[1])
    return min((rank[tag] for tag in tags if tag in rank), default=len(rank))


if __name__ == "__main__":
    main()
