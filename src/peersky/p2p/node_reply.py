"""A reply of the P2P node: status, headers, and a body that is read as fast as its reader wants it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final

from peersky.core.errors import PeerSkyError
from peersky.p2p.errors import NodeRefused
from peersky.system.loopback_http import ConnectionBroke, Reply

NAME: Final = "The P2P node"
MAX_BYTES: Final = 64 * 1024 * 1024
_MAX_SENTENCE_BYTES: Final = 4096


class NodeReply:
    """A reply of the node, whose head is here.

    Attributes:
        status: HTTP status.
        headers: as the node sent them, names in lower case.

    Args:
        broke_off: makes the error for a connection that broke in the middle of the body.
    """

    def __init__(self, reply: Reply, broke_off: Callable[[], Awaitable[PeerSkyError]]) -> None:
        self.status = reply.status
        self.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in reply.headers]
        self._reply, self._broke_off = reply, broke_off

    def header(self, name: str) -> str:
        """The value of a header; empty where there is none."""
        return next((value for key, value in self.headers if key == name), "")

    async def aiter_bytes(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives.

        Raises:
            NodeUnavailable: ``interrupted``.
        """
        try:
            async with aclosing(self._reply.pieces()) as pieces:
                async for piece in pieces:
                    yield piece
        except ConnectionBroke as error:
            raise await self._broke_off() from error

    async def read(self, limit_bytes: int = MAX_BYTES) -> bytes:
        """The whole body; what is over the limit is cut off.

        Raises:
            NodeUnavailable: ``interrupted``.
        """
        body = bytearray()
        async with aclosing(self.aiter_bytes()) as chunks:
            async for chunk in chunks:
                body += chunk[: limit_bytes - len(body)]
                if len(body) >= limit_bytes:
                    break
        return bytes(body)

    async def refusal(self) -> NodeRefused:
        """The error that this reply, of status 400 or more, tells of."""
        sentence = (await self.read(_MAX_SENTENCE_BYTES)).decode("utf-8", "replace").strip()
        return NodeRefused(
            sentence or f"{NAME} refused this (status {self.status}).",
            status=self.status,
            reason=self.header("x-peersky-reason") or "internal",
        )
