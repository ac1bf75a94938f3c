"""Waiting for the user on behalf of a request whose body nobody has read yet: who goes away withdraws the question."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.types import Message, Receive


async def while_there(work: Coroutine[Any, Any, None], receive: Receive) -> Receive | None:
    """Do ``work``, and cancel it if the asker goes away.

    Args:
        work: what it raises is raised.
        receive: of the request; read from here on, so the reply to it must use what is returned instead.

    Returns:
        A ``receive`` that begins with what came meanwhile; None if the asker has gone.
    """
    seen: list[Message] = []
    waiting: asyncio.Task[Message] | None = None
    async with asyncio.TaskGroup() as group:
        working = group.create_task(_outcome(work))
        while not working.done():
            waiting = waiting or group.create_task(_next(receive))
            both: set[asyncio.Task[Any]] = {working, waiting}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                seen.append(waiting.result())
                waiting = None
                if seen[-1]["type"] == "http.disconnect":
                    working.cancel()
                    return None
        if waiting is not None:
            waiting.cancel()
    failure = working.result()
    if failure is not None:
        raise failure

    async def replay() -> Message:
        return seen.pop(0) if seen else await receive()

    return replay


async def _outcome(work: Coroutine[Any, Any, None]) -> Exception | None:
    """What went wrong, as a value: a group would wrap it."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - raised again by the caller
        return error
    return None


async def _next(receive: Receive) -> Message:
    return await receive()
