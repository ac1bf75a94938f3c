"""A publication as a reply that goes on: a JSON object a line, for the command line and for pages of the browser."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Final

from peersky.core.errors import PeerSkyError
from peersky.web.errors import internal_error

if TYPE_CHECKING:
    from peersky.system.tasks import TaskOwner
    from peersky.web.p2p_service import P2PService

_logger = logging.getLogger(__name__)

_LINES_AHEAD: Final = 16
_PREPARING: Final = ("installing", "starting")

Lines = AsyncGenerator[dict[str, Any], None]


async def publish_lines(p2p: P2PService, tasks: TaskOwner, publication: Lines) -> AsyncIterator[bytes]:
    """``{"sentence": …}`` while the node is being prepared, progress, and at last what was published or the error.

    Closing it cancels: nothing is published then.

    Args:
        tasks: owner of the publication while it runs.
        publication: of :meth:`P2PService.publish`, not begun.
    """
    waiting: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(_LINES_AHEAD)

    def prepares() -> None:
        if p2p.node.state in _PREPARING:
            with suppress(asyncio.QueueFull):
                waiting.put_nowait({"sentence": p2p.node.sentence()})

    async def work() -> None:
        try:
            async with aclosing(publication) as lines:
                async for line in lines:
                    await waiting.put(line)
        except PeerSkyError as error:
            await waiting.put({"error": error.as_object()})
        except Exception:
            _logger.exception("Publishing failed")
            await waiting.put({"error": internal_error().as_object()})
        await waiting.put(None)

    unsubscribe = p2p.node.subscribe(prepares)
    working = tasks.start(work(), "publish")
    try:
        while (line := await waiting.get()) is not None:
            yield json.dumps(line).encode() + b"\n"
    finally:
        unsubscribe()
        working.cancel()
        await asyncio.wait({working})
