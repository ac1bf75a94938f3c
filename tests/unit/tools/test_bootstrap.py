"""The bootstrap: what it decides, says and refuses. No test here installs anything or asks the network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import bootstrap, npm, system_libraries

REQUIREMENTS = bootstrap.ROOT / "requirements"
PIN = re.compile(r"^([a-z0-9._-]+==[^\s;]+)", re.MULTILINE)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of the project without an environment, as the bootstrap's root."""
    (tmp_path / "requirements").mkdir()
    for name in ("runtime", "dev", "pins"):
        (tmp_path / "requirements" / f"{name}.txt").write_text(f"{name}==1\n")
    sizes = {name: {"Linux-x86_64": [2, 1_000_000]} for name in ("runtime", "dev", "pins")}
    (tmp_path / "requirements" / "sizes.json").write_text(json.dumps(sizes))
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n\n[tool.ruff]\nline-length = 1\n')
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def calls(tree: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the bootstrap would have run; nothing is."""
    record: list[str] = []

    def create_venv(venv: Path) -> None:
        record.append("venv")
        (venv / "bin").mkdir(parents=True, exist_ok=True)
        (venv / "bin" / "python").touch()

    def pip(_venv: Path, *arguments: str) -> None:
        record.append(f"pip {Path(arguments[-1]).name}" if "-r" in arguments else "link")

    def addons(_venv: Path, _stamp: bootstrap.Stamp, *, is_needed: bool) -> None:
        """Those of the P2P node; what installs them is a test of its own."""

    def npm_install(_venv: Path) -> bool:
        record.append("npm")
        return True

    monkeypatch.setattr(bootstrap, "create_venv", create_venv)
    monkeypatch.setattr(bootstrap, "pip", pip)
    monkeypatch.setattr(bootstrap, "install_addons", addons)
    monkeypatch.setattr(npm, "install", npm_install)
    monkeypatch.setattr(system_libraries, "missing", lambda _venv, _displays, for_tests: ([], []))
    return record


def test_running_installs_the_runtime_only(calls: list[str]) -> None:
    assert bootstrap.main(["run"]) == 0
    assert calls == ["venv", "pip runtime.txt", "link"]


def test_a_second_call_does_nothing(calls: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    bootstrap.main(["run"])
    calls.clear()
    capsys.readouterr()
    assert bootstrap.main(["run"]) == 0
    assert calls == []
    assert capsys.readouterr().out == ""


def test_running_after_testing_needs_nothing_more(calls: list[str]) -> None:
    bootstrap.main(["test"])
    calls.clear()
    bootstrap.main(["run"])
    assert calls == []


def test_checking_after_running_adds_what_is_missing(calls: list[str]) -> None:
    bootstrap.main(["run"])
    calls.clear()
    bootstrap.main(["check"])
    assert calls == ["pip dev.txt", "link", "npm"]


def test_a_changed_pin_is_installed_into_the_same_environment(tree: Path, calls: list[str]) -> None:
    bootstrap.main(["run"])
    calls.clear()
    (tree / "requirements" / "runtime.txt").write_text("runtime==2\n")
    bootstrap.main(["run"])
    assert calls == ["pip runtime.txt", "link"]


def test_a_changed_linter_setting_installs_nothing(tree: Path, calls: list[str]) -> None:
    bootstrap.main(["run"])
    calls.clear()
    project = tree / "pyproject.toml"
    project.write_text(project.read_text().replace("line-length = 1", "line-length = 2"))
    bootstrap.main(["run"])
    assert calls == []


def test_a_moved_tree_or_another_python_gets_a_new_environment(tree: Path, calls: list[str]) -> None:
    bootstrap.main(["run"])
    calls.clear()
    stamp = tree / ".venv" / "peersky-stamp.json"
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "venv": "elsewhere CPython 3.9"}))
    bootstrap.main(["run"])
    assert calls == ["venv", "pip runtime.txt", "link"]


def test_a_damaged_stamp_counts_as_none(tree: Path, calls: list[str]) -> None:
    bootstrap.main(["run"])
    calls.clear()
    (tree / ".venv" / "peersky-stamp.json").write_text("{")
    bootstrap.main(["run"])
    assert calls[0] == "venv"


def test_an_interrupted_install_goes_on_where_it_was(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "pip", interrupted)
        assert bootstrap.main(["run"]) == 130
    calls.clear()
    assert bootstrap.main(["run"]) == 0
    assert calls == ["pip runtime.txt", "link"]


def test_it_says_how_much_it_downloads_before_it_does(calls: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    bootstrap.main(["run"])
    assert "2 packages, about 1 MB to download" in capsys.readouterr().out


@pytest.mark.usefixtures("calls")
def test_a_full_disk_is_noticed_before_the_download(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Usage:
        free = 2_500_000

    monkeypatch.setattr("shutil.disk_usage", lambda _path: Usage)
    assert bootstrap.main(["run"]) == 1
    assert "not enough room" in capsys.readouterr().err


@pytest.mark.usefixtures("calls")
def test_a_tree_of_somebody_else_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.access", lambda _path, _mode: False)
    assert bootstrap.main(["run"]) == 1
    assert "cannot write to" in capsys.readouterr().err


def test_an_environment_whose_python_is_gone_is_made_anew(tree: Path, calls: list[str]) -> None:
    bootstrap.main(["run"])
    calls.clear()
    (tree / ".venv" / "bin" / "python").unlink()
    bootstrap.main(["run"])
    assert calls[0] == "venv"


@pytest.mark.usefixtures("tree")
def test_a_failing_pip_ends_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real child process fails here: the environment's Python is a script that exits with 1."""
    python = tmp_path / ".venv" / "bin" / "python"

    def create_venv(_venv: Path) -> None:
        python.parent.mkdir(parents=True)
        python.write_text("#!/bin/sh\nexit 1\n")
        python.chmod(0o755)

    monkeypatch.setattr(bootstrap, "create_venv", create_venv)
    assert bootstrap.main(["run"]) == 1
    error = capsys.readouterr().err
    assert "Run the same command again" in error
    assert "Traceback" not in error


@pytest.mark.usefixtures("calls")
def test_what_the_system_refuses_ends_with_its_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bootstrap, "pip", full)
    assert bootstrap.main(["run"]) == 1
    assert "peersky: [Errno 28] No space left on device" in capsys.readouterr().err


