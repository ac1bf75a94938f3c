"""Child processes: started, watched, restarted within bounds, and never left behind. Runs on the service loop.

A child keeps four rules, whatever program it is:

* its standard input is the life line: it ends when that is closed. The first line there is its configuration, so that
  secrets stand neither in its arguments nor in its environment;
* it prints one JSON object with a member ``ready`` on standard output: true, with whatever the parent must know (a
  port), or false, with a reason, if it cannot do its work and a second try would not help;
* what it prints on standard error is for people; the last lines are kept;
* where it can (Linux), it asks the kernel to be killed with its parent. That is tied to the *thread* that started it,
  here the one that runs the loop. This is meant: without its supervisor a child has nobody to answer to.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from peersky.core.errors import BackendFailed, PeerSkyError
from peersky.system.tasks import TaskOwner

STDERR_LINES: Final = 50
STDERR_LINE_CHARS: Final = 500
MAX_LINE_BYTES: Final = 1024 * 1024
STOP_GRACE_S: Final = 3.0
"""A child that still runs this long after it was told to end is killed."""

State = Literal["stopped", "starting", "ready", "crash_loop"]
Log = Callable[..., None]
"""Takes a kind and fields, as the logbook's ``record`` does."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a child.

    Attributes:
        argv: program and arguments; no secrets, since every local user can read them.
        first_line: what the child reads first from its standard input; secrets go here.
        environment: None: the parent's.
    """

    argv: tuple[str, ...]
    first_line: str = field(default="{}", repr=False)
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How often a child that dies is started again.

    Attributes:
        restarts: so many within ``window_s``; the death after that is a crash loop, which only a person ends.
        window_s: deaths longer ago than this are forgotten.
        back_off_s: time from the first, second… remembered death to the next start.
    """

    restarts: int = 2
    window_s: float = 300.0
    back_off_s: tuple[float, ...] = (0.5, 2.0)


