"""A command's way to the services: those of the browser or command that holds the profile, else its own.

There is one way to talk to them, the private socket. So two commands share one engine, and what works against a running
browser works without one.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from peersky.cli.terminal import say
from peersky.core.errors import PeerSkyError, ProfileUnusable
from peersky.system.paths import Profile
from peersky.system.private_socket import read_address
from peersky.system.profile_lock import ProfileLock

if TYPE_CHECKING:
    from peersky.web.control_client import ControlClient

T = TypeVar("T")

PATIENCE_S: Final = 15.0
"""How long to wait for a holder that is just starting or just ending."""

_PAUSE_S: Final = 0.05
_DRAIN_SILENCE_S: Final = 1.0


def find_holder(profile: Profile) -> ControlClient | None:
    """The client of whoever holds the profile and answers; None where nobody does."""
    address = read_address(profile)
    if address is None:
        return None
    from peersky.web.control_client import ControlClient

    client = ControlClient(address)
    try:
        client.ping()
    except PeerSkyError:
        client.close()
        return None
    return client


class Session:
    """The services of a profile, for the time of a ``with`` block.

    Raises:
        ProfileUnusable: another process has the profile and does not answer, or the profile cannot be used.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._client: ControlClient | None = None
        self._holder: _Holder | None = None

    def __enter__(self) -> Session:
        try:
            self._connect()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()
        if self._holder is not None:
            self._holder.stop()

    @property
    def is_own(self) -> bool:
        """Whether the services run in this command, and so end with it."""
        return self._holder is not None

    def call(self, work: Callable[[ControlClient], T]) -> T:
        """Do something with the client; if the holder has just ended, do it again with the next one."""
        from peersky.web.control_client import HolderGone

        try:
            return work(self._connected())
        except HolderGone:
            self._connect()
            return work(self._connected())

    @contextmanager
    def chat(self, body: Mapping[str, Any]) -> Iterator[Iterator[dict[str, Any]]]:
        """Ask, as :meth:`ControlClient.chat`."""

        def begin(client: ControlClient) -> tuple[ExitStack, Iterator[dict[str, Any]]]:
            with ExitStack() as opening:
                chunks = opening.enter_context(client.chat(body))
                return opening.pop_all(), chunks

        stack, chunks = self.call(begin)
        with stack:
            yield chunks

    def _connected(self) -> ControlClient:
        assert self._client is not None, "a Session is used inside its with block"
        return self._client

    def _connect(self) -> None:
        if self._client is not None:
            self._client.close()
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            if (client := find_holder(self._profile)) is not None:
                self._client = client
                return
            try:
                lock = ProfileLock.acquire(self._profile)
            except ProfileUnusable as error:
                if error.reason != "profile_locked" or time.monotonic() > deadline_s:
                    raise
                time.sleep(_PAUSE_S)
            else:
                # Should our own socket not answer, the next round waits for it like for any other.
                self._holder = _Holder(self._profile, lock)
                self._holder.start()


class _Holder:
    """The services in a thread of this process, served on the private socket to this command and to others."""

    def __init__(self, profile: Profile, lock: ProfileLock) -> None:
        self._profile = profile
        self._lock = lock
        self._thread = threading.Thread(target=self._run, name="services", daemon=True)
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._drain: asyncio.Event | None = None
        self._end: asyncio.Event | None = None

    def start(self) -> None:
        """Return when the socket answers.

        Raises:
            ProfileUnusable: the services cannot start.
        """
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """End the services, after the answers that other commands wait for; Ctrl-C ends these too."""
        self._started.wait()
        loop, drain, end = self._loop, self._drain, self._end
        if loop is None or drain is None or end is None:
            self._thread.join()
            return
        try:
            _set(loop, drain)
            self._thread.join(_DRAIN_SILENCE_S)
            if self._thread.is_alive():
                say("Another command still uses the model; waiting for it (Ctrl-C ends it).")
                self._thread.join()
        except KeyboardInterrupt:
            _set(loop, end)
            self._thread.join()
            raise

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that waits
            self._failure = error
        finally:
            self._lock.release()
            self._started.set()

    async def _serve(self) -> None:
        # Here, since a command whose services run elsewhere does without them, and they take a while to load.
        from peersky.system.prompt_port import NobodyToAsk
        from peersky.web.compose import open_services
        from peersky.web.control import ControlServer

        services = await open_services(self._profile, NobodyToAsk())
        try:
            for notice in services.settings.notices:
                say(f"peersky: {notice}")
            server = ControlServer(services, "command")
            try:
                self._loop = asyncio.get_running_loop()
                self._drain, self._end = asyncio.Event(), asyncio.Event()
                self._started.set()
                await self._drain.wait()
                either = (server.idle(), self._end.wait())
                waiting = [services.tasks.start(wait, "drain") for wait in either]
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await server.close()
        finally:
            await services.close()


def _set(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    loop.call_soon_threadsafe(event.set)
