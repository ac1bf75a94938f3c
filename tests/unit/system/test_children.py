"""The supervisor, with real child processes: small Python programs."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest

from peersky.core.errors import BackendFailed, NotEnoughMemory
from peersky.system import children
from peersky.system.children import ChildDied, ChildRefused, Launch, RestartPolicy, Supervisor

GOOD = """
import json, os, sys
config = json.loads(sys.stdin.readline())
print(json.dumps({"ready": True, "echo": config, "group": os.getpgid(0) if hasattr(os, "getpgid") else 0}), flush=True)
sys.stdin.read()
"""
STUBBORN = """
import json, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(json.dumps({"ready": True}), flush=True)
signal.pause()
"""
SILENT = "import sys; sys.stdin.read()"

linux = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


def python(code: str, first_line: str = "{}") -> Launch:
    return Launch((sys.executable, "-c", code), first_line)


class Bench:
    """A supervisor of programs in turn, with a clock that moves by hand."""

    def __init__(self, *codes: str, **options: Any) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.codes = list(codes)
        self.launched = 0
        self.first_event = asyncio.Event()
        self.supervisor = Supervisor(
            "The helper", self.launch, self.record, clock=lambda: self.now, sleep=self.sleep, **options
        )

    def launch(self) -> Launch:
        self.launched += 1
        return python(self.codes.pop(0) if len(self.codes) > 1 else self.codes[0])

    def record(self, kind: str, **fields: Any) -> None:
        self.events.append((kind, fields))
        self.first_event.set()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]

    async def kill(self) -> None:
        child = await self.supervisor.child()
        child.kill()
        async with asyncio.timeout(10):
            await asyncio.wait({child.exited})


@pytest.fixture
async def bench() -> AsyncIterator[Any]:
    made: list[Bench] = []

    def make(*codes: str, **options: Any) -> Bench:
        made.append(Bench(*codes, **options))
        return made[-1]

    yield make
    for one in made:
        await one.supervisor.close()


def ended(pid: int, timeout_s: float = 10) -> bool:
    """Whether a process that is not our child ends in time (a zombie has ended)."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], timeout_s)[0])
    finally:
        os.close(fd)


async def test_ready_line_carries_what_the_parent_must_know(bench: Any) -> None:
    supervisor = Supervisor("The helper", lambda: python(GOOD, '{"key": "s3cret"}'), bench(GOOD).record)
    child = await supervisor.child()
    assert child.ready["echo"] == {"key": "s3cret"}
    states = [supervisor.state]
    assert "s3cret" not in repr(python(GOOD, '{"key": "s3cret"}'))
    await supervisor.close()
    assert [*states, supervisor.state] == ["ready", "stopped"]
    assert not child.alive


async def test_configuration_is_in_neither_arguments_nor_environment(bench: Any) -> None:
    supervisor = Supervisor("The helper", lambda: python(GOOD, '{"key": "s3cret"}'), bench(GOOD).record)
    child = await supervisor.child()
    process = psutil.Process(child.pid)
    assert "s3cret" not in str(process.cmdline()) + str(process.environ())
    await supervisor.close()


async def test_many_callers_share_one_start(bench: Any) -> None:
    one = bench(GOOD)
    found = await asyncio.gather(*(one.supervisor.child() for _ in range(20)))
    assert len({child.pid for child in found}) == 1
    assert one.launched == 1
    assert one.kinds() == ["child.started", "child.ready"]


async def test_noise_before_the_ready_line_is_ignored(bench: Any) -> None:
    noise = f"print('hello'); print('[1]'); print('{{\"a\": 1}}'); print('x' * {3 * children.MAX_LINE_BYTES})\n"
    assert (await bench(noise + GOOD).supervisor.child()).ready["ready"] is True


async def test_last_lines_of_stderr_are_kept(bench: Any) -> None:
    code = "import sys\nfor i in range(80): print('line', i, 'y' * 9999, file=sys.stderr)\nsys.exit(4)"
    one = bench(code)
    with pytest.raises(ChildDied, match=r"ended unexpectedly \(exit code 4\)") as caught:
        await one.supervisor.child()
    assert len(caught.value.stderr) == children.STDERR_LINES
    assert caught.value.stderr[-1].startswith("line 79")
    assert max(map(len, caught.value.stderr)) <= children.STDERR_LINE_CHARS
    assert one.kinds() == ["child.started", "child.died"]


@pytest.mark.parametrize(
    ("returncode", "clause"),
    [
        (-9, "was killed, which is what happens when the computer's memory runs out"),
        (-4, "crashed because this computer's processor lacks instructions that it needs"),
        (-11, "crashed (SIGSEGV)"),
        (-200, "ended unexpectedly (exit code -200)"),
        (1, "ended unexpectedly (exit code 1)"),
    ],
)
def test_how_a_child_ended(returncode: int, clause: str) -> None:
    assert children.outcome("The helper", returncode) == f"The helper {clause}"


async def test_a_refusal_is_no_death(bench: Any) -> None:
    one = bench('import json; print(json.dumps({"ready": False, "error": "no such model"}))')
    for _ in range(5):
        with pytest.raises(ChildRefused, match="no such model"):
            await one.supervisor.child()
    assert one.supervisor.state == "stopped"
    assert one.slept == []


async def test_what_a_refusing_child_says_last_is_kept(bench: Any) -> None:
    code = (
        'import json, sys; print(json.dumps({"ready": False}), flush=True); sys.stdout.close(); '
        'import decimal; print("because", file=sys.stderr); sys.exit(3)'
    )
    one = bench(code)
    with pytest.raises(ChildRefused) as caught:
        await one.supervisor.child()
    assert caught.value.stderr == ("because",)
    assert one.kinds() == ["child.started", "child.stopped"]
    assert one.events[-1][1]["returncode"] == 3


