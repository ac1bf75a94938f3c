"""Each finding from what it is derived from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from peersky.system import doctor

SWITCHES = [
    ("kernel/unprivileged_userns_clone", "1", "0", "kernel.unprivileged_userns_clone=1"),
    ("user/max_user_namespaces", "15000", "0", "user.max_user_namespaces=15000"),
    ("kernel/apparmor_restrict_unprivileged_userns", "0", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
]


def proc_sys(root: Path, closed: str = "") -> Path:
    for name, open_value, closed_value, _ in SWITCHES:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text((closed_value if name == closed else open_value) + "\n")
    return root


def test_python() -> None:
    assert doctor.python_version((3, 11)).state == "ok"
    old = doctor.python_version((3, 10))
    assert (old.state, old.sentence) == ("missing", "Python 3.11 or newer is needed, and this is 3.10.")


def test_an_import_that_works() -> None:
    assert doctor.import_finding("x", "The thing", "import json").state == "ok"


def test_an_import_that_lacks_a_system_library_names_it() -> None:
    code = "raise ImportError('libEGL.so.1: cannot open shared object file: No such file or directory')"
    found = doctor.import_finding("qt", "Qt WebEngine", code)
    assert found.state == "missing"
    assert "lacks the system library libEGL.so.1" in found.sentence


def test_an_import_that_is_not_installed_says_so() -> None:
    found = doctor.import_finding("x", "The thing", "import no_such_thing")
    assert found.sentence == ("The thing cannot be loaded: ModuleNotFoundError: No module named 'no_such_thing'.")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
def test_an_import_that_kills_its_process_does_not_kill_the_doctor() -> None:
    found = doctor.import_finding("x", "The thing", "import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    assert found.state == "missing"
    assert "the processor may be too old" in found.sentence


def test_display() -> None:
    assert doctor.display({}, "linux").state == "note"
    assert doctor.display({"DISPLAY": ":0"}, "linux").state == "ok"
    assert doctor.display({"WAYLAND_DISPLAY": "wayland-0"}, "linux").state == "ok"
    assert doctor.display({"QT_QPA_PLATFORM": "offscreen"}, "linux").state == "ok"
    assert doctor.display({}, "darwin").state == "ok"


def test_sandbox_that_works(tmp_path: Path) -> None:
    assert doctor.sandbox(proc_sys(tmp_path), is_root=False).state == "ok"
    assert doctor.sandbox(tmp_path / "missing", is_root=False).state == "ok"


def test_sandbox_of_root(tmp_path: Path) -> None:
    assert "needs an ordinary user" in doctor.sandbox(proc_sys(tmp_path), is_root=True).sentence


@pytest.mark.parametrize(("name", "remedy"), [(switch[0], switch[3]) for switch in SWITCHES])
def test_sandbox_that_is_switched_off_names_the_switch(tmp_path: Path, name: str, remedy: str) -> None:
    found = doctor.sandbox(proc_sys(tmp_path, closed=name), is_root=False)
    assert found.state == "missing"
    assert f"sysctl -w {remedy}" in found.sentence


def test_processor() -> None:
    assert doctor.processor("x86_64", "flags\t\t: sse4_2 avx avx2 bmi1\n").state == "ok"
    assert doctor.processor("x86_64", "flags\t\t: sse4_2 avx\n").state == "missing"
    assert doctor.processor("x86_64", "").state == "note"
    assert doctor.processor("aarch64", "").state == "ok"


def test_memory_and_disk() -> None:
    assert doctor.memory(8 * 10**9).sentence == "8.0 GB of memory are free."
    assert doctor.memory(10**8).state == "note"
    assert doctor.disk(10**12).state == "ok"
    assert doctor.disk(10**8).state == "note"


def test_starter_model(tmp_path: Path) -> None:
    model = tmp_path / "starter.gguf"
    assert doctor.starter_model(model).state == "missing"
    model.write_bytes(b"<html>")
    assert "is no GGUF file" in doctor.starter_model(model).sentence
    model.write_bytes(b"GGUF" + bytes(100))
    assert doctor.starter_model(model).state == "ok"
