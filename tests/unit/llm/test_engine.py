"""The engine, with real child processes and random weights: it answers, stops, dies and comes back."""

from __future__ import annotations

import asyncio
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from peersky.core.chat import ChatAnswer
from peersky.core.errors import (
    BackendFailed,
    ContextExceeded,
    InvalidRequest,
    ModelFileInvalid,
    NotEnoughMemory,
)
from peersky.llm import engine as engine_module
from peersky.llm.engine import BATCH_TOKENS, NAME, Engine, EngineOptions
from peersky.llm.engine_watch import LOW_MEMORY_BYTES
from peersky.llm.gguf_head import read_head
from peersky.llm.llama_words import llama_reason
from peersky.llm.openai_stream import OpenAIStream
from peersky.system.children import RestartPolicy
from peersky.system.memory import free_memory_bytes

GIB = 1024**3
PATIENCE_S = 30.0
NO_BACK_OFF = RestartPolicy(back_off_s=(0.0,))
linux = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")

EngineMaker = Callable[..., Engine]


@pytest.fixture
async def make_engine(tiny: Path) -> AsyncIterator[EngineMaker]:
    made: list[Engine] = []

    def make(
        file: Path = tiny, *, context_length: int = 4096, parallel: int = 2, idle_timeout_s: float = 600, **more: Any
    ) -> Engine:
        known = {name: more.pop(name) for name in ("silence_timeout_s", "header_timeout_s") if name in more}
        options = EngineOptions(context_length, parallel, **known)
        more.setdefault("policy", NO_BACK_OFF)
        more.setdefault("log", lambda kind, **fields: None)
        made.append(Engine(file, read_head(file), options, idle_timeout_s=idle_timeout_s, **more))
        return made[-1]

    yield make
    for one in made:
        await one.close()


def question(text: str = "Hello", **more: Any) -> dict[str, Any]:
    return {
        "messages": [{"role": "user", "content": text}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 8,
        "temperature": 0,
        **more,
    }


LONG: dict[str, Any] = {"max_tokens": 1000, "ignore_eos": True}


async def answer(engine: Engine, payload: dict[str, Any]) -> ChatAnswer:
    stream, gathered = OpenAIStream(NAME), ChatAnswer()
    async with engine.stream(payload) as events:
        async for event in events:
            for chunk in stream.read(event):
                gathered.add(chunk)
    stream.finish()
    return gathered


async def read_and(engine: Engine, payload: dict[str, Any], act: Callable[[], None]) -> None:
    """Read an answer to its end; act once after its first words."""
    async with engine.stream(payload) as events:
        await first_content(events)
        act()
        async for _ in events:
            pass


def content_of(event: str) -> str:
    if event == "[DONE]":
        return ""
    choices = json.loads(event)["choices"]
    return (choices[0]["delta"].get("content") or "") if choices else ""


async def first_content(events: AsyncIterator[str]) -> str:
    async for event in events:
        if content := content_of(event):
            return content
    raise AssertionError("no content")


async def test_answers_and_says_how_it_ended(make_engine: EngineMaker) -> None:
    engine = make_engine()
    states = [engine.state]
    found = await answer(engine, question())
    assert [*states, engine.state] == ["stopped", "ready"]
    assert not engine.busy
    assert found.finish_reason == "length"
    assert found.usage is not None
    assert found.usage.output_tokens == 8
    assert found.content


async def test_exact_text_by_grammar(make_engine: EngineMaker) -> None:
    found = await answer(make_engine(), question(grammar='root ::= "Grüße, 世界!"', max_tokens=100))
    assert (found.content, found.finish_reason) == ("Grüße, 世界!", "stop")


async def test_two_answers_stream_at_once_and_a_third_waits(make_engine: EngineMaker) -> None:
    engine = make_engine()
    order: list[str] = []

    async def ask(name: str) -> None:
        async with engine.stream(question(name, **LONG)) as events:
            await first_content(events)
            order.append(f"{name} began")
            async for _ in events:
                pass
            order.append(f"{name} ended")

    await asyncio.gather(ask("a"), ask("b"), ask("c"))
    assert {order[0], order[1]} == {"a began", "b began"}
    assert order.index("c began") > min(order.index("a ended"), order.index("b ended"))


async def test_thirty_two_questions_lose_nothing(make_engine: EngineMaker) -> None:
    engine = make_engine()
    texts = [f"Text number {n}." for n in range(32)]
    payloads = [question(t, grammar=f'root ::= "{t}"', max_tokens=200) for t in texts]
    answers = await asyncio.gather(*(answer(engine, payload) for payload in payloads))
    assert [found.content for found in answers] == texts


async def test_only_the_key_is_admitted_and_only_loopback_listens(make_engine: EngineMaker) -> None:
    engine = make_engine()
    child = await engine.child()
    url = f"http://127.0.0.1:{child.ready['port']}"
    async with httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)) as client:
        for path in ("/v1/chat/completions", "/completion", "/tokenize", "/v1/embeddings"):
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-Api-Key": "x"}):
                reply = await client.post(url + path, json=question(), headers=headers)
                assert reply.status_code == 401, path
        for path in ("/v1/models", "/props", "/slots", "/metrics"):
            reply = await client.get(url + path, headers={"Origin": "https://evil.example"})
            assert reply.status_code == 401, path
            assert "access-control-allow-origin" not in reply.headers
        assert (await client.get(url + "/")).status_code == 404
    listening = [c.laddr.ip for c in psutil.Process(child.pid).net_connections() if c.status == "LISTEN"]
    assert listening == ["127.0.0.1"]


