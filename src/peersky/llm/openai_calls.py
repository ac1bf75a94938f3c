"""Calls to OpenAI-compatible services: where the API is below a base URL, and a second try where that helps."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from peersky.core.base_url import BaseUrl, candidates
from peersky.core.errors import BackendFailed, PeerSkyError
from peersky.llm.call import Call
from peersky.llm.http import HttpClients, Limits, Reply
from peersky.llm.model_server import SETTINGS_PAGE, ModelServer
from peersky.llm.service_errors import error_of
from peersky.system.children import Log

PASSING: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
ASK_LIMITS: Final = Limits(first_byte_s=30.0, idle_s=30.0, total_s=60.0)


class WrongPath(Exception):
    """There is no API at this path."""

    def __init__(self, error: PeerSkyError) -> None:
        super().__init__(error.message)
        self.error = error


class Refused(Exception):
    """The service did not take the request, before it did anything for it."""

    def __init__(self, error: PeerSkyError, status: int, body: Any, retry_after_s: float | None) -> None:
        super().__init__(error.message)
        self.error = error
        self.status = status
        self.body = body
        self.retry_after_s = retry_after_s


class _Unreached(Exception):
    """Nobody took the connection."""

    def __init__(self, error: BackendFailed) -> None:
        super().__init__(error.message)
        self.error = error


class OpenAICalls:
    """Sends calls, and remembers which of a base URL's candidates answered.

    Args:
        http: whose connections are used.
        log: the logbook's ``record``.
        pause: waits for the second try, in seconds.
    """

    def __init__(self, http: HttpClients, log: Log, pause: Callable[[float], Awaitable[None]]) -> None:
        self._http = http
        self._log = log
        self._pause = pause
        self._found: dict[BaseUrl, BaseUrl] = {}

    def has_found(self, server: ModelServer) -> bool:
        """Whether the API of this server answered before."""
        return server.base in self._found

    async def ask(self, server: ModelServer, call: Call) -> Any:
        """The JSON that a call is answered with.

        Raises:
            PeerSkyError: what the service said; ``BackendFailed`` with a :class:`WrongPath` as cause where there is no
                such call.
        """
        try:
            async with self.send(server, call) as reply:
                answer = await reply.json()
        except Refused as refusal:
            raise refusal.error from None
        if isinstance(answer, Mapping) and answer.get("error"):
            raise error_of(200, answer, server, call.model)
        return answer

    @asynccontextmanager
    async def send(self, server: ModelServer, call: Call) -> AsyncIterator[Reply]:
        """A reply that is no error, after a second try where that helps, from where the API is.

        Raises:
            Refused: the service does not take the call.
            BackendFailed: as for :meth:`HttpClients.request`, and as for :meth:`ask`.
        """
        wrong: WrongPath | None = None
        found = self._found.get(server.base)
        for base in (found,) if found else candidates(server.base):
            for last_try in (False, True):
                try:
                    async with self._once(server, base, call) as reply:
                        self._found[server.base] = base
                        yield reply
                        return
                except WrongPath as error:
                    wrong = wrong or error
                    break
                except Refused as refusal:
                    self._found[server.base] = base
                    wait_s = _wait_s(refusal, call.longest_wait_s)
                    if last_try or wait_s is None:
                        raise
                    await self._wait(server, wait_s, str(refusal.status))
                except _Unreached as error:
                    if last_try:
                        raise error.error from error.error.__cause__
                    await self._wait(server, 1.0, "unreachable")
        assert wrong is not None
        if call.path != "/embeddings":
            # Whatever answers there now, the API is not where it was.
            self._found.pop(server.base, None)
        raise BackendFailed(wrong.error.message, reason=wrong.error.reason) from wrong

    @asynccontextmanager
    async def _once(self, server: ModelServer, base: BaseUrl, call: Call) -> AsyncIterator[Reply]:
        url, limits = base.url(call.path), call.limits or ASK_LIMITS
        headers = {"X-Title": "PeerSky"} if base.is_openrouter else {}
        opened = False
        try:
            async with self._http.request(
                server, call.method, url, call.payload, limits=limits, headers=headers
            ) as reply:
                opened = True
                if not reply.is_ok:
                    body = await reply.error_body()
                    error = error_of(reply.status, body, server, call.model, reply.retry_after_s)
                    if reply.status == 405 or (reply.status == 404 and error.reason == "backend_error"):
                        raise WrongPath(_no_api(server))
                    raise Refused(error, reply.status, body, reply.retry_after_s)
                if await reply.peek() == b"<":
                    # The service's web site.
                    raise WrongPath(_no_api(server))
                yield reply
        except BackendFailed as error:
            if opened or error.reason != "unreachable":
                raise
            raise _Unreached(error) from error

    async def _wait(self, server: ModelServer, seconds: float, why: str) -> None:
        self._log("backend.retry", provider="openai", service=server.name, why=why, wait_s=round(seconds, 1))
        # Not all at once: whoever was refused together would be refused together again.
        await self._pause(seconds + random.uniform(0, 0.5))


def _wait_s(refusal: Refused, longest_s: float) -> float | None:
    """How long to wait before the second try; None if there is to be none."""
    if refusal.status not in PASSING or refusal.error.reason == "credits":
        return None
    wait_s = 1.0 if refusal.retry_after_s is None else refusal.retry_after_s
    return wait_s if wait_s <= longest_s else None


def _no_api(server: ModelServer) -> BackendFailed:
    return BackendFailed(
        f"There is no OpenAI-compatible API at {server.base}; check the base URL in {SETTINGS_PAGE}.",
        reason="backend_error",
    )
