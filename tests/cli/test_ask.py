"""`peersky ask`: the answer on standard output and nothing else there; 0 only for a complete one."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
from pathlib import Path

import psutil
import pytest

from peersky.core.chat import ChatChunk
from peersky.core.errors import BackendFailed, ContextExceeded
from tests.cli.conftest import TIMEOUT_S, Cli, Holder
from tests.fakes.scripted_provider import END, Hold


def test_the_engine_answers_without_a_browser(cli: Cli, tiny_model: str) -> None:
    outcome = cli.run("ask", "--model", tiny_model, "--max-tokens", "8", "hello")
    assert outcome.code == 3
    assert len(outcome.out) > 1
    assert outcome.err.splitlines() == [
        f"Model: {tiny_model} (builtin).",
        "The answer was cut at its longest length; --max-tokens allows a longer one.",
    ]


def test_json_is_one_object(cli: Cli, tiny_model: str) -> None:
    outcome = cli.run("ask", "--json", "--model", tiny_model, "--max-tokens", "8", "--temperature", "0", "hello")
    answer = json.loads(outcome.out)
    assert list(answer) == ["content", "model", "provider", "finishReason", "usage"]
    assert answer["model"] == tiny_model
    assert answer["provider"] == "builtin"
    assert answer["finishReason"] == "length"
    assert answer["usage"]["completion_tokens"] == 8


def test_temperature_zero_repeats_itself(cli: Cli, tiny_model: str) -> None:
    arguments = ["--model", tiny_model, "--max-tokens", "8", "--temperature", "0", "hello"]
    assert cli.run("ask", *arguments).out == cli.run("ask", *arguments).out


def test_a_model_is_named_from_where_the_user_is(cli: Cli, tiny_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(tiny_model).parent)
    assert cli.run("ask", "--model", Path(tiny_model).name, "--max-tokens", "2", "hello").code == 3


def test_no_engine_is_left_behind(cli: Cli, tiny_model: str) -> None:
    cli.run("ask", "--model", tiny_model, "--max-tokens", "2", "hello")
    assert [process for process in psutil.process_iter() if started_by(cli, process)] == []
    assert list((cli.profile / "run").iterdir()) == [cli.profile / "run" / "lock"]


def started_by(cli: Cli, process: psutil.Process) -> bool:
    """Whether a process has the environment that this test gave to its command."""
    try:
        return bool(process.environ().get("HOME") == cli.environment["HOME"])
    except psutil.Error:
        return False


def test_a_missing_model_is_one_sentence(cli: Cli) -> None:
    outcome = cli.run("ask", "--model", "no-such-model", "hello")
    assert outcome.code == 1
    assert outcome.out == ""
    assert "There is no built-in model no-such-model." in outcome.err


def test_a_file_that_is_no_model_is_one_sentence(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("bad") / "bad.gguf"
    file.write_bytes(b"<html>")
    outcome = cli.run("ask", "--model", str(file), "hello")
    assert outcome.code == 1
    assert outcome.out == ""
    assert outcome.err.count("peersky: ") == 1


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_an_empty_question_is_refused(cli: Cli, prompt: str) -> None:
    assert cli.run("ask", prompt).err == "peersky: The question is empty.\n"
    assert cli.run("ask", "-", stdin=prompt).code == 1


async def test_a_complete_answer_is_the_only_output(cli: Cli, holder: Holder) -> None:
    holder.provider.script = [ChatChunk(content="Hel"), ChatChunk(content="lo – ü"), END]
    outcome = await cli.arun("ask", "What is PeerSky?")
    assert (outcome.code, outcome.out) == (0, "Hello – ü\n")
    assert outcome.err == "Model: peersky-starter (builtin). A demonstration.\n"
    assert holder.provider.requests[0].messages == ({"role": "user", "content": "What is PeerSky?"},)


async def test_the_question_comes_from_standard_input(cli: Cli, holder: Holder) -> None:
    assert (await cli.arun("ask", "-", stdin="two\nlines")).code == 0
    assert holder.provider.requests[0].messages[0]["content"] == "two\nlines"


async def test_options_reach_the_model(cli: Cli, holder: Holder) -> None:
    await cli.arun("ask", "--model", "other", "--temperature", "0.5", "--max-tokens", "5", "hello")
    (request,) = holder.provider.requests
    assert (request.model, request.temperature, request.max_tokens) == ("other", 0.5, 5)


async def test_an_option_out_of_bounds_is_named(cli: Cli, holder: Holder) -> None:
    outcome = await cli.arun("ask", "--temperature", "5", "hello")
    assert outcome.code == 1
    assert "The option temperature must be between 0 and 2." in outcome.err


@pytest.mark.parametrize(
    ("script", "code", "sentence"),
    [
        ([ChatChunk(content="a"), ChatChunk(finish_reason="length")], 3, "cut at its longest length"),
        ([ChatChunk(content="a"), ChatChunk(finish_reason="content_filter")], 1, "'content_filter'"),
        ([ChatChunk(content="a"), BackendFailed("It died.", reason="interrupted")], 1, "peersky: It died."),
        ([ChatChunk(content="a")], 1, "stopped in the middle"),
        ([BackendFailed("Nobody answers.")], 1, "peersky: Nobody answers."),
        ([ContextExceeded("Too long: 9 of 8 tokens.", requested=9, quota=8)], 1, "Too long: 9 of 8 tokens."),
        ([ChatChunk(content="a"), ValueError("inside")], 1, "what it was stands in the log"),
        ([ChatChunk(content="a"), ChatChunk(finish_reason="tool_calls")], 0, ""),
    ],
)
async def test_the_exit_code_says_whether_the_answer_is_complete(
    cli: Cli, holder: Holder, script: list[ChatChunk], code: int, sentence: str
) -> None:
    holder.provider.script = script
    outcome = await cli.arun("ask", "hello")
    assert outcome.code == code
    assert outcome.out.strip() in ("a", "")
    assert sentence in outcome.err
    assert "inside" not in outcome.err


async def test_pieces_are_shown_as_they_come(cli: Cli, holder: Holder) -> None:
    hold = Hold()
    holder.provider.script = [ChatChunk(content="first"), hold, END]
    async with cli.start("ask", "hello") as process, asyncio.timeout(TIMEOUT_S):
        assert process.stdout is not None
        assert await process.stdout.readexactly(5) == b"first"
        hold.released.set()
        assert await process.wait() == 0


@pytest.mark.parametrize("before", [[], [ChatChunk(content="first")]], ids=["prefill", "answer"])
async def test_ctrl_c_stops_the_generation(cli: Cli, holder: Holder, before: list[ChatChunk]) -> None:
    hold = Hold()
    holder.provider.script = [*before, hold, END]
    async with cli.start("ask", "hello") as process, asyncio.timeout(TIMEOUT_S):
        await hold.reached.wait()
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        await holder.control.idle()
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert (holder.provider.open, holder.provider.cut) == (0, 1)


async def test_a_reader_that_has_seen_enough_is_no_error(cli: Cli, holder: Holder) -> None:
    hold = Hold()
    holder.provider.script = [ChatChunk(content="first\n"), hold, ChatChunk(content="second\n"), END]
    reader, writer = os.pipe()
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *cli.argv("ask", "hello"), stdout=writer, stderr=pipe, env=cli.environment
    )
    os.close(writer)
    async with asyncio.timeout(TIMEOUT_S):
        await hold.reached.wait()
        os.close(reader)
        hold.released.set()
        _, err = await process.communicate()
    assert process.returncode == 141
    assert err.decode().splitlines() == ["Model: peersky-starter (builtin). A demonstration."]


@pytest.mark.attack("The command line")
async def test_a_model_cannot_steer_the_terminal(cli: Cli, holder: Holder) -> None:
    """An escape sequence in an answer could rename the window or fill the clipboard."""
    holder.provider.script = [ChatChunk(content="a\x1b]0;owned\x07b\x9b31m\tc\n"), END]
    assert (await cli.arun("ask", "hello")).out == "a\x1b]0;owned\x07b\x9b31m\tc\n"
    master, slave = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *cli.argv("ask", "hello"), stdout=slave, stderr=asyncio.subprocess.DEVNULL, env=cli.environment
    )
    os.close(slave)
    async with asyncio.timeout(TIMEOUT_S):
        assert await process.wait() == 0
    assert os.read(master, 1000) == b"a]0;ownedb31m\tc\r\n"
    os.close(master)


def test_a_profile_that_cannot_be_used_is_one_sentence(cli: Cli) -> None:
    cli.profile.write_text("a file")
    outcome = cli.run("ask", "hello")
    assert outcome.code == 1
    assert outcome.err.startswith(f"peersky: PeerSky cannot use the profile directory {cli.profile}: ")


def test_a_bad_settings_file_is_said_and_kept(cli: Cli, tiny_model: str) -> None:
    cli.profile.mkdir()
    (cli.profile / "settings.json").write_text("{broken")
    outcome = cli.run("ask", "--model", tiny_model, "--max-tokens", "2", "hello")
    assert "settings.json was not valid (line 1): it is kept as settings.json.bad-1" in outcome.err
    assert (cli.profile / "settings.json.bad-1").read_text() == "{broken"


def test_a_fresh_profile_answers_with_the_starter_model(cli: Cli) -> None:
    outcome = cli.run("ask", "--temperature", "0", "What is PeerSky?")
    assert outcome.code == 0
    assert outcome.err.startswith("Model: peersky-starter (builtin). A demonstration")
    for word in ("browser", "peer-to-peer", "model"):
        assert word in outcome.out