async def test_the_key_is_in_neither_arguments_nor_environment(make_engine: EngineMaker) -> None:
    engine = make_engine()
    child = await engine.child()
    process = psutil.Process(child.pid)
    assert len(engine._key) > 32
    assert engine._key not in str(process.cmdline()) + str(process.environ())


async def test_engines_never_share_a_port_and_change_their_key(make_engine: EngineMaker) -> None:
    one, other = make_engine(), make_engine()
    ports = {(await engine.child()).ready["port"] for engine in (one, other)}
    assert len(ports) == 2
    assert one._key != other._key
    before = one._key
    await one.stop()
    await one.child()
    assert one._key != before


async def test_leaving_while_it_generates_frees_the_engine(make_engine: EngineMaker) -> None:
    engine = make_engine(parallel=1)
    async with engine.stream(question(**LONG)) as events:
        await first_content(events)
    async with asyncio.timeout(PATIENCE_S):
        found = await answer(engine, question())
    assert found.usage is not None
    assert not engine.busy


async def test_a_cancelled_task_frees_the_engine(make_engine: EngineMaker) -> None:
    engine = make_engine(parallel=1)
    begun = asyncio.Event()

    async def ask() -> None:
        async with engine.stream(question(**LONG)) as events:
            await first_content(events)
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(ask())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(PATIENCE_S):
        await engine.wait_idle()
        assert (await answer(engine, question())).finish_reason


async def test_leaving_in_a_long_prefill_frees_the_engine(make_engine: EngineMaker, half: Path) -> None:
    engine = make_engine(half, parallel=1)
    long = question(" ".join(f"word{n}" for n in range(450)), return_progress=True)

    async def read(events_wanted: int) -> list[dict[str, int]]:
        found: list[dict[str, int]] = []
        async with engine.stream(long) as events:
            async for event in events:
                found.append(json.loads(event)["prompt_progress"])
                if len(found) == events_wanted:
                    break
        return found

    _, second, third = await read(3)
    assert third["processed"] - second["processed"] == BATCH_TOKENS
    assert third["processed"] < third["total"] / 4
    # What the engine has of this prompt from before is all that it read of it: the batches of about a second after it.
    (again,) = await read(1)
    assert again["cache"] < again["total"] / 2


