"""What the fuzz tests send their requests to: the services of one profile, on a loop that stands still between two
requests, and no network but this machine."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from ipaddress import ip_address
from itertools import cycle
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from peersky.core.chat import ChatChunk, Progress
from peersky.core.errors import BackendFailed, NotEnoughMemory
from peersky.core.trust import DEFAULT_POLICY
from peersky.llm.bridge import Bridge
from peersky.llm.memory import MemoryStore
from peersky.p2p.ledger import Publication
from peersky.p2p.program import Program, Say
from peersky.system.doctor import examine
from peersky.system.paths import open_profile
from peersky.system.profile_lock import ProfileLock
from peersky.system.prompt_port import Consent, Question
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from peersky.web.compose import Services, open_services
from peersky.web.control import ControlServer
from peersky.web.llm_app import make_llm_app
from peersky.web.memory_app import with_memory
from tests.asgi.app_world import PAGE, zipped
from tests.asgi.client import AsgiApp, AsgiClient, Reply
from tests.fakes.scripted_provider import END, HELLO, Log, ScriptedProvider, Step

IS_LONG: Final = bool(os.environ.get("PEERSKY_LONG"))
PATIENCE_S: Final = 20
DOUBLE: Final = Path(__file__).parents[1] / "fakes" / "p2p_sidecar.py"
SITE: Final = "hyper://" + "y" * 52 + "/"
KNOWN: Final = {
    "appId": "notes",
    "baseURL": "http://127.0.0.1:9",
    "changes": {"llm.maxTokens": 77},
    "limits": {"parallel": 2},
    "model": "peersky-starter",
    "name": "peersky-starter",
    "origin": "https://example.org",
    "part": "Python",
    "sessionId": "1",
    "url": SITE,
}

ANSWERS: Final[Sequence[Sequence[Step]]] = (
    HELLO,
    (ChatChunk(progress=Progress(1, 2)), ChatChunk(reasoning="Hm."), *HELLO),
    (ChatChunk(tool_calls=({"index": 0, "id": "1", "function": {"name": "f", "arguments": "{}"}},)), END),
    (ChatChunk(content="Hel"), BackendFailed("The model stopped.", reason="interrupted")),
    (NotEnoughMemory("The model does not fit.", requested=2, quota=1),),
    (ChatChunk(content="Hello \ud83d"), ChatChunk(content="\ude00"), ChatChunk(finish_reason="length")),
)

T = TypeVar("T")
Listen = Callable[[Reply], Coroutine[Any, Any, None]]


class Person:
    """Says yes and no in turn."""

    def __init__(self) -> None:
        self.asked = 0

    async def ask(self, question: Question) -> Consent:
        self.asked += 1
        return Consent.FOR_GOOD if self.asked % 2 else Consent.REFUSED


class World:
    """Apps, by URL scheme."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self.apps: dict[str, AsgiApp] = {}
        self.token = ""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def ask(self, listen: Listen, method: str, url: str, **options: Any) -> Reply:
        """One request, options as for :meth:`AsgiClient.send`; goes away when ``listen`` has heard enough."""

        async def ask() -> Reply:
            reply = AsgiClient(self.apps[url.partition(":")[0]]).send(method, url, **options)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await reply.started()
                    await listen(reply)
            finally:
                await reply.disconnect()
                await reply.finished()
            return reply

        return self.run(ask())

    def known(self, path: str, name: str) -> Any:
        """What the option of a described path may be so that it finds something; None where nothing is known."""
        return KNOWN.get(name)

    def close(self) -> None:
        self._runner.close()


class Profile(World):
    """All that runs behind the URL schemes, and the control socket as scheme ``http``."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.profile = open_profile(folder)
        self.profile.settings_file.write_text(
            json.dumps({"llm": {"enabled": True, "memoryEnabled": True, "provider": "builtin", "model": "none:1b"}})
        )
        self.lock = ProfileLock.acquire(self.profile)
        self.services: Services = self.run(open_services(self.profile, Person(), None, _program))
        self._page = folder / "page.html"
        self._page.write_bytes(PAGE)
        self.opened: list[str | None] = []
        self.control = self.run(self._serve())
        self.apps = {**self.services.apps, "http": self.control}
        self.token = json.loads(self.profile.control_file.read_text())["token"]

    async def _serve(self) -> ControlServer:
        return ControlServer(self.services, "browser", self.opened.append)

    def known(self, path: str, name: str) -> Any:
        match path, name:
            case _, "import":
                return self._import()
            case _, "id" if path.startswith(("/apps/", "/home/")):
                return self._app()
            case _, "id" if path.startswith("/archive/"):
                return self.run(self.services.p2p.ledger.record(Publication(SITE, SITE, "blog", "user")))
            case _, "id":
                return self.run(self._download())
            case "/about/api/licence", "name":
                return "httpx"
            case "/about/api/doc", "name":
                return "p2p"
            case "/about/api/doc-image", "name":
                return "window-light-1600.png"
            case _, "file" | "path":
                return str(self._page)
        return KNOWN.get(name)

    def _app(self) -> str:
        store = self.services.app_store
        return (store.all() or [store.install(store.imports.get(self._import()), "notes", "")])[0].id

    def _import(self) -> str:
        incoming = self.services.app_store.begin()
        incoming.zip_file.write_bytes(zipped({"index.html": b"<link rel=icon href=icon.png>", "icon.png": b"\x89PNG"}))
        incoming.unpack()
        return incoming.token

    async def _download(self) -> str:
        return self.services.downloads.start("ollama", "none:1b").id

    def close(self) -> None:
        self.run(self.control.close())
        self.run(self.services.close())
        super().close()
        self.lock.release()


class Bridged(World):
    """The app behind ``llm:`` over a model that answers in every way that there is, in turn."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        settings = SettingsStore(folder / "settings.json", SecretStore(folder / "secrets.json"))
        settings.change({"llm.enabled": True, "llm.provider": "builtin", "llm.model": "other"})
        self._answers = cycle(ANSWERS)
        bridge = Bridge(settings, {"builtin": ScriptedProvider(lambda _question: next(self._answers))}, Log())
        self._memory = MemoryStore(folder / "memory.sqlite3", lambda: True)
        app = make_llm_app(bridge, lambda: DEFAULT_POLICY)
        self.apps = {"llm": with_memory(app, self._memory, lambda: DEFAULT_POLICY)}

    def close(self) -> None:
        self.run(self._memory.close())
        super().close()


async def _program(say: Say) -> Program:
    return Program((sys.executable, str(DOUBLE)))


@contextmanager
def no_network() -> Iterator[None]:
    """No name but this computer's is found, and no address but its own is reached."""
    look_up, connect = socket.getaddrinfo, socket.socket.connect

    def only_here(host: Any, *more: Any, **named: Any) -> Any:
        if host not in ("127.0.0.1", "localhost", "::1", None):
            raise socket.gaierror(socket.EAI_NONAME, "tests ask no name server")
        return look_up(host, *more, **named)

    def only_to_here(sock: socket.socket, address: Any) -> None:
        if sock.family != socket.AF_UNIX and not ip_address(address[0]).is_loopback:
            raise OSError(errno.ENETUNREACH, "tests reach no other computer")
        connect(sock, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", only_here)
        patch.setattr(socket.socket, "connect", only_to_here)
        patch.setattr("peersky.system.app_imports.MAX_IMPORTS", 1_000_000)
        # It tries libraries out for seconds, and always finds the same.
        patch.setattr("peersky.web.about_api.examine", lru_cache(examine))
        yield
