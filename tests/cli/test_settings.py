"""`peersky settings`: through the browser that runs, else in the profile's file; secrets from standard input alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Holder

KEY = "sk-or-0123456789"


def everything_in(root: Path) -> str:
    return "".join(file.read_text("utf-8", "replace") for file in root.rglob("*") if file.is_file())


def test_defaults_are_listed_and_marked(cli: Cli) -> None:
    outcome = cli.run("settings get")
    assert outcome.code == 0
    lines = {line.split()[0]: line for line in outcome.out.splitlines()}
    assert lines["llm.enabled"].split() == ["llm.enabled", "false", "(default)"]
    assert lines["llm.apiKey"].split() == ["llm.apiKey", "not", "set"]
    assert outcome.err == ""


def test_what_was_set_is_got(cli: Cli) -> None:
    for key, value, shown in [
        ("llm.enabled", "on", "true"),
        ("llm.idleTimeout", "30", "30"),
        ("llm.temperature", "1", "1.0"),
        ("llm.model", "qwen2.5-coder:7b", "qwen2.5-coder:7b"),
        ("trust.allowlist", "https://a.example,https://b.example", "https://a.example https://b.example"),
    ]:
        assert cli.run("settings set", key, value).code == 0
        lines = [line.split(maxsplit=1) for line in cli.run("settings get").out.splitlines()]
        assert [key, shown] in lines
    assert cli.run("settings get", "llm.idleTimeout").out == "30\n"


def test_a_value_may_come_from_standard_input(cli: Cli) -> None:
    assert cli.run("settings set", "llm.model", stdin="m\n").code == 0
    assert cli.run("settings get", "llm.model").out == "m\n"


def test_unset_goes_back_to_the_default(cli: Cli) -> None:
    cli.run("settings set", "llm.enabled", "true")
    assert cli.run("settings unset", "llm.enabled").code == 0
    assert json.loads((cli.profile / "settings.json").read_text()) == {}


def test_a_secret_is_never_shown(cli: Cli) -> None:
    assert cli.run("settings get", "llm.apiKey").out == "not set\n"
    outcome = cli.run("settings set", "llm.apiKey", stdin=f"{KEY}\n")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert cli.run("settings get", "llm.apiKey").out == "set\n"
    listed = cli.run("settings get")
    assert "Secrets are kept in a file that only you may read." in listed.err
    for text in (listed.out, listed.err, cli.run("doctor").out, cli.run("doctor", "--json").out):
        assert KEY not in text
    assert everything_in(cli.profile).count(KEY) == 1
    assert json.loads((cli.profile / "secrets.json").read_text()) == {"llm.apiKey http://127.0.0.1:11434": KEY}
    cli.run("settings unset", "llm.apiKey")
    assert KEY not in everything_in(cli.profile)


def test_a_secret_on_the_command_line_is_refused(cli: Cli) -> None:
    outcome = cli.run("settings set", "llm.apiKey", KEY)
    assert outcome.code == 1
    assert "does not belong on a command line" in outcome.err
    assert KEY not in outcome.err
    assert cli.run("settings get", "llm.apiKey").out == "not set\n"


def test_no_secret_on_standard_input_changes_nothing(cli: Cli) -> None:
    cli.run("settings set", "llm.apiKey", stdin=KEY)
    outcome = cli.run("settings set", "llm.apiKey", stdin="")
    assert outcome.code == 1
    assert "peersky settings unset llm.apiKey" in outcome.err
    assert cli.run("settings get", "llm.apiKey").out == "set\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["settings get", "llm.nonsense"], "There is no setting 'llm.nonsense'."),
        (["settings set", "model", "x"], "Did you mean llm.model?"),
        (["settings set", "llm.enabled", "maybe"], "The setting llm.enabled must be true or false."),
        (["settings set", "llm.idleTimeout", "1"], "must be between 5 and 86400 s."),
        (["settings set", "llm.baseURL", "javascript:1"], "must be an address that starts with http"),
        (["settings set", "trust.allowlist", "http://plain.example"], "must use https"),
    ],
)
def test_what_is_refused_is_named(cli: Cli, arguments: list[str], sentence: str) -> None:
    outcome = cli.run(*arguments)
    assert outcome.code == 1
    assert outcome.err.startswith("peersky: ")
    assert sentence in outcome.err
    assert not (cli.profile / "settings.json").exists()


def test_the_documented_block_works_when_put_there_by_hand(cli: Cli) -> None:
    cli.profile.mkdir()
    block = {
        "enabled": True,
        "baseURL": "https://openrouter.ai/api/v1/",
        "apiKey": KEY,
        "model": "anthropic/claude-4.5-sonnet",
    }
    (cli.profile / "settings.json").write_text(json.dumps({"llm": block}))
    outcome = cli.run("settings get", "llm.model")
    assert outcome.out == "anthropic/claude-4.5-sonnet\n"
    assert "was moved to the file of secrets" in outcome.err
    assert KEY not in (cli.profile / "settings.json").read_text()
    assert cli.run("settings get", "llm.apiKey").out == "set\n"


async def test_a_running_browser_is_asked(cli: Cli, holder: Holder) -> None:
    seen: list[frozenset[str]] = []
    holder.services.settings.subscribe(seen.append)
    assert (await cli.arun("settings set", "llm.enabled", "true")).code == 0
    assert (await cli.arun("settings set", "llm.apiKey", stdin=KEY)).code == 0
    assert seen == [{"llm.enabled"}, {"llm.apiKey"}]
    assert holder.services.settings.flag("llm.enabled")
    holder.services.settings.change({"llm.model": "from-the-browser"})
    assert (await cli.arun("settings get", "llm.model")).out == "from-the-browser\n"