class ChildDied(BackendFailed):
    """The child ended, or never became ready.

    Args:
        stderr: the last lines that it printed.
    """

    def __init__(self, message: str, *, stderr: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.stderr = stderr


class ChildRefused(ChildDied):
    """The child itself said that it cannot do its work; another try would end the same way."""


def outcome(name: str, returncode: int) -> str:
    """How a child ended, as a clause for people ("The engine was killed…"), without the full stop."""
    if returncode == -9:
        return f"{name} was killed, which is what happens when the computer's memory runs out"
    if sys.platform != "win32" and returncode == -signal.SIGILL:
        return f"{name} crashed because this computer's processor lacks instructions that it needs"
    if returncode < 0:
        with contextlib.suppress(ValueError):
            return f"{name} crashed ({signal.Signals(-returncode).name})"
    return f"{name} ended unexpectedly (exit code {returncode})"


class Child:
    """One running process. Made by :meth:`Supervisor.child`.

    Attributes:
        name: as it stands in sentences for people.
        ready: what the child said when it became ready.
        exited: finishes with the exit code, negative for a signal.
        stopping: its end was asked for.
        refused: it said that it cannot do its work.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, tasks: TaskOwner) -> None:
        self.name = name
        self.ready: Mapping[str, Any] = {}
        self.stopping = False
        self.refused = False
        self._killed = False
        self._process = process
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._said: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._pumps = [
            tasks.start(self._read_stdout(), "stdout"),
            tasks.start(self._read_stderr(), "stderr"),
        ]
        self.exited: asyncio.Task[int] = tasks.start(self._wait(), "exit")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        """It runs, as far as is known, and nobody has told it to end."""
        return self._running and not self.stopping and not self._killed

    @property
    def _running(self) -> bool:
        return self._process.returncode is None

    @property
    def stderr(self) -> tuple[str, ...]:
        """The last lines that it printed on standard error."""
        return tuple(self._stderr)

    async def become_ready(self, launch: Launch, timeout_s: float) -> None:
        """Hand the configuration over and wait for the readiness line.

        Raises:
            ChildRefused: the child said that it cannot.
            ChildDied: it ended or said nothing in time (then it is killed).
        """
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(ConnectionError):  # It ended already: seen below.
            stdin.write(launch.first_line.encode() + b"\n")
            await stdin.drain()
        either: set[asyncio.Future[Any]] = {self._said, self.exited}
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if self._said.done():
            self.ready = self._said.result()
            if self.ready.get("ready"):
                return
            await asyncio.wait({self.exited}, timeout=STOP_GRACE_S)  # Its last words say more.
            await self.stop()
            raise ChildRefused(str(self.ready.get("error", "")), stderr=self.stderr)
        if self.exited.done():
            raise ChildDied(outcome(self.name, self.exited.result()) + " while it started.", stderr=self.stderr)
        self.kill()
        raise ChildDied(f"{self.name} was not ready within {timeout_s:g} s and was stopped.", stderr=self.stderr)

    async def stop(self) -> None:
        """End the process: close its life line, tell it, and kill it after :data:`STOP_GRACE_S`."""
        self.stopping = True
        try:
            if self._running:
                if self._process.stdin is not None:
                    self._process.stdin.close()
                if os.name == "posix":  # Elsewhere this would be a kill, and the closed life line is the request.
                    with contextlib.suppress(ProcessLookupError):
                        self._process.terminate()
                await asyncio.wait({self.exited}, timeout=STOP_GRACE_S)
        finally:
            self.kill()
        await asyncio.wait({self.exited})

    def kill(self) -> None:
        """End the process now. It counts as a death unless :meth:`stop` was called before."""
        self._killed = True
        if self._running:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _wait(self) -> int:
        returncode = await self._process.wait()
        # A grandchild may hold the pipes open for ever; what the child itself said is there by now.
        await asyncio.wait(self._pumps, timeout=1.0)
        for pump in self._pumps:
            pump.cancel()
        return returncode

    async def _read_stdout(self) -> None:
        async for line in _lines(self._process.stdout):
            if self._said.done():
                continue
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                if isinstance(said, dict) and "ready" in said:
                    self.refused = not said["ready"]  # Here, so that the exit that follows is not taken for a death.
                    self._said.set_result(said)

    async def _read_stderr(self) -> None:
        async for line in _lines(self._process.stderr):
            self._stderr.append(line[:STDERR_LINE_CHARS])


async def _lines(stream: asyncio.StreamReader | None) -> AsyncIterator[str]:
    assert stream is not None
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # A line over the limit; the reader has dropped it.
            continue
        if not line:
            return
        yield line.decode("utf-8", "replace").rstrip()


class Supervisor:
    """Keeps one child of a kind: starts it when it is needed, at most once at a time, and bounds its restarts.

    A child that dies is started again when it is next asked for, not earlier than the back-off allows.

    Args:
        name: how sentences for people name the child ("The built-in engine").
        launch: called before each start; may raise a PeerSkyError, which is then the answer to whoever asked.
        log: told of every start and end.
        ready_timeout_s: a child that is not ready after this time is killed.
        clock: seconds, monotonic.
        sleep: waits for the back-off.
    """

    def __init__(
        self,
        name: str,
        launch: Callable[[], Launch],
        log: Log,
        *,
        ready_timeout_s: float = 300.0,
        policy: RestartPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._name = name
        self._launch = launch
        self._log = log
        self._ready_timeout_s = ready_timeout_s
        self._policy = policy or RestartPolicy()
        self._clock = clock
        self._sleep = sleep
        self._tasks = TaskOwner(name)
        self._gate = asyncio.Lock()
        self._deaths: deque[float] = deque()
        self._child: Child | None = None
        self._starting: asyncio.Task[Child | PeerSkyError] | None = None
        self._gave_up = False
        self.last_outcome = ""
        """One sentence on how the last child ended; empty before the first end."""

    @property
    def state(self) -> State:
        if self._gave_up:
            return "crash_loop"
        if self._starting is not None and not self._starting.done():
            return "starting"
        return "ready" if self._child is not None and self._child.alive else "stopped"

    @property
    def port(self) -> int | None:
        """Where the child listens on loopback, if it runs and said so. May be read on any thread."""
        child = self._child
        return int(child.ready["port"]) if child is not None and child.alive and "port" in child.ready else None

    async def child(self) -> Child:
        """The child, ready. Starts it if it does not run; several callers share one start, which outlives them.

        Raises:
            BackendFailed: ``crash_loop``: it died too often; :meth:`reset` allows another try.
            ChildDied, ChildRefused: this start failed.
        """
        if self._child is not None and self._child.alive:
            return self._child
        if self._gave_up:
            raise BackendFailed(self.sentence(), reason="crash_loop")
        if self._starting is None or self._starting.done():
            self._starting = self._tasks.start(self._start(), "start")
        starting = self._starting
        try:
            started = await asyncio.shield(starting)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if starting.cancelled() and not (task and task.cancelling()):
                raise BackendFailed(f"{self._name} was stopped while it started.", reason="interrupted") from None
            raise
        if isinstance(started, PeerSkyError):
            raise started
        return started

    async def stop(self) -> None:
        """End the child, and a start under way. The next :meth:`child` starts anew."""
        child, self._child = self._child, None
        if self._starting is not None:
            self._starting.cancel()
        async with self._gate:
            if child is not None:
                await child.stop()

    def kill(self) -> None:
        """End the child at once, because the user wants it: that is no death. The next :meth:`child` starts anew."""
        if self._child is not None:
            self._child.stopping = True
            self._child.kill()

    async def close(self) -> None:
        """End the child for good. Safe to call twice."""
        await self.stop()
        await self._tasks.close()

    def reset(self) -> None:
        """Forget the deaths: the user wants another try."""
        self._deaths.clear()
        self._gave_up = False

    def sentence(self) -> str:
        """The state for people, one or two sentences."""
        match self.state:
            case "crash_loop":
                minutes = round(self._policy.window_s / 60)
                return (
                    f"{self._name} ended {len(self._deaths)} times within {minutes} minutes and is not started again. "
                    f"{self.last_outcome} Start it again, or choose another model."
                )
            case "starting":
                return f"{self._name} is starting."
            case "ready":
                return f"{self._name} is running."
            case _:
                return f"{self._name} is not running; it starts with the next question."

    async def _start(self) -> Child | PeerSkyError:
        """One start. What people must know of it is returned, not raised: it is an answer, not a failed task."""
        async with self._gate:
            if self._child is not None:  # It may be dying still; its memory and its death must be known first.
                await asyncio.wait({self._child.exited})
            await self._back_off()
            child = None
            try:
                launch = self._launch()
                child = await self._spawn(launch)
                self._log("child.started", name=self._name, pid=child.pid)
                await child.become_ready(launch, self._ready_timeout_s)
            except PeerSkyError as error:
                if child is not None:
                    await asyncio.wait({child.exited})
                return error
            except BaseException:
                if child is not None:
                    await child.stop()
                raise
            self._log("child.ready", name=self._name, pid=child.pid)
            self._child = child
            return child

    async def _back_off(self) -> None:
        if not self._deaths:
            return
        delays = self._policy.back_off_s
        wait_s = self._deaths[-1] + delays[min(len(self._deaths), len(delays)) - 1] - self._clock()
        if wait_s > 0:
            await self._sleep(wait_s)

    async def _spawn(self, launch: Launch) -> Child:
        # A session (or group) of its own: Ctrl-C in the terminal is meant for the parent alone.
        apart: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *launch.argv,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                env=launch.environment,
                limit=MAX_LINE_BYTES,
                **apart,
            )
        except OSError as error:
            raise ChildDied(f"{self._name} could not be started: {error.strerror or error}.") from error
        child = Child(self._name, process, self._tasks)
        child.exited.add_done_callback(lambda _: self._ended(child))
        return child

    def _ended(self, child: Child) -> None:
        if child.exited.cancelled():
            return
        returncode = child.exited.result()
        if child.stopping or child.refused:
            self._log("child.stopped", name=self._name, pid=child.pid, returncode=returncode)
            return
        now = self._clock()
        self._deaths.append(now)
        while self._deaths[0] < now - self._policy.window_s:
            self._deaths.popleft()
        self.last_outcome = outcome(self._name, returncode) + "."
        self._gave_up = len(self._deaths) > self._policy.restarts
        self._log(
            "child.died",
            name=self._name,
            pid=child.pid,
            returncode=returncode,
            outcome=self.last_outcome,
            stderr=list(child.stderr),
        )
