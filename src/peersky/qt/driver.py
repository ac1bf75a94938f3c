"""Drive a page from Python: load an address, run a script in its main world, take a picture.

For `peersky eval`, `peersky shot` and the tests. Blocks the caller in a nested event loop; main thread only.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, Final

from PyQt6.QtCore import QEventLoop, QTimer, QUrl
from PyQt6.QtWebEngineCore import QWebEngineLoadingInfo, QWebEngineScript

from peersky.core.errors import BackendFailed, PeerSkyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from peersky.qt.page import PeerSkyPage

_POLL_MS: Final = 5


class ScriptFailed(PeerSkyError):
    """The script threw, rejected, did not parse or did not end in time. ``error`` is ``{name, message, reason}``."""

    default_reason = "script_failed"

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error.get('name', 'Error')}: {error.get('message', '')}")
        self.error = error


class PageDriver:
    """One page under control."""

    def __init__(self, page: PeerSkyPage) -> None:
        self.page = page
        self.console: list[str] = []
        page.console_message.connect(self._on_console)

    def _on_console(self, level: str, text: str, line: int, source: str) -> None:
        self.console.append(f"{level}: {text} ({source}:{line})")

    def load(self, url: str, timeout_s: float = 30) -> None:
        """Open an address and wait until it has loaded.

        Raises:
            BackendFailed: the address cannot be loaded, or not in time.
        """
        outcome: list[QWebEngineLoadingInfo] = []
        ended = (
            QWebEngineLoadingInfo.LoadStatus.LoadSucceededStatus,
            QWebEngineLoadingInfo.LoadStatus.LoadFailedStatus,
            QWebEngineLoadingInfo.LoadStatus.LoadStoppedStatus,
        )

        def changed(info: QWebEngineLoadingInfo) -> None:
            if info.status() in ended:
                outcome.append(QWebEngineLoadingInfo(info))

        self.page.loadingChanged.connect(changed)
        try:
            self.page.load(QUrl(url))
            wait_until(lambda: bool(outcome), timeout_s, f"{url} did not load within {timeout_s:g} s.")
        finally:
            self.page.loadingChanged.disconnect(changed)
        if outcome[-1].status() != QWebEngineLoadingInfo.LoadStatus.LoadSucceededStatus:
            detail = outcome[-1].errorString() or "the load was stopped"
            raise BackendFailed(f"{url} cannot be loaded: {detail}.", reason="load_failed")

    def evaluate(self, script: str, timeout_s: float = 30) -> Any:
        """Run the body of an async function in the page's main world, as the page itself would.

        Returns:
            What it returned, through JSON.

        Raises:
            ScriptFailed: it threw, rejected, did not parse or did not end in time.
        """
        slot = f"__peersky_{secrets.token_hex(8)}"
        self._start(slot, script, timeout_s)
        reply: list[str] = []
        # Another page in this one's place knows nothing of the script.
        gone = json.dumps({"error": {"name": "AbortError", "message": "the page went away while the script ran"}})
        question = f"window.{slot} ? window.{slot}.json : {json.dumps(gone)}"

        def ask() -> bool:
            if not reply:
                self.page.runJavaScript(question, QWebEngineScript.ScriptWorldId.MainWorld, take)
            return bool(reply)

        def take(value: Any) -> None:
            if isinstance(value, str) and not reply:
                reply.append(value)

        wait_until(ask, timeout_s, None, poll_ms=_POLL_MS)
        if not reply:
            raise ScriptFailed({"name": "TimeoutError", "message": f"the script did not end within {timeout_s:g} s"})
        self.page.runJavaScript(f"delete window.{slot}", QWebEngineScript.ScriptWorldId.MainWorld)
        result = json.loads(reply[0])
        if "error" in result:
            raise ScriptFailed(result["error"])
        return result.get("value")

    def _start(self, slot: str, script: str, timeout_s: float) -> None:
        describe = (
            "{name: e?.name ?? 'Error', message: String(e?.message ?? e), reason: e?.reason,"
            " requested: e?.requested, quota: e?.quota}"
        )
        source = (
            f"Object.defineProperty(window, '{slot}', {{value: {{json: null}}, configurable: true}});"
            f"(async () => {{\n{script}\n}})().then("
            f"(value) => {{ window.{slot}.json = JSON.stringify({{value}}); }},"
            f"(e) => {{ window.{slot}.json = JSON.stringify({{error: {describe}}}); }});"
            "'started'"
        )
        started: list[Any] = []
        self.page.runJavaScript(source, QWebEngineScript.ScriptWorldId.MainWorld, started.append)
        wait_until(lambda: bool(started), timeout_s, None)
        if started != ["started"]:
            message = self.console[-1] if self.console else "the page cannot run the script"
            raise ScriptFailed({"name": "SyntaxError", "message": message})


def wait_until(condition: Callable[[], bool], timeout_s: float, failure: str | None, poll_ms: int = _POLL_MS) -> bool:
    """Run Qt's event loop until the condition holds.

    Args:
        condition: asked every ``poll_ms``.
        timeout_s: longest wait.
        failure: sentence of the error at the time-out; None: return False.

    Raises:
        BackendFailed: the time is over, and ``failure`` is a sentence.
    """
    if condition():
        return True
    loop = QEventLoop()
    poll, limit = QTimer(), QTimer()
    limit.setSingleShot(True)
    poll.timeout.connect(lambda: loop.exit(1) if condition() else None)
    limit.timeout.connect(lambda: loop.exit(0))
    poll.start(poll_ms)
    limit.start(int(timeout_s * 1000))
    held = loop.exec() == 1 or condition()
    poll.stop()
    limit.stop()
    if not held and failure is not None:
        raise BackendFailed(failure, reason="timeout")
    return held
