"""The P2P node: one child process with Helia and hyper-sdk, started at the first request. Runs on the service loop.

The node speaks HTTP on loopback and asks every request for a token that it got on its standard input.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from peersky.core.errors import BackendFailed, PeerSkyError
from peersky.p2p.errors import NodeRefused, NodeUnavailable
from peersky.p2p.node_config import LIMITS, RESTARTING, first_line, limits
from peersky.p2p.node_reply import NAME, NodeReply
from peersky.p2p.program import Install, Program
from peersky.system.children import Child, ChildDied, Launch, Log, Supervisor
from peersky.system.files import make_directory, unusable
from peersky.system.loopback_http import Body, ConnectionBroke, LoopbackHttp, NoConnection, Reply
from peersky.system.tasks import TaskOwner

if TYPE_CHECKING:
    from peersky.system.paths import Profile
    from peersky.system.settings_store import SettingsStore

SETTINGS_PAGE: Final = "peersky://settings/p2p"
READY_TIMEOUT_S: Final = 60.0
DRAIN_S: Final = 5.0
"""How long a restart waits for the requests that are under way."""

_DEATH_IS_SEEN_S: Final = 2.0

NodeState = Literal["stopped", "installing", "starting", "ready", "crash_loop"]


class P2PNode:
    """The node of one profile. Made on the service loop; nothing runs before the first request.

    Args:
        settings: read at each start; a change restarts the node, or is told to it where that is enough.
        profile: where it keeps blocks, drives and keys.
        install: see :data:`~peersky.p2p.program.Install`; asked once before the first start, and again after a failure.
        log: told of starts and ends.
        supervisor_options: passed on to :class:`~peersky.system.children.Supervisor`.
    """

    def __init__(
        self, settings: SettingsStore, profile: Profile, install: Install, log: Log, **supervisor_options: Any
    ) -> None:
        self._settings, self._profile, self._install, self._log = settings, profile, install, log
        self._tasks = TaskOwner(NAME)
        self._token = ""
        self._program: Program | None = None
        self._installing: asyncio.Task[Program | PeerSkyError] | None = None
        self._progress = ""
        self._watchers: list[Callable[[], None]] = []
        supervisor_options.setdefault("ready_timeout_s", READY_TIMEOUT_S)
        self._supervisor = Supervisor(NAME, self._launch, log, **supervisor_options)
        self._active = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._open = asyncio.Event()
        self._open.set()
        self._change = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._unsubscribe = settings.subscribe(self._settings_changed)
        self._wire = LoopbackHttp(keep=True)

    # --- what people see of it

    @property
    def state(self) -> NodeState:
        if self._installing is not None and not self._installing.done():
            return "installing"
        return self._supervisor.state

    @property
    def port(self) -> int | None:
        """Where it listens on loopback, while it runs. May be read on any thread."""
        return self._supervisor.port

    def sentence(self) -> str:
        """The state for people."""
        match self.state:
            case "installing":
                return self._progress or "What is needed for peer-to-peer pages is being installed."
            case "crash_loop":
                return (
                    f"{NAME} ended too often and is not started again. {self._supervisor.last_outcome} "
                    f"Start it again in {SETTINGS_PAGE}."
                )
            case "stopped":
                return f"{NAME} is not running; it starts with the first peer-to-peer page."
            case _:
                return self._supervisor.sentence()

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback``, on the service loop, when state or sentence may have changed. Returns the way out."""
        self._watchers.append(callback)

        def unsubscribe() -> None:
            with suppress(ValueError):
                self._watchers.remove(callback)

        return unsubscribe

    async def status(self) -> dict[str, Any]:
        """``state`` and ``sentence``, and in ``node`` what the node tells of itself; None there while it is not ready.

        Starts nothing.
        """
        told = None
        if self.state == "ready":
            with suppress(PeerSkyError):
                told = await self.json("GET", "/node/status")
        return {"state": self.state, "sentence": self.sentence(), "node": told}

    # --- requests

    @asynccontextmanager
    async def send(
        self, method: str, path: str, headers: Iterable[tuple[str, str]] = (), body: Body = None
    ) -> AsyncIterator[NodeReply]:
        """Send a request; starts the node where it does not run. Leaving the block breaks off what is not finished.

        Args:
            method: HTTP method.
            path: raw path with its query, percent-encoded.
            headers: none that belong to the connection, and no ``Authorization``.
            body: read as fast as the node takes it; what it raises breaks the request off.

        Raises:
            NodeUnavailable: the node cannot be started, or ended before it replied.
        """
        await self._open.wait()
        self._active += 1
        self._idle.clear()
        try:
            child, reply = await self._replied(method, path, headers, body)
            try:
                yield NodeReply(reply, partial(self._broke_off, child))
            finally:
                reply.close()
        finally:
            self._active -= 1
            if not self._active:
                self._idle.set()

    async def json(self, method: str, path: str, value: Any = None) -> Any:
        """Send a value as JSON, if it is not None, and return the decoded answer.

        Raises:
            NodeRefused: the node answered with an error.
            NodeUnavailable: as :meth:`send`.
        """
        async with self.send(method, path, *_json_body(value)) as reply:
            if reply.status >= 400:
                raise await reply.refusal()
            return _decoded(await reply.read())

    async def lines(self, method: str, path: str, value: Any = None) -> AsyncGenerator[dict[str, Any], None]:
        """Send a value as JSON and give the objects of the answer, one a line. Closing the iterator breaks it off.

        Raises:
            NodeRefused: the node answered with an error, or its last line is one.
            NodeUnavailable: as :meth:`send`.
        """
        async with self.send(method, path, *_json_body(value)) as reply:
            if reply.status >= 400:
                raise await reply.refusal()
            rest = b""
            async with aclosing(reply.aiter_bytes()) as chunks:
                async for chunk in chunks:
                    *whole, rest = (rest + chunk).split(b"\n")
                    for line in filter(None, whole):
                        yield _no_error(_decoded(line))
            if rest.strip():
                yield _no_error(_decoded(rest))

    async def _broke_off(self, child: Child) -> NodeUnavailable:
        """The error for a connection that broke."""
        # The broken connection is noticed before the exit is.
        await asyncio.wait({child.exited}, timeout=_DEATH_IS_SEEN_S)
        how = f"{NAME} broke the connection"
        if child.stopping:
            how = f"{NAME} was restarted"
        elif child.exited.done():
            how = self._supervisor.last_outcome.rstrip(".")
        return NodeUnavailable(f"{how} before this was done. Try again: it starts anew.", reason="interrupted")

    # --- life

    async def start(self) -> None:
        """Start the node, if it does not run.

        Raises:
            NodeUnavailable: it cannot be started.
        """
        await self._started()

    async def restart(self) -> None:
        """End the node when it has done what it does, at the latest after :data:`DRAIN_S`, and start it again.

        A node that does not run stays so. Requests that come meanwhile wait.
        """
        async with self._closed_for_change():
            if self._supervisor.state == "ready":
                await self._supervisor.stop()
                await self._started()

    def retry(self) -> None:
        """After a crash loop: the next request may start the node again."""
        self._supervisor.reset()
        self._tell()

    async def reset(self, *, identities: bool) -> None:
        """Delete what the node stores. The next request starts it anew.

        Args:
            identities: delete the keys of drives and names, too; they are lost for good then.

        Raises:
            ProfileUnusable: something cannot be deleted.
        """
        async with self._closed_for_change(0):
            await self._supervisor.stop()
            self._supervisor.reset()
            folders = [self._profile.p2p_dir] + [self._profile.p2p_identity_dir] * identities
            for folder in folders:
                await asyncio.to_thread(_delete, folder)
        self._tell()

    async def close(self) -> None:
        """End the node for good. Safe to call twice."""
        self._unsubscribe()
        await self._tasks.close()
        await self._supervisor.close()
        await self._wire.close()

    @asynccontextmanager
    async def _closed_for_change(self, drain_s: float = DRAIN_S) -> AsyncIterator[None]:
        async with self._change:
            self._open.clear()
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(drain_s):
                        await self._idle.wait()
                yield
            finally:
                self._open.set()
                self._tell()

    async def _started(self) -> Child:
        if self._program is None:
            self._program = await self._installed()
        running = self._supervisor.state == "ready"
        try:
            return await self._supervisor.child()
        except ChildDied as error:
            raise NodeUnavailable(error.message or f"{NAME} could not be started.") from error
        except BackendFailed as error:
            sentence = self.sentence() if error.reason == "crash_loop" else error.message
            raise NodeUnavailable(sentence, reason=error.reason) from error
        finally:
            if not running:
                self._tell()

    async def _installed(self) -> Program:
        """The node's program. Several callers share one installation, which goes on when one of them goes away."""
        if self._installing is None or self._installing.done():
            self._installing = self._tasks.start(self._run_install(), "install")
        found = await asyncio.shield(self._installing)
        if isinstance(found, PeerSkyError):
            raise NodeUnavailable(found.message, reason="not_installed") from found
        return found

    async def _run_install(self) -> Program | PeerSkyError:
        def say(sentence: str) -> None:
            self._loop.call_soon_threadsafe(self._say, sentence)

        try:
            return await self._install(say)
        except PeerSkyError as error:
            self._log("p2p.install", error=error.message)
            return error

    def _say(self, sentence: str) -> None:
        self._progress = sentence
        self._tell()

    def _launch(self) -> Launch:
        for folder in (self._profile.p2p_dir, self._profile.p2p_identity_dir):
            try:
                make_directory(folder)
            except OSError as error:
                raise unusable(error, folder) from error
        self._token = secrets.token_urlsafe(32)
        line = first_line(self._settings, self._token, self._profile.p2p_dir, self._profile.p2p_identity_dir)
        self._loop.call_soon(self._tell)
        assert self._program is not None, "it is installed before it is started"
        more = self._program.environment
        return Launch(self._program.argv, line, {**os.environ, **more} if more else None)

    async def _replied(
        self, method: str, path: str, headers: Iterable[tuple[str, str]], body: Body
    ) -> tuple[Child, Reply]:
        """The node and the head of its reply."""
        for is_last in (False, True):
            child = await self._started()
            own = [("authorization", f"Bearer {self._token}"), ("accept-encoding", "identity")]
            # As bytes: what a page sends in its headers may be any Latin-1.
            sent = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (*headers, *own)]
            try:
                return child, await self._wire.send(int(child.ready["port"]), method, path.encode(), sent, body)
            except NoConnection as error:
                # It has just died, and nothing was sent: once more, then.
                failure = await self._broke_off(child)
                if is_last:
                    raise failure from error
            except ConnectionBroke as error:
                raise await self._broke_off(child) from error
        raise AssertionError

    # --- settings

    def _settings_changed(self, keys: frozenset[str]) -> None:
        """On whatever thread changed them."""
        if keys & (RESTARTING | LIMITS.keys()):
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._apply, keys)

    def _apply(self, keys: frozenset[str]) -> None:
        if self._supervisor.state == "stopped":
            return
        with suppress(RuntimeError):  # closed meanwhile
            self._tasks.start(self._take_over(restart=bool(keys & RESTARTING)), "settings")

    async def _take_over(self, *, restart: bool) -> None:
        try:
            # One that is starting has read the settings as they were.
            await self._started()
            if restart:
                await self.restart()
            else:
                await self.json("POST", "/node/limits", limits(self._settings))
        except PeerSkyError as error:
            self._log("p2p.settings", error=error.message)

    def _tell(self) -> None:
        for watcher in list(self._watchers):
            watcher()


def _json_body(value: Any) -> tuple[list[tuple[str, str]], bytes | None]:
    if value is None:
        return [], None
    return [("content-type", "application/json")], json.dumps(value).encode()


def _decoded(data: bytes) -> Any:
    try:
        return json.loads(data) if data.strip() else None
    except ValueError as error:
        raise NodeUnavailable(f"{NAME} sent an answer that makes no sense.", reason="backend_error") from error


def _no_error(line: Any) -> dict[str, Any]:
    if not isinstance(line, dict):
        raise NodeUnavailable(f"{NAME} sent an answer that makes no sense.", reason="backend_error")
    if "error" in line:
        raise NodeRefused(
            str(line["error"]), status=int(line.get("status", 500)), reason=str(line.get("reason", "internal"))
        )
    return line


def _delete(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise unusable(error, folder, "delete the P2P data") from error
