"""Which system packages are named, and what is done about them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tools import system_libraries as libraries

LDD = """\tlinux-vdso.so.1 (0x00007ffd)
\tlibxcb-cursor.so.0 => not found
\tlibnss3.so => not found
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)
\tlibodd.so.9 => not found
"""


class Refused(Exception):
    """Stands for the bootstrap's error."""


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A machine to describe: its commands, its user, and what was run on it."""
    state: dict[str, Any] = {"commands": {"apt-get", "Xvfb"}, "uid": 0, "ran": [], "code": 0, "known": ""}

    def run(command: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        state["ran"].append(" ".join(command))
        return subprocess.CompletedProcess(command, state["code"], state["known"], "")

    monkeypatch.setattr("shutil.which", lambda name: name if name in state["commands"] else None)
    monkeypatch.setattr("os.geteuid", lambda: state["uid"])
    monkeypatch.setattr("subprocess.run", run)
    return state


def test_what_ldd_did_not_find() -> None:
    assert libraries.not_found(LDD) == {"libxcb-cursor.so.0", "libnss3.so", "libodd.so.9"}


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment with the files that are looked at, all empty."""
    site_packages = tmp_path / "lib/python3.11/site-packages"
    for pattern in [*libraries.ENGINE, *libraries.BROWSER, *libraries.WINDOWS["DISPLAY"]]:
        path = site_packages / pattern.replace("*", "x")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_missing_names_packages_once_and_what_has_none(
    venv: Path, monkeypatch: pytest.MonkeyPatch, system: dict[str, Any]
) -> None:
    monkeypatch.setattr(libraries, "ldd", lambda _path: LDD)
    monkeypatch.setattr(libraries, "exists", lambda _patterns: True)
    system["commands"] = set()
    expected = ["libnss3", "libxcb-cursor0"]
    assert libraries.missing(venv, ["DISPLAY"], for_tests=False) == (expected, ["libodd.so.9"])
    assert libraries.missing(venv, [], for_tests=True) == ([*expected, "xvfb"], ["libodd.so.9"])


@pytest.mark.parametrize(
    ("displays", "for_tests", "looked_at"),
    [
        ([], False, {"xllamacpp"}),
        (["DISPLAY"], False, {"xllamacpp", "lib", "libexec", "platforms", "xcbglintegrations"}),
        ([], True, {"xllamacpp", "lib", "libexec", "platforms", "xcbglintegrations"}),
    ],
)
def test_only_what_this_display_loads_is_looked_at(
    venv: Path, monkeypatch: pytest.MonkeyPatch, displays: list[str], for_tests: bool, looked_at: set[str]
) -> None:
    seen: set[str] = set()

    def ldd(path: Path) -> str:
        seen.add(path.parent.name)
        return ""

    monkeypatch.setattr(libraries, "ldd", ldd)
    libraries.missing(venv, displays, for_tests=for_tests)
    assert seen == looked_at


def test_drivers_and_fonts_are_named_where_a_window_needs_them(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "exists", lambda _patterns: False)
    monkeypatch.setattr(libraries, "ldd", lambda _path: "")
    assert libraries.missing(venv, ["DISPLAY"], for_tests=False)[0] == ["fonts-dejavu-core", "libgl1-mesa-dri"]
    assert libraries.missing(venv, [], for_tests=False)[0] == []


def test_nothing_is_missing_where_there_is_no_ldd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert libraries.ldd(tmp_path / "libx.so") == ""


@pytest.mark.parametrize(
    ("known", "expected"),
    [("", "libasound2"), ("libasound2t64\n", "libasound2t64"), ("libasound2t64x\n", "libasound2")],
)
def test_packages_that_newer_releases_renamed(system: dict[str, Any], known: str, expected: str) -> None:
    system["known"] = known
    assert libraries.debian_names(["libasound2", "libnss3"]) == [expected, "libnss3"]


def test_root_on_debian_gets_them_installed(system: dict[str, Any]) -> None:
    assert libraries.provide(["libnss3", "xvfb"], Refused)
    assert [command.split()[:2] for command in system["ran"]] == [["apt-get", "update"], ["apt-get", "install"]]
    assert system["ran"][1].endswith("--no-install-recommends -q libnss3 xvfb")


def test_everyone_else_gets_the_line_that_installs_them(system: dict[str, Any]) -> None:
    system["uid"] = 1000
    with pytest.raises(Refused, match=r"\n    sudo apt-get install -y --no-install-recommends libnss3 xvfb\n"):
        libraries.provide(["libnss3", "xvfb"], Refused)
    assert system["ran"] == []


def test_another_distribution_gets_the_names_and_a_try(
    system: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    system["commands"] = set()
    assert not libraries.provide(["libnss3"], Refused)
    assert "libnss3" in capsys.readouterr().err


def test_a_failing_apt_is_named(system: dict[str, Any]) -> None:
    system["code"] = 100
    with pytest.raises(Refused, match="`apt-get update -q` failed"):
        libraries.provide(["libnss3"], Refused)