@pytest.mark.fault("Engine killed while it answers")
async def test_killed_in_mid_answer_and_back_with_the_next_question(make_engine: EngineMaker) -> None:
    engine = make_engine()
    child = await engine.child()
    with pytest.raises(BackendFailed, match=r"was killed.*before the answer was finished\. Ask again") as caught:
        await read_and(engine, question(**LONG), lambda: os.kill(child.pid, signal.SIGKILL))
    assert caught.value.reason == "interrupted"
    assert (await answer(engine, question())).finish_reason == "length"
    assert (await engine.child()).pid != child.pid


@pytest.mark.fault("Engine killed while it is idle")
async def test_killed_while_idle_goes_unnoticed(make_engine: EngineMaker) -> None:
    engine = make_engine()
    child = await engine.child()
    os.kill(child.pid, signal.SIGKILL)
    # Asked before the exit is noticed: the connection is refused, and the question is put to a new process.
    assert (await answer(engine, question())).finish_reason == "length"


@pytest.mark.fault("Engine killed again and again: a sentence, and a new start by hand")
async def test_repeated_deaths_end_in_a_sentence_and_a_reset(make_engine: EngineMaker) -> None:
    engine = make_engine()
    for _ in range(3):
        child = await engine.child()
        os.kill(child.pid, signal.SIGKILL)
        await asyncio.wait({child.exited}, timeout=10)
    assert engine.state == "crash_loop"
    with pytest.raises(BackendFailed, match="is not started again") as caught:
        await answer(engine, question())
    assert caught.value.reason == "crash_loop"
    assert "is not started again" in engine.sentence()
    engine.reset()
    assert (await answer(engine, question())).finish_reason == "length"


@pytest.mark.fault("Engine frozen in the middle of an answer")
@linux
async def test_a_frozen_engine_is_noticed_and_replaced(make_engine: EngineMaker) -> None:
    engine = make_engine(silence_timeout_s=0.5, header_timeout_s=5)
    child = await engine.child()
    with pytest.raises(BackendFailed, match=r"did not respond for 0\.5 s and was stopped") as caught:
        await read_and(engine, question(**LONG), lambda: os.kill(child.pid, signal.SIGSTOP))
    assert caught.value.reason == "interrupted"
    # On a busy computer half a second without a byte is nothing.
    engine._options = replace(engine._options, silence_timeout_s=PATIENCE_S)
    assert (await answer(engine, question())).finish_reason == "length"


@pytest.mark.fault("Engine frozen before the question")
@linux
async def test_an_engine_frozen_before_the_question(make_engine: EngineMaker) -> None:
    engine = make_engine(silence_timeout_s=5, header_timeout_s=0.5)
    child = await engine.child()
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(BackendFailed, match=r"did not respond for 0\.5 s"):
        await answer(engine, question())
    async with asyncio.timeout(5):
        await asyncio.shield(child.exited)


@linux
@pytest.mark.fault("Engine hangs: it is told, and can be killed by hand")
@pytest.mark.parametrize("end", ["killed", "goes on"])
async def test_a_hung_engine_is_told_and_can_be_killed(make_engine: EngineMaker, end: str) -> None:
    told: list[bool] = []
    hangs, over = asyncio.Event(), asyncio.Event()

    def tell(yes: bool) -> None:
        told.append(yes)
        (hangs if yes else over).set()

    engine = make_engine(on_hang=tell, silence_timeout_s=60, header_timeout_s=60)
    engine.hang_timeout_s = 0.2
    child = await engine.child()
    reading = asyncio.create_task(read_and(engine, question(**LONG), lambda: os.kill(child.pid, signal.SIGSTOP)))
    async with asyncio.timeout(PATIENCE_S):
        await hangs.wait()
    if end == "killed":
        engine.kill()
        with pytest.raises(BackendFailed, match=r"was stopped before the answer was finished\. Ask again"):
            await reading
    else:
        engine.hang_timeout_s = 60
        os.kill(child.pid, signal.SIGCONT)
        await reading
    async with asyncio.timeout(PATIENCE_S):
        await over.wait()
    assert told[0] is True
    assert told[-1] is False
    # It was the user's wish and counts as no death.
    for _ in range(3):
        engine.kill()
        assert (await answer(engine, question())).finish_reason == "length"


