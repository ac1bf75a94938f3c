"""The pinned versions agree with pyproject.toml, and the recorded sizes are those that pip will fetch."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.tags import Tag
from packaging.utils import canonicalize_name

from tools import pins


def pinned(name: str) -> dict[str, set[str]]:
    """Package -> the versions in `requirements/<name>.txt` (several where they depend on Python's version)."""
    versions: dict[str, set[str]] = {}
    for line in (pins.REQUIREMENTS / f"{name}.txt").read_text("utf-8").splitlines():
        package, equals, rest = line.partition("==")
        if equals and not line.startswith((" ", "#")):
            versions.setdefault(package, set()).add(rest.split()[0])
    return versions


@pytest.mark.parametrize("name", sorted(pins.FILES))
def test_every_pin_is_what_pyproject_allows(name: str) -> None:
    project = tomllib.loads((pins.ROOT / "pyproject.toml").read_text("utf-8"))
    with_project, groups = pins.FILES[name]
    wanted: list[str] = list(project["project"]["dependencies"]) if with_project else []
    for group in groups:
        wanted += project["dependency-groups"][group]
    versions = pinned(name)
    for text in wanted:
        requirement = Requirement(text)
        found = versions.get(canonicalize_name(requirement.name))
        assert found, f"{text} is not in requirements/{name}.txt: run `make pins`"
        assert all(version in requirement.specifier for version in found), f"{text}: run `make pins`"


def package(marker: str | None, **wheels: int) -> dict[str, Any]:
    """A package of a lock file, from its wheels' tags (`__` stands for `-`) and sizes."""
    files = [{"url": f"https://x/a-1-{tags.replace('__', '-')}.whl", "size": size} for tags, size in wheels.items()]
    return {"name": "a", "version": "1", "wheels": files} | ({"marker": marker} if marker else {})


def test_the_size_is_that_of_the_wheel_that_pip_takes() -> None:
    packages = [
        package(None, cp311__cp311__manylinux_2_17_x86_64=100, py3__none__any=7, cp312__cp312__manylinux_2_17_x86_64=1),
        package("sys_platform == 'linux'", py3__none__any=20),
        package("sys_platform == 'win32'", py3__none__any=4000),
    ]
    assert pins.download_size(packages, "Linux-x86_64") == [2, 120]
    assert pins.download_size(packages, "Linux-aarch64") == [2, 27]
    assert pins.download_size(packages, "Darwin-aarch64") == [1, 7]


def test_a_package_that_would_have_to_be_compiled_is_refused() -> None:
    """Installing takes wheels only, so a missing one has to be noticed when pinning."""
    with pytest.raises(SystemExit, match="a 1 has no wheel for Darwin-aarch64"):
        pins.download_size([package(None, cp311__cp311__manylinux_2_17_x86_64=1)], "Darwin-aarch64")


def test_a_stable_abi_wheel_ranks_below_an_exact_one() -> None:
    rank = {Tag("cp311", "cp311", "p"): 0, Tag("cp310", "abi3", "p"): 1}
    assert pins.wheel_rank({"url": "https://x/a-1-cp310-abi3-p.whl"}, rank) == 1
    assert pins.wheel_rank({"url": "https://x/a-1-cp39-cp39-p.whl"}, rank) == 2
