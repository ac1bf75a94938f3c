"""`peersky chat`: over a pipe with a question per line, and in a terminal where Ctrl-C stops the answer alone."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
from collections.abc import Callable

import pytest

from peersky.core.chat import ChatChunk, ChatRequest
from peersky.core.errors import BackendFailed
from tests.cli.conftest import TIMEOUT_S, Cli, Holder
from tests.fakes.scripted_provider import END, Hold, Step


def echo(request: ChatRequest) -> list[Step]:
    return [ChatChunk(content=" / ".join(str(message["content"]) for message in request.messages)), END]


def test_the_engine_answers_over_a_pipe(cli: Cli, tiny_model: str) -> None:
    outcome = cli.run("chat", "--model", tiny_model, "--max-tokens", "4", stdin="hello\n\nyou\n")
    assert outcome.err.count("The answer was cut") == 2
    assert outcome.err.startswith(f"Model: {tiny_model} (builtin).\n")


async def test_a_conversation_remembers(cli: Cli, holder: Holder) -> None:
    holder.provider.script = echo
    outcome = await cli.arun("chat", stdin="a\n\nb\n")
    assert outcome.out == "a\na / a / b\n"
    assert outcome.code == 0
    assert outcome.err == "Model: peersky-starter (builtin). A demonstration.\n"


async def test_new_starts_over_and_exit_ends(cli: Cli, holder: Holder) -> None:
    holder.provider.script = echo
    outcome = await cli.arun("chat", stdin="a\n/new\nb\n/exit\nc\n")
    assert outcome.out == "a\nb\n"
    conversations = [request.conversation for request in holder.provider.requests]
    assert len(set(conversations)) == 2


async def test_a_failed_question_is_said_and_the_conversation_goes_on(cli: Cli, holder: Holder) -> None:
    def script(request: ChatRequest) -> list[Step]:
        return [BackendFailed("It died.")] if request.messages[-1]["content"] == "b" else echo(request)

    holder.provider.script = script
    outcome = await cli.arun("chat", stdin="a\nb\nc\n")
    assert outcome.out == "a\na / a / c\n"
    assert "peersky: It died.\n" in outcome.err
    assert outcome.code == 1


async def test_the_model_can_be_chosen(cli: Cli, holder: Holder) -> None:
    outcome = await cli.arun("chat", "--model", "other", stdin="a\n")
    assert outcome.err.startswith("Model: other (builtin).")
    assert holder.provider.requests[0].model == "other"


class Terminal:
    """The program in a terminal of its own, as a person sees it."""

    def __init__(self) -> None:
        self.master, self._slave = pty.openpty()
        self.seen = ""
        self._changed = asyncio.Event()

    async def start(self, cli: Cli) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *cli.argv("chat"),
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env={**cli.environment, "TERM": "dumb"},
            start_new_session=True,
        )
        os.close(self._slave)
        asyncio.get_running_loop().add_reader(self.master, self._read)
        return process

    def _read(self) -> None:
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the program ended
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self.master)
        self.seen += data.decode("utf-8", "replace")
        self._changed.set()

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    async def wait_for(self, test: Callable[[str], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not test(self.seen):
                self._changed.clear()
                await self._changed.wait()


async def test_in_a_terminal_ctrl_c_stops_the_answer_and_ctrl_d_the_program(cli: Cli, holder: Holder) -> None:
    hold = Hold()

    def script(request: ChatRequest) -> list[Step]:
        if request.messages[-1]["content"] == "long":
            return [ChatChunk(content="It begins"), hold, END]
        return echo(request)

    holder.provider.script = script
    terminal = Terminal()
    process = await terminal.start(cli)
    await terminal.wait_for(lambda seen: seen.endswith("> "))
    assert "Ctrl-C stops an answer" in terminal.seen
    terminal.type("long\n")
    await terminal.wait_for(lambda seen: "It begins" in seen)
    process.send_signal(signal.SIGINT)
    await terminal.wait_for(lambda seen: "Stopped." in seen and seen.endswith("> "))
    async with asyncio.timeout(TIMEOUT_S):
        await holder.control.idle()
    assert (holder.provider.open, holder.provider.cut) == (0, 1)
    terminal.type("next\n")
    await terminal.wait_for(lambda seen: "long / It begins / next" in seen and seen.endswith("> "))
    process.send_signal(signal.SIGINT)
    await terminal.wait_for(lambda seen: seen.count("> ") == 4)
    terminal.type("\x04")
    async with asyncio.timeout(TIMEOUT_S):
        assert await process.wait() == 0
    os.close(terminal.master)


@pytest.mark.parametrize("option", [["--max-tokens", "0"], ["--temperature", "x"]])
async def test_a_bad_option_is_said(cli: Cli, holder: Holder, option: list[str]) -> None:
    outcome = await cli.arun("chat", *option, stdin="a\n")
    assert outcome.code in (1, 2)
    assert option[0].strip("-").replace("-", "_") in outcome.err.replace("-", "_")
