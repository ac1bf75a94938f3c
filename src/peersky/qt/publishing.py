"""One publication that the user started: it runs on the service loop and tells the window how far it is."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from PyQt6.QtCore import QObject, pyqtSignal

from peersky.core.errors import PeerSkyError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from concurrent.futures import Future

    from peersky.p2p.publisher import Network
    from peersky.qt.service_thread import ServiceThread

_log = logging.getLogger(__name__)
_TELL_EVERY_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user wants published.

    Attributes:
        path: absolute path of a file or folder.
        to: ``hyper`` or ``ipfs``.
        name: what to call it; of a drive also its identity: publishing to the same name changes the same drive.
    """

    path: str
    to: Network
    name: str


class Publishing(QObject):
    """A publication under way. Its signals arrive on the main thread; :meth:`start` it once they are connected.

    Args:
        services: where it runs.
        lines: starts it and gives what the node tells: ``done`` and ``total`` bytes, ``files`` and ``totalFiles``,
            and at the end ``url``, ``bytes``, ``files`` and ``skipped``. Closing the generator cancels it.
    """

    progressed = pyqtSignal(object)
    published = pyqtSignal(object)
    failed = pyqtSignal(str)

    def __init__(self, services: ServiceThread, lines: Callable[[], AsyncGenerator[dict[str, Any], None]]) -> None:
        super().__init__()
        self._services, self._lines = services, lines
        self._future: Future[None] | None = None

    def start(self) -> None:
        """Begin; :attr:`published` or :attr:`failed` follows, unless it is cancelled."""
        self._future = self._services.call(self._run())

    def cancel(self) -> None:
        """Stop it; nothing is published then. No effect on one that has ended."""
        if self._future is not None:
            self._future.cancel()

    async def _run(self) -> None:
        told_s = 0.0
        result: dict[str, Any] | None = None
        try:
            async with aclosing(self._lines()) as lines:
                async for line in lines:
                    if "url" in line:
                        result = line
                    elif time.monotonic() - told_s >= _TELL_EVERY_S:
                        told_s = time.monotonic()
                        self.progressed.emit(line)
        except PeerSkyError as error:
            self.failed.emit(error.message)
        except asyncio.CancelledError:
            raise
        except Exception:  # noqa: BLE001 - the dialog must learn of the end, whatever it was
            _log.exception("publishing failed")
            self.failed.emit("Something in PeerSky went wrong; peersky://logs says what it was.")
        else:
            if result is None:
                self.failed.emit("The peer-to-peer node stopped before everything was published; try again.")
            else:
                self.published.emit(result)