@pytest.mark.fault("Memory is short while the engine is idle: the model goes, and comes back with the next question")
async def test_short_memory_unloads_an_idle_model(make_engine: EngineMaker) -> None:
    log: list[tuple[str, dict[str, Any]]] = []
    free = [8 * GIB]
    engine = make_engine(
        free_memory=lambda: free[0], memory_check_s=0.01, log=lambda kind, **fields: log.append((kind, fields))
    )
    await answer(engine, question())
    child = await engine.child()
    async with engine.stream(question(**LONG)) as events:
        await first_content(events)
        free[0] = LOW_MEMORY_BYTES - 1
        # Whoever reads an answer keeps it, however long that takes.
        async for _ in events:
            pass
        assert not child.exited.done()
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.shield(child.exited)
    (unloaded,) = [fields for kind, fields in log if kind == "engine.unloaded"]
    assert (unloaded["why"], unloaded["free_bytes"]) == ("memory is short", LOW_MEMORY_BYTES - 1)
    free[0] = 8 * GIB
    assert (await answer(engine, question())).finish_reason == "length"


async def test_it_stops_when_idle_and_comes_back(make_engine: EngineMaker) -> None:
    engine = make_engine(idle_timeout_s=0.1)
    await answer(engine, question())
    child = await engine.child()
    async with asyncio.timeout(10):
        await asyncio.shield(child.exited)
    assert engine.state == "stopped"
    assert (await answer(engine, question())).finish_reason == "length"


async def test_it_is_not_idle_while_somebody_reads(make_engine: EngineMaker) -> None:
    engine = make_engine(idle_timeout_s=0.0)
    async with engine.stream(question(**LONG)) as events:
        child = await engine.child()
        async for _ in events:
            pass
        assert child.alive
    async with asyncio.timeout(10):
        await asyncio.shield(child.exited)


async def test_a_prompt_over_the_context(make_engine: EngineMaker) -> None:
    engine = make_engine(context_length=512)
    with pytest.raises(ContextExceeded) as caught:
        await answer(engine, question("a" * 5000))
    assert caught.value.quota == 512
    assert caught.value.requested is not None
    assert caught.value.requested > 1000


async def test_the_context_is_each_conversations_own(make_engine: EngineMaker) -> None:
    engine = make_engine(context_length=512)
    found = await asyncio.gather(*(answer(engine, question(t, **LONG)) for t in "ab"))
    for one in found:
        assert one.finish_reason == "length"
        assert one.usage is not None
        assert one.usage.input_tokens + one.usage.output_tokens == pytest.approx(512, abs=2)


async def test_a_request_that_the_engine_refuses(make_engine: EngineMaker) -> None:
    schema = {"type": "json_schema", "json_schema": {"schema": {"type": "nonsense"}}}
    with pytest.raises(InvalidRequest, match=r"The built-in engine reports: .*nonsense"):
        await answer(make_engine(), question(response_format=schema))


@pytest.mark.fault("Too little memory for the model")
async def test_memory_is_refused_with_the_numbers(make_engine: EngineMaker) -> None:
    engine = make_engine(free_memory=lambda: GIB + 1000)
    with pytest.raises(NotEnoughMemory, match=r"needs about \d\.\d MB of memory and 1\.0 kB can be used") as caught:
        await answer(engine, question())
    assert caught.value.requested == engine.memory_bytes
    assert caught.value.quota == 1000
    assert engine.state == "stopped"


async def test_memory_that_nobody_can_tell_is_no_reason_to_refuse(make_engine: EngineMaker) -> None:
    assert (await answer(make_engine(free_memory=lambda: None), question())).finish_reason


@linux
def test_free_memory_is_read_from_the_system() -> None:
    free = free_memory_bytes()
    assert free is not None
    assert 0 < free <= psutil.virtual_memory().total


