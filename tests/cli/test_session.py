"""Commands share one engine: whoever comes first serves, whoever comes next uses it, and nobody is cut off."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from peersky.cli import session
from peersky.core.chat import ChatChunk
from peersky.core.errors import ProfileUnusable
from peersky.system.paths import Profile
from peersky.system.profile_lock import ProfileLock
from tests.cli.conftest import TIMEOUT_S, Cli, Holder
from tests.fakes.scripted_provider import END, Hold


def log_of(cli: Cli, kind: str) -> list[dict[str, object]]:
    lines = (cli.profile / "log.jsonl").read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]


async def read_line(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(TIMEOUT_S):
        return (await process.stderr.readline()).decode()


async def finish(process: asyncio.subprocess.Process, typed: str = "") -> tuple[int | None, str, str]:
    async with asyncio.timeout(TIMEOUT_S):
        out, err = await process.communicate(typed.encode())
    assert b"Traceback" not in err, err.decode()
    return process.returncode, out.decode(), err.decode()


async def test_a_second_command_uses_the_engine_of_the_first(cli: Cli, tiny_model: str) -> None:
    async with cli.start("chat", "--model", tiny_model, "--max-tokens", "4") as first:
        await read_line(first)
        assert (await cli.arun("ask", "--model", tiny_model, "--max-tokens", "4", "hello")).code == 3
        await finish(first, "hello\n")
    assert len(log_of(cli, "generation-end")) == 2
    assert len(log_of(cli, "child.started")) == 1


async def test_many_at_once_make_one_holder(cli: Cli, tiny_model: str) -> None:
    arguments = ["ask", "--model", tiny_model, "--max-tokens", "2", "hello"]
    outcomes = await asyncio.gather(*(cli.arun(*arguments) for _ in range(4)))
    assert [outcome.code for outcome in outcomes] == [3] * 4
    assert len(log_of(cli, "generation-end")) == 4
    starts, ends = log_of(cli, "child.started"), log_of(cli, "child.stopped")
    # Never two engines at a time: each one ended before the next began.
    times = sorted([(str(entry["at"]), 1) for entry in starts] + [(str(entry["at"]), -1) for entry in ends])
    running = 0
    for _, step in times:
        running += step
        assert running <= 1


async def test_the_first_waits_for_the_answers_of_the_others(cli: Cli) -> None:
    async with cli.start("chat", "--model", "any") as first:
        await read_line(first)
        announcement = json.loads((cli.profile / "run" / "control.json").read_text())
        reader, writer = await asyncio.open_unix_connection(announcement["path"])
        head = f"POST /open HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {announcement['token']}\r\n"
        # A request that is under way for as long as its body does not come.
        writer.write(f"{head}expect: 100-continue\r\ncontent-length: 2\r\n\r\n".encode())
        async with asyncio.timeout(TIMEOUT_S):
            assert (await reader.readline()).startswith(b"HTTP/1.1 100")
        assert first.stdin is not None
        first.stdin.close()
        assert "Another command still uses the model" in await read_line(first)
        writer.write(b"{}")
        async with asyncio.timeout(TIMEOUT_S):
            assert b"HTTP/1.1 501" in await reader.read()
            assert await first.wait() == 0
        writer.close()


async def test_a_chat_goes_on_when_the_holder_ends(cli: Cli, tiny_model: str) -> None:
    arguments = ("chat", "--model", tiny_model, "--max-tokens", "4")
    async with cli.start(*arguments) as first:
        await read_line(first)
        async with cli.start(*arguments) as second:
            await read_line(second)
            first.kill()
            await first.wait()
            code, _, err = await finish(second, "hello\n")
    assert (code, err.count("The answer was cut")) == (1, 1)
    assert "ended" not in err


async def test_a_dead_holder_leaves_nothing_in_the_way(cli: Cli, tiny_model: str) -> None:
    async with cli.start("chat", "--model", tiny_model) as first:
        await read_line(first)
    assert first.returncode == -signal.SIGKILL
    assert (cli.profile / "run" / "control.json").exists()
    outcome = await cli.arun("ask", "--model", tiny_model, "--max-tokens", "2", "hello")
    assert outcome.code == 3
    assert outcome.err.startswith("Model: ")


async def test_somebody_else_with_the_socket_but_not_the_token_is_refused(cli: Cli, holder: Holder) -> None:
    file = cli.profile / "run" / "control.json"
    announcement = json.loads(file.read_text())
    token = announcement["token"]
    assert holder.services.profile.control_file == file
    for wrong in ("", "x", token[:-1], token + "x"):
        outcome = await raw_request(announcement["path"], f"authorization: Bearer {wrong}\r\n")
        assert outcome.startswith(b"HTTP/1.1 403"), wrong
    assert (await raw_request(announcement["path"], "")).startswith(b"HTTP/1.1 403")
    assert (await raw_request(announcement["path"], f"authorization: Bearer {token}\r\n")).startswith(b"HTTP/1.1 200")


async def raw_request(path: str, header: str) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(f"GET /llm/v1/status HTTP/1.1\r\nhost: x\r\n{header}connection: close\r\n\r\n".encode())
    async with asyncio.timeout(TIMEOUT_S):
        reply = await reader.read()
    writer.close()
    await writer.wait_closed()
    return reply


async def test_the_command_line_needs_no_permission(cli: Cli, holder: Holder) -> None:
    """The user in person is not a page: the switch for pages may be off."""
    assert not holder.services.settings.flag("llm.enabled")
    assert (await cli.arun("ask", "hello")).out == "Hello\n"


async def test_closing_the_holder_ends_an_answer(cli: Cli, holder: Holder) -> None:
    hold = Hold()
    holder.provider.script = [ChatChunk(content="first"), hold, END]
    async with cli.start("ask", "hello") as process:
        async with asyncio.timeout(TIMEOUT_S):
            await hold.reached.wait()
            await holder.control.close()
        code, out, err = await finish(process)
    assert (code, out) == (1, "first")
    assert "ended in the middle of the answer" in err


def test_who_holds_a_profile_without_answering_is_named(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PATIENCE_S", 0.2)
    with (
        ProfileLock.acquire(profile),
        pytest.raises(ProfileUnusable, match=rf"in use by another PeerSky \(process {os.getpid()}\)"),
        session.Session(profile),
    ):
        pass


@pytest.mark.skipif(os.name != "posix", reason="Unix sockets have such a limit")
def test_a_profile_of_a_long_path_works(cli: Cli, tmp_path: Path) -> None:
    cli.profile = tmp_path / ("long" * 40)
    assert cli.run("settings get", "llm.enabled").out == "false\n"
