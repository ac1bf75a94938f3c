"""What a token, an answer and a start may cost, counted and not timed: bounds are a tenth above what it is today.

Who makes one of these larger on purpose raises the bound in the same commit; ``make bench`` tells what that costs.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any, cast

import h11
import psutil
import pytest

import peersky
from peersky.core.chat import ChatChunk, ChatRequest
from peersky.core.origins import parse_origin
from peersky.core.trust import DEFAULT_POLICY
from peersky.llm.bridge import Bridge
from peersky.llm.engine import Engine, EngineOptions
from peersky.llm.gguf_head import read_head
from peersky.llm.providers import builtin
from peersky.qt.asgi_scheme import _Exchange
from peersky.qt.stream_device import StreamDevice
from peersky.system.loopback_http import Body, Headers, LoopbackHttp, Reply, _Connection
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from peersky.web.asker import EXTENSION, Asker
from peersky.web.llm_app import make_llm_app
from tests.fakes.scripted_provider import Log, ScriptedProvider

OWN = str(Path(peersky.__file__).parent)
APP = Asker(parse_origin("peersky://p2p"), parse_origin("peersky://p2p"), "xhr")
FEW, MANY = 100, 300

MOST_OWN_CALLS_PER_TOKEN = 39
MOST_CALLS_PER_TOKEN = 100
MOST_BYTES_PER_TOKEN = 223
MOST_FILES_AT_START = 42
MOST_MODULES_BEFORE_THE_FIRST_PAGE = 280
MOST_MODULES_AT_START = 655
SERVICES_ONLY = {"anyio", "httpx", "keyring", "segno", "sqlite3", "starlette", "uvicorn", "peersky.web.compose"}


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    """An event as llama.cpp sends it."""
    chunk = {
        "choices": [{"finish_reason": finish, "index": 0, "delta": delta}],
        "created": 1790000000,
        "id": "chatcmpl-0123456789abcdef0123456789abcdef",
        "model": "model.gguf",
        "system_fingerprint": "b0-unknown",
        "object": "chat.completion.chunk",
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


class OneAtATime:
    """A stream from which each read takes one event, as they come while an answer is written."""

    def __init__(self, tokens: int) -> None:
        words = [event({"content": " word"})] * tokens
        events = [event({"role": "assistant", "content": None}), *words, event({}, "stop"), b"data: [DONE]\n\n", b""]
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        self._reads = iter([head, *(b"%x\r\n%b\r\n" % (len(data), data) for data in events)])

    async def read(self, _most: int) -> bytes:
        return next(self._reads)


async def reply_of(tokens: int) -> Reply:
    """An answer on a connection."""
    connection = _Connection(0, cast("Any", OneAtATime(tokens)), cast("Any", None))
    connection.state.send(h11.Request(method="POST", target="/", headers=[("Host", "engine")]))
    connection.state.send(h11.EndOfMessage())
    head = await connection.next_event()
    assert isinstance(head, h11.Response)
    return Reply(LoopbackHttp(keep=False), connection, head)


class ReadingProvider(ScriptedProvider):
    """Reads such an answer as the built-in engine's provider does, from the bytes on."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    @asynccontextmanager
    async def chat(self, model: str, request: ChatRequest) -> AsyncIterator[AsyncIterator[ChatChunk]]:
        assert request.max_tokens is not None
        reply = await reply_of(request.max_tokens)
        yield builtin._chunks(self._engine._events(cast("Any", None), reply, self._engine._hangs.request(60)))


class Handler:
    """What an exchange wants of its handler."""

    def __init__(self) -> None:
        self.reports: list[str] = []
        self.replies = 0

    def send_reply(self, exchange: _Exchange) -> None:
        self.replies += 1

    def send_end(self, exchange: _Exchange) -> None:
        """Nothing to do on a main thread that is not there."""

    def report(self, text: str) -> None:
        self.reports.append(text)


Ask = Callable[[int], Any]


@pytest.fixture
async def ask(tmp_path: Path, tiny: Path) -> AsyncIterator[Ask]:
    """Asks for so many tokens, by the whole way from the engine's bytes to the page's device; the device."""
    settings = SettingsStore(tmp_path / "settings.json", SecretStore(tmp_path / "secrets.json"))
    settings.change({"llm.enabled": True, "llm.provider": "builtin"})
    engine = Engine(tiny, read_head(tiny), EngineOptions(512), idle_timeout_s=60, log=Log())
    bridge = Bridge(settings, {"builtin": ReadingProvider(engine)}, Log())
    app = make_llm_app(bridge, lambda: DEFAULT_POLICY)

    async def run(tokens: int) -> StreamDevice:
        handler = Handler()
        exchange = _Exchange(cast("Any", handler), cast("Any", None), APP, False, False)
        body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": tokens, "stream": True}
        path = "/v1/chat/completions"
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "llm",
            "server": ("bridge", None),
            "client": None,
            "root_path": "",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"bridge")],
            "extensions": {EXTENSION: APP},
            "state": {},
        }
        await exchange.run(app, scope, json.dumps(body).encode(), None)
        assert not handler.reports
        assert handler.replies == 1
        assert exchange._device is not None
        return exchange._device

    yield run
    await bridge.close()
    await engine.close()


