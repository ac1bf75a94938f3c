"""The browser without its window, driven by lines of JSON on its standard input: ``python -m bench.browser PROFILE``.

Results of scripts come back as console messages, so that nothing polls a page while it is measured. With ``--paced``
the engine is ``bench/paced.py``, whose words say when they were sent. With ``--bare`` it is Chromium alone, without
anything of PeerSky: what a page pays that asks an HTTP server itself. With ``--gc`` pages can throw their garbage away.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from PyQt6.QtCore import QCoreApplication, QEvent, QSocketNotifier, Qt, QTimer, QUrl, pyqtSignal
from PyQt6.QtWebEngineCore import QWebEnginePage, QWebEngineProfile, QWebEngineScript
from PyQt6.sip import voidptr

from peersky.llm.engine import Engine
from peersky.qt.application import create_application
from peersky.qt.page import PeerSkyPage
from peersky.qt.runtime import Runtime
from peersky.system.children import Launch
from peersky.system.paths import open_profile

_MARK: Final = "bench-result:"
_TICK_MS: Final = 5


class BarePage(QWebEnginePage):
    """A page of Chromium without anything of PeerSky."""

    console_message = pyqtSignal(str, str, int, str)

    def javaScriptConsoleMessage(
        self, level: QWebEnginePage.JavaScriptConsoleMessageLevel, message: str | None, line: int, source: str | None
    ) -> None:
        self.console_message.emit(level.name, message or "", line, source or "")


class Driver:
    """Carries out commands; each is answered with a line, when it is done.

    Args:
        runtime: the browser; None: Chromium alone.
    """

    def __init__(self, runtime: Runtime | None, quit_: Callable[[], None]) -> None:
        self._found_runtime, self._quit = runtime, quit_
        self._bare = QWebEngineProfile() if runtime is None else None
        self._pages: dict[int, PeerSkyPage | BarePage] = {}
        self._rest = b""
        self._ticks: list[float] = []
        self._tick = QTimer()
        self._tick.setTimerType(Qt.TimerType.PreciseTimer)
        self._tick.timeout.connect(lambda: self._ticks.append(time.perf_counter()))

    @property
    def _runtime(self) -> Runtime:
        assert self._found_runtime is not None, "Chromium alone has no services"
        return self._found_runtime

    def read(self) -> None:
        """Take what arrived on standard input."""
        data = os.read(0, 1 << 20)
        if not data:
            self._quit()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            number = command.pop("id")
            try:
                getattr(self, f"do_{command.pop('do')}")(number, **command)
            except Exception as error:  # noqa: BLE001 - told to whoever measures
                self._reply(number, error=repr(error))

    def _reply(self, number: int, **reply: Any) -> None:
        sys.stdout.write(json.dumps({"id": number, **reply}) + "\n")
        sys.stdout.flush()

    def do_page(self, number: int, url: str) -> None:
        page = self._runtime.new_page() if self._bare is None else BarePage(self._bare)
        page.console_message.connect(self._on_console)
        self._pages[number] = page
        self._load(number, page, url, number)

    def do_load(self, number: int, page: int, url: str) -> None:
        self._load(number, self._pages[page], url, page)

    def _load(self, number: int, page: PeerSkyPage | BarePage, url: str, result: int) -> None:
        def loaded(good: bool) -> None:
            page.loadFinished.disconnect(loaded)
            self._reply(number, **({"value": result} if good else {"error": f"{url} did not load"}))

        page.loadFinished.connect(loaded)
        page.load(QUrl(url))

    def do_close(self, number: int, page: int) -> None:
        self._pages.pop(page).deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        self._reply(number, value=None)

    def do_run(self, number: int, page: int, script: str) -> None:
        mark = json.dumps(f"{_MARK}{number}:")
        source = (
            f"(async () => {{\n{script}\n}})().then("
            f"(value) => console.info({mark} + JSON.stringify({{value: value ?? null}})),"
            f"(e) => console.info({mark} + JSON.stringify({{error: String(e?.stack ?? e)}}))); 'started'"
        )

        def started(what: object) -> None:
            if what != "started":
                self._reply(number, error="the script does not parse")

        self._pages[page].runJavaScript(source, QWebEngineScript.ScriptWorldId.MainWorld, started)

    def _on_console(self, _level: str, text: str, _line: int, _source: str) -> None:
        if text.startswith(_MARK):
            number, _, reply = text.removeprefix(_MARK).partition(":")
            self._reply(int(number), **json.loads(reply))

    def do_cpu(self, number: int) -> None:
        """Seconds of processor time that this process has used."""
        self._reply(number, value=time.process_time())

    def do_collect(self, number: int) -> None:
        """Throw away what is garbage, so that memory is compared with memory."""
        gc.collect()
        self._reply(number, value=None)

    def do_ticks(self, number: int, on: bool) -> None:
        """Watch the main thread; when that ends: how late its timer came at most each time, in milliseconds."""
        if on:
            self._ticks.clear()
            self._tick.start(_TICK_MS)
            self._reply(number, value=None)
            return
        self._tick.stop()
        pairs = zip(self._ticks, self._ticks[1:], strict=False)
        self._reply(number, value=[max(0.0, (b - a) * 1000 - _TICK_MS) for a, b in pairs])

    def do_engine(self, number: int) -> None:
        """Port and key of the chat engine, which has answered once."""

        async def found() -> tuple[int, str]:
            engine = self._runtime.services.builtin._chat_seat.engine
            assert engine is not None, "ask it something first"
            child = await engine.child()
            return child.ready["port"], engine._key

        self._reply(number, value=self._runtime.call(found()).result(60))

    def do_stop_engine(self, number: int) -> None:
        async def stop() -> None:
            engine = self._runtime.services.builtin._chat_seat.engine
            assert engine is not None
            await engine.wait_idle()
            await engine.stop()

        self._runtime.call(stop()).result(60)
        self._reply(number, value=None)

    def close(self) -> None:
        for page in self._pages.values():
            page.deleteLater()
        self._pages.clear()
        if self._bare is not None:
            self._bare.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def pace_the_engine() -> None:
    """Let the browser start the engine's stand-in; everything else stays as it is."""
    real = Engine._launch
    script = Path(__file__).with_name("paced.py")

    def launch(engine: Engine) -> Launch:
        given = real(engine)
        return Launch((sys.executable, "-P", str(script)), given.first_line, given.environment)

    Engine._launch = launch  # type: ignore[method-assign, assignment]


def main(profile: str, *options: str) -> int:
    if "--paced" in options:
        pace_the_engine()
    if "--gc" in options:
        os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = "--js-flags=--expose-gc"
    application = create_application(headless=True, on_error=lambda text: print(text, file=sys.stderr))
    runtime = None if "--bare" in options else Runtime(open_profile(Path(profile)))
    driver = Driver(runtime, application.quit)
    notifier = QSocketNotifier(voidptr(0), QSocketNotifier.Type.Read)
    notifier.activated.connect(driver.read)
    application.exec()
    notifier.setEnabled(False)
    driver.close()
    if runtime is not None:
        runtime.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