@pytest.mark.fault("Engine given a file that is no model")
async def test_a_file_that_llama_cpp_refuses(make_engine: EngineMaker, make_model: Callable[..., Path]) -> None:
    events: list[str] = []
    engine = make_engine(make_model("tiny", "--arch", "nonesuch"), log=lambda kind, **_: events.append(kind))
    for _ in range(2):
        with pytest.raises(ModelFileInvalid, match="cannot be loaded: unknown model architecture: 'nonesuch'"):
            await answer(engine, question())
    assert "child.died" not in events


async def test_a_file_that_is_gone(make_engine: EngineMaker, tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    shutil.copy(tiny, file)
    engine = make_engine(file)
    file.unlink()
    with pytest.raises(ModelFileInvalid, match="No such file"):
        await answer(engine, question())


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["0.00.004.918 E llama_model_load: error loading model: tensor 'a' data is not within the file bounds"],
         "tensor 'a' data is not within the file bounds"),
        (["0.00.004.899 E gguf_init_from_reader: failed to read key-value pairs",
          "0.00.004.918 E llama_model_load: error loading model: llama_model_loader: failed to load model from x"],
         "failed to read key-value pairs"),
        (["0.1 E srv    load_model: failed to load model, 'x'"], "failed to load model, 'x'"),
        (["some warning"], ""),
        ([], ""),
    ],
)  # fmt: skip
def test_the_reason_that_llama_cpp_gives(lines: list[str], reason: str) -> None:
    assert llama_reason(tuple(lines)) == reason


def _run_child(config: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    script = Path(engine_module.__file__).with_name("engine_child.py")
    return subprocess.run(
        [sys.executable, "-P", str(script)], input=json.dumps(config), capture_output=True, text=True, timeout=60
    )


@linux
def test_an_address_space_that_is_too_small_is_a_refusal(half: Path) -> None:
    config = {
        "parent_pid": os.getpid(),
        "model": str(half),
        "key": "k",
        "n_ctx": 4096,
        "n_parallel": 2,
        "n_batch": 256,
        "answer_threads": 1,
        "prompt_threads": 1,
        "cache_ram_mib": 0,
        "embedding": False,
        "ping_s": 10,
        "address_space_bytes": 400 * 1024 * 1024,
    }
    ended = _run_child(config)
    assert json.loads(ended.stdout)["ready"] is False
    assert ended.returncode == 3
    # The parent it was started for is gone: it leaves at once.
    assert _run_child({**config, "parent_pid": 1 if os.getpid() != 1 else 2}).stdout == ""


PARENT = """
import asyncio, json, sys
from pathlib import Path
from peersky.llm.engine import Engine, EngineOptions
from peersky.llm.gguf_head import read_head
async def main():
    file = Path(sys.argv[1])
    def log(kind, **fields): print(json.dumps([kind, fields["pid"]]), flush=True)
    await Engine(file, read_head(file), EngineOptions(4096), idle_timeout_s=600, log=log).child()
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.fault("Browser killed: the engine ends, loading or ready")
@linux
@pytest.mark.parametrize("loading", [True, False])
def test_the_engine_does_not_outlive_a_killed_browser(half: Path, loading: bool) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", PARENT, str(half)], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        kind, pid = json.loads(parent.stdout.readline())
        assert kind == "child.started"
        pidfd = os.pidfd_open(pid)
        try:
            if loading:
                # Mapped means: within the constructor, which holds the interpreter lock until the model is loaded.
                deadline = time.monotonic() + 30
                while half.name not in Path(f"/proc/{pid}/maps").read_text():
                    assert time.monotonic() < deadline
            else:
                assert json.loads(parent.stdout.readline())[0] == "child.ready"
            parent.kill()
            assert select.select([pidfd], [], [], 5)[0]
        finally:
            os.close(pidfd)
        said = [json.loads(line)[0] for line in parent.stdout]
    assert said == []