async def test_an_error_of_launch_reaches_all_callers(bench: Any) -> None:
    def launch() -> Launch:
        raise NotEnoughMemory("Too big.", requested=2, quota=1)

    supervisor = Supervisor("The helper", launch, bench(GOOD).record)
    results = await asyncio.gather(supervisor.child(), supervisor.child(), return_exceptions=True)
    assert [type(result) for result in results] == [NotEnoughMemory] * 2
    await supervisor.close()


async def test_a_program_that_does_not_exist(bench: Any) -> None:
    supervisor = Supervisor("The helper", lambda: Launch(("/nonexistent/program",)), bench(GOOD).record)
    with pytest.raises(ChildDied, match="The helper could not be started: No such file"):
        await supervisor.child()
    await supervisor.close()


@pytest.mark.fault("A child that never becomes ready")
async def test_not_ready_in_time(bench: Any) -> None:
    one = bench(SILENT, ready_timeout_s=0.3)
    with pytest.raises(ChildDied, match=r"not ready within 0\.3 s"):
        await one.supervisor.child()
    pid = one.events[0][1]["pid"]
    assert one.events[-1] == ("child.died", one.events[-1][1])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.fault("A child that will not stop")
@posix
async def test_a_child_that_will_not_stop_is_killed(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "STOP_GRACE_S", 0.2)
    one = bench(STUBBORN)
    child = await one.supervisor.child()
    await one.supervisor.stop()
    assert child.exited.result() == -signal.SIGKILL
    assert one.kinds()[-1] == "child.stopped"


async def test_closing_the_life_line_is_enough(bench: Any) -> None:
    child = await bench(GOOD).supervisor.child()
    stdin = child._process.stdin
    assert stdin is not None
    stdin.close()
    async with asyncio.timeout(10):
        assert await asyncio.shield(child.exited) == 0


@pytest.mark.fault("A child that dies again and again (the clock is moved by hand)")
async def test_restarts_back_off_and_end_in_a_sentence(bench: Any) -> None:
    one = bench(GOOD)
    await one.kill()
    assert one.supervisor.state == "stopped"
    await one.kill()
    assert one.slept == [0.5]
    await one.kill()
    assert one.slept == [0.5, 2.0]
    assert one.supervisor.state == "crash_loop"
    with pytest.raises(BackendFailed, match="ended 3 times within 5 minutes and is not started again") as caught:
        await one.supervisor.child()
    assert caught.value.reason == "crash_loop"
    assert one.launched == 3
    one.supervisor.reset()
    assert (await one.supervisor.child()).alive
    assert one.slept == [0.5, 2.0]


async def test_deaths_long_ago_are_forgotten(bench: Any) -> None:
    one = bench(GOOD, policy=RestartPolicy(window_s=300))
    for _ in range(6):
        await one.kill()
        one.now += 200
    assert one.supervisor.state == "stopped"
    assert one.slept == []
    assert (await one.supervisor.child()).alive


async def test_stopping_is_no_death(bench: Any) -> None:
    one = bench(GOOD)
    for _ in range(4):
        await one.supervisor.child()
        await one.supervisor.stop()
    assert one.supervisor.state == "stopped"
    assert one.supervisor.last_outcome == ""


async def test_stop_during_start_ends_the_child_and_tells_the_callers(bench: Any) -> None:
    one = bench(SILENT)
    waiting = asyncio.gather(one.supervisor.child(), one.supervisor.child(), return_exceptions=True)
    async with asyncio.timeout(10):
        await one.first_event.wait()
        assert one.supervisor.state == "starting"
        await one.supervisor.stop()
        results = await waiting
    assert [getattr(result, "reason", None) for result in results] == ["interrupted"] * 2
    with pytest.raises(ProcessLookupError):
        os.kill(one.events[0][1]["pid"], 0)
    assert one.kinds() == ["child.started", "child.stopped"]


async def test_a_caller_that_leaves_does_not_end_the_start(bench: Any) -> None:
    one = bench(GOOD)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await one.supervisor.child()
    assert (await one.supervisor.child()).alive
    assert one.launched == 1


@posix
async def test_ctrl_c_in_the_terminal_is_not_for_the_child(bench: Any) -> None:
    child = await bench(GOOD).supervisor.child()
    assert child.ready["group"] != os.getpgid(0)


def test_works_on_a_loop_in_another_thread() -> None:
    results: list[str] = []

    async def use() -> None:
        supervisor = Supervisor("The helper", lambda: python(GOOD), lambda kind, **_: results.append(kind))
        child = await supervisor.child()
        child.kill()
        await asyncio.wait({child.exited})
        await supervisor.child()
        await supervisor.close()

    thread = threading.Thread(target=lambda: asyncio.run(use()))
    thread.start()
    thread.join(30)
    assert results == ["child.started", "child.ready", "child.died", "child.started", "child.ready", "child.stopped"]


PARENT = f"""
import asyncio, json, sys
from peersky.system.children import Launch, Supervisor
async def main():
    supervisor = Supervisor("The helper", lambda: Launch((sys.executable, "-c", {GOOD!r})), lambda *a, **k: None)
    child = await supervisor.child()
    print(json.dumps(child.pid), flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.fault("The browser ends or is killed: its child ends with it")
@linux
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_child_does_not_outlive_its_parent(how: signal.Signals) -> None:
    # This child asks nothing of the kernel: the closed life line alone ends it.
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment()
    )
    with parent:
        assert parent.stdout is not None
        pid = json.loads(parent.stdout.readline())
        parent.send_signal(how)
        assert ended(pid)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