def test_an_old_python_is_refused_by_name() -> None:
    with pytest.raises(bootstrap.BootstrapError, match=r"needs Python 3\.11 or newer, and this is 3\.9"):
        bootstrap.check_python((3, 9))


def test_an_unknown_purpose_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.main(["fly"]) == 2
    assert "usage:" in capsys.readouterr().err


def test_missing_system_packages_stop_it_until_they_are_there(
    calls: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lacks = {"DISPLAY": ["libnss3"]}
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(
        system_libraries, "missing", lambda _venv, displays, for_tests: (lacks["DISPLAY"] if displays else [], [])
    )
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda _name: "apt-get")
    assert bootstrap.main(["run"]) == 0
    monkeypatch.setenv("DISPLAY", ":0")
    assert bootstrap.main(["run"]) == 1
    assert bootstrap.main(["run"]) == 1
    assert "sudo apt-get install -y --no-install-recommends libnss3" in capsys.readouterr().err
    lacks["DISPLAY"] = []
    assert bootstrap.main(["run"]) == 0
    assert calls == ["venv", "pip runtime.txt", "link"]


@pytest.mark.parametrize(
    ("machine", "already", "expected"),
    [
        ("x86_64", [], (60, 300)),
        ("arm64", [], (50, 200)),
        ("riscv64", [], (60, 300)),
        ("x86_64", ["runtime"], (24, 50)),
    ],
)
def test_the_announced_size_is_what_is_added(machine: str, already: list[str], expected: tuple[int, int]) -> None:
    sizes = {
        "dev": {"Linux-x86_64": [60, 300], "Linux-aarch64": [50, 200]},
        "runtime": {"Linux-x86_64": [36, 250]},
    }
    assert bootstrap.download_size(sizes, "dev", already, "Linux", machine) == expected


def test_two_bootstraps_of_one_tree_wait_for_each_other() -> None:
    code = "from tools import bootstrap\nwith bootstrap.only_one(): print('in', flush=True)"
    with bootstrap.only_one():
        second = subprocess.Popen(
            [sys.executable, "-c", code], cwd=Path(bootstrap.__file__).parent.parent, stdout=subprocess.PIPE
        )
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(timeout=0.5)
    assert second.communicate(timeout=20)[0] == b"in\n"


@pytest.mark.parametrize("purpose", sorted(bootstrap.PURPOSES))
def test_every_purpose_has_its_files_and_sizes(purpose: str) -> None:
    sizes = json.loads((REQUIREMENTS / "sizes.json").read_text())
    for name in bootstrap.PURPOSES[purpose]:
        assert (REQUIREMENTS / f"{name}.txt").is_file()
        count, size_bytes = sizes[name]["Linux-x86_64"]
        assert 0 < count < 100
        assert 1e6 < size_bytes < 1e9


def test_dev_repeats_every_pin_of_the_runtime() -> None:
    """`INCLUDES` in the bootstrap relies on it."""
    runtime, dev = (set(PIN.findall((REQUIREMENTS / f"{name}.txt").read_text())) for name in ("runtime", "dev"))
    assert runtime
    assert runtime <= dev


@pytest.mark.parametrize("name", ["runtime", "dev", "pins"])
def test_every_pin_has_hashes_and_no_address(name: str) -> None:
    text = (REQUIREMENTS / f"{name}.txt").read_text()
    for block in re.split(r"\n(?=[a-z0-9])", text.strip()):
        assert PIN.match(block), block
        assert "--hash=sha256:" in block
    assert "://" not in text
    assert "--index-url" not in text


def test_the_fast_path_starts_nothing(tree: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever types `make run` a second time must not wait for this."""
    bootstrap.main(["run"])
    monkeypatch.setattr(subprocess, "Popen", pytest.fail)
    bootstrap.main(["run"])
    assert len(calls) == 3
    assert tree.is_dir()


def test_npm_is_not_asked_when_the_lock_has_not_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def run_npm(_venv: Path, *arguments: str, folder: Path) -> int:
        assert folder == tmp_path
        asked.append(arguments)
        (tmp_path / "node_modules").mkdir(exist_ok=True)
        return 0

    monkeypatch.setattr(npm, "ROOT", tmp_path)
    monkeypatch.setattr(npm, "npm", run_npm)
    (tmp_path / "package-lock.json").write_text("{}")
    assert npm.install(tmp_path)
    assert npm.install(tmp_path)
    assert asked == [("ci",)]
    (tmp_path / "package-lock.json").write_text("{ }")
    assert npm.install(tmp_path)
    assert len(asked) == 2


def test_the_system_interpreter_can_run_it() -> None:
    """It runs before anything is installed: importing it must need the standard library only."""
    code = "import tools.bootstrap, sys; print([m for m in sys.modules if m.partition('.')[0] in {'pip', 'httpx'}])"
    outcome = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, '.'); {code}"],
        cwd=Path(bootstrap.__file__).parent.parent,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (outcome.stdout, outcome.stderr) == ("[]\n", "")