async def counted(work: Any) -> Counter[str]:
    """Calls of Python functions while something runs: ``own`` are ours, ``all`` are all."""
    calls: Counter[str] = Counter()

    def profile(frame: FrameType, what: str, _argument: object) -> None:
        if what == "call":
            calls["all"] += 1
            calls["own"] += frame.f_code.co_filename.startswith(OWN)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        await work
    finally:
        sys.setprofile(before)
    return calls


async def test_calls_per_token(ask: Ask) -> None:
    await ask(FEW)
    few, many = await counted(ask(FEW)), await counted(ask(MANY))
    per_token = {kind: (many[kind] - few[kind]) / (MANY - FEW) for kind in ("own", "all")}
    assert per_token["own"] <= MOST_OWN_CALLS_PER_TOKEN, per_token
    assert per_token["all"] <= MOST_CALLS_PER_TOKEN, per_token


async def test_bytes_per_token(ask: Ask) -> None:
    few, many = await ask(FEW), await ask(MANY)
    per_token = (many.buffered_bytes - few.buffered_bytes) / (MANY - FEW)
    assert per_token <= MOST_BYTES_PER_TOKEN
    # What waits is handed over as it was fed: copied once, by the read.
    assert all(isinstance(chunk.obj, bytes) and chunk.nbytes == len(chunk.obj) for chunk in many._chunks)


def test_chromium_is_woken_only_where_it_waits() -> None:
    woken: list[bool] = []
    device = StreamDevice(0, lambda: None)
    device.readyRead.connect(lambda: woken.append(True))
    device.feed(b"first")
    assert len(woken) == 1
    assert device.readData(100) == b"first"
    for _ in range(50):
        device.feed(b"x")
    assert len(woken) == 1, "it reads on by itself"
    assert device.readData(100) == b"x" * 50
    assert device.readData(100) == b""
    device.feed(b"again")
    assert len(woken) == 2
    assert device.readData(100) == b"again"
    device.finish()
    assert len(woken) == 3, "the end is always told"


async def test_one_request_to_the_engine_per_answer(tiny: Path) -> None:
    engine = Engine(tiny, read_head(tiny), EngineOptions(512), idle_timeout_s=60, log=Log())
    sent: list[str] = []

    send = engine._http.send

    async def note(port: int, method: str, target: bytes, headers: Headers, body: Body) -> Reply:
        sent.append(target.decode())
        return await send(port, method, target, headers, body)

    engine._http.send = note  # type: ignore[method-assign]
    try:
        payload = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5, "stream": True}
        for _ in range(3):
            async with engine.stream(payload) as events, asyncio.timeout(30):
                assert [data async for data in events]
    finally:
        await engine.close()
    assert sent == ["/v1/chat/completions"] * 3


START = """
import json, sys
from pathlib import Path
opened, started = [], []
def audit(event, arguments):
    if event == 'open' and isinstance(arguments[0], str):
        opened.append(arguments[0])
    elif event in ('subprocess.Popen', 'os.posix_spawn', 'os.exec', 'os.fork', 'os.system'):
        started.append(str(arguments[0]) if arguments else event)
sys.addaudithook(audit)
from peersky.qt.application import create_application
application = create_application(headless=True, on_error=print)
from peersky.qt.driver import PageDriver
from peersky.qt.runtime import Runtime
from peersky.system.paths import open_profile
runtime = Runtime(open_profile(Path(sys.argv[1])), late=True)
import peersky.qt.window
early = sorted(sys.modules)
page = runtime.new_page()
PageDriver(page).load('peersky://home/')
runtime.services
print(json.dumps({'opened': opened, 'started': started, 'early': early, 'modules': len(sys.modules)}))
print('look', flush=True)
sys.stdin.read()
page.deleteLater()
from PyQt6.QtCore import QCoreApplication, QEvent
QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
runtime.close()
"""


def test_a_start_opens_few_files_and_starts_nothing(tmp_path: Path) -> None:
    """The engine starts with the first question, the P2P node with the first address of a peer; neither before."""
    command = [sys.executable, "-c", START, str(tmp_path / "profile")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        *_, said = iter(process.stdout.readline, "look\n")
        children = {child.name() for child in psutil.Process(process.pid).children(recursive=True)}
        process.communicate(timeout=60)
    assert process.returncode == 0
    seen = json.loads(said)
    assert seen["started"] == []
    assert all(name.startswith("QtWebEngine") for name in children), children
    # Code is opened by the import system; what counts is data.
    data = [path for path in seen["opened"] if not path.endswith((".py", ".pyc", ".so", ".pyi"))]
    assert len(data) <= MOST_FILES_AT_START, data
    # The window is there before what takes a third of a second to import.
    assert not SERVICES_ONLY & set(seen["early"])
    assert len(seen["early"]) <= MOST_MODULES_BEFORE_THE_FIRST_PAGE
    assert seen["modules"] <= MOST_MODULES_AT_START
