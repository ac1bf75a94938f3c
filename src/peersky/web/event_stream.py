"""A reply that goes on: values as server-sent events, from whoever reports them, until the page goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from peersky.core import sse
from peersky.web.errors import NO_STORE

EVENT_STREAM: Final = "text/event-stream"
MAX_WAITING: Final = 2000
"""Values kept for a page that does not read; the oldest go first."""

Report = Callable[[Hashable, Any], None]
Unsubscribe = Callable[[], None]


def wants_events(request: Request) -> bool:
    """Whether a page asked for the stream of an address, and not for what it tells now."""
    return EVENT_STREAM in request.headers.get("accept", "")


def event_stream(subscribe: Callable[[Report], Unsubscribe]) -> Response:
    """A reply of events, one JSON value each.

    Args:
        subscribe: called with ``report(key, value)``, which may be called on any thread; returns what ends it. Of the
            values with the same key that wait to be sent, only the last is.
    """
    loop = asyncio.get_running_loop()
    waiting: dict[Hashable, Any] = {}
    arrived = asyncio.Event()

    def take(key: Hashable, value: Any) -> None:
        waiting[key] = value
        while len(waiting) > MAX_WAITING:
            del waiting[next(iter(waiting))]
        arrived.set()

    def report(key: Hashable, value: Any) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(take, key, value)

    async def events() -> AsyncIterator[bytes]:
        unsubscribe = subscribe(report)
        try:
            # A comment, so that the head of the reply is on its way before anything happens.
            yield b": open\n\n"
            while True:
                await arrived.wait()
                arrived.clear()
                batch = list(waiting.values())
                waiting.clear()
                for value in batch:
                    yield sse.encode_json(value)
        finally:
            unsubscribe()

    return StreamingResponse(events(), media_type=EVENT_STREAM, headers=NO_STORE)
