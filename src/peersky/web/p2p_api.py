"""The API of ``peersky://settings/p2p`` beside the plain settings: what the node does, its cache, who may publish, and
"Reset P2P data".

Who may call it is decided before, by :func:`peersky.core.trust.may`.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from peersky.core.errors import InvalidRequest
from peersky.core.settings_schema import setting
from peersky.llm.memory import MemoryStore
from peersky.p2p.kubo import kubo_version
from peersky.p2p.ledger import Ledger
from peersky.p2p.node_port import NodePort, start_all
from peersky.web.errors import NO_STORE
from peersky.web.json_reply import JSONResponse
from peersky.web.ledger_api import LedgerApi
from peersky.web.requests import json_object, text_of

_STEPS: Final = ("start", "gc", "test", "reset")


class P2PApi:
    """Makes the routes for ``peersky://settings/api/``.

    Args:
        node: shown and steered.
        ledger, memory: what the reset deletes besides.
    """

    def __init__(self, node: NodePort, ledger: Ledger, memory: MemoryStore) -> None:
        self._node = node
        self._ledger = ledger
        self._memory = memory

    def routes(self) -> list[Route]:
        return [Route("/p2p", self._read, methods=["GET"]), Route("/p2p", self._act, methods=["POST"])]

    async def _read(self, request: Request) -> Response:
        return await self._state()

    async def _act(self, request: Request) -> Response:
        """``{action}``: ``start``; ``gc``; ``test`` with ``kuboRpc``; ``reset`` with ``identities``.

        Answers with the state, and what came of it.
        """
        body = await json_object(request)
        match text_of(body, "action"):
            case "start":
                self._node.retry()
                await start_all(self._node)
            case "gc":
                return await self._state(await self._node.json("POST", "/node/gc", {}))
            case "test":
                url = str(setting("p2p.ipfs.kuboRpc").check(text_of(body, "kuboRpc")))
                return JSONResponse({"version": await kubo_version(url)}, headers=NO_STORE)
            case "reset":
                identities = body.get("identities")
                if not isinstance(identities, bool):
                    raise InvalidRequest("The option identities must be true or false.", param="identities")
                await self._node.reset(identities=identities)
                await self._ledger.reset(identities=identities)
                await self._memory.reset()
            case _:
                raise InvalidRequest(f"The option action must be one of {', '.join(_STEPS)}.", param="action")
        return await self._state()

    async def _state(self, more: Any = None) -> Response:
        """``{state, sentence, node}``; ``node`` is null while it does not run: looking never starts it."""
        reply = {**await self._node.status(), **(more or {})}
        return JSONResponse(reply, headers=NO_STORE)


def p2p_apis(node: NodePort, ledger: Ledger, memory: MemoryStore) -> dict[str, list[Route]]:
    """The APIs about P2P of the browser's own pages, by host; arguments as for :class:`P2PApi`."""
    return {
        "archive": LedgerApi(ledger, node).routes(),
        "settings": P2PApi(node, ledger, memory).routes(),
    }
