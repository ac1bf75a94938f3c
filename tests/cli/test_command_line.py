"""What all commands share: help, version, usage, `--profile`."""

from __future__ import annotations

import subprocess
import sys

import pytest

import peersky
from peersky.cli import run_command
from tests.cli.conftest import Cli


def bare(cli: Cli, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "peersky", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, env=cli.environment, timeout=60, check=False)


def test_alone_it_prints_help(cli: Cli) -> None:
    outcome = bare(cli)
    assert outcome.returncode == 0
    for command in ("run", "chat", "ask", "models", "settings", "logs", "doctor", "eval", "shot"):
        assert f"    {command} " in outcome.stdout


def test_version(cli: Cli) -> None:
    assert bare(cli, "--version").stdout == f"PeerSky {peersky.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["fly"], ["ask"], ["settings"], ["settings", "set"], ["models"], ["models", "pull"], ["shot", "x"]]
)
def test_wrong_use_is_said_in_short(cli: Cli, arguments: list[str]) -> None:
    outcome = bare(cli, *arguments)
    assert outcome.returncode == 2
    assert "usage: peersky" in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize(
    "words",
    ["run", "chat", "ask", "settings get", "settings set", "settings unset", "doctor", "eval", "shot", "logs"]
    + [f"models {verb}" for verb in ("list", "pull", "rm", "show", "import")],
)
def test_every_command_takes_a_profile(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_command([*words.split(), "--help"])
    assert "--profile DIR" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (["--size", "0x10"], "'0x10' is no size such as 1280x800"),
        (["--size", "wide"], "'wide' is no size such as 1280x800"),
        (["--timeout-s", "0"], "must be between 0 and 86400 seconds"),
        (["--timeout-s", "nan"], "must be between 0 and 86400 seconds"),
    ],
)
def test_options_of_a_shot_are_checked(option: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_command(["shot", "peersky://home/", "x.png", *option])
    assert sentence in capsys.readouterr().err
