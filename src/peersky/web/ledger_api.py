"""The APIs of ``peersky://archive/``: what was published from here, and what can be done with it.

Who may call them is decided before, by :func:`peersky.core.trust.may`.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from peersky.core.errors import InvalidRequest, NotFound
from peersky.p2p.ledger import PAGE, Ledger, Publication
from peersky.p2p.node_port import NodePort, start_all
from peersky.web.errors import NO_STORE
from peersky.web.json_reply import JSONResponse
from peersky.web.qr import qr_svg
from peersky.web.requests import json_object, text_of

_MAX_PAGE: Final = 500
_DRIVE: Final = "hyper:"
_STEPS: Final = ("unpin", "announce", "forget", "start")


class LedgerApi:
    """Makes the routes for ``peersky://archive/api/``.

    Args:
        ledger: what was published.
        node: shares it.
    """

    def __init__(self, ledger: Ledger, node: NodePort) -> None:
        self._ledger = ledger
        self._node = node

    def routes(self) -> list[Route]:
        return [
            Route("/ledger", self._list, methods=["GET"]),
            Route("/ledger", self._act, methods=["POST"]),
            Route("/ledger-export", self._export, methods=["GET"]),
            Route("/ledger-qr", self._qr, methods=["GET"]),
        ]

    async def _list(self, request: Request) -> Response:
        """``?search&limit&offset`` → ``{publications, total, notices, node}``; ``node`` has state and sentence."""
        asked = request.query_params
        limit = min(_whole(asked.get("limit", str(PAGE)), "limit"), _MAX_PAGE)
        found = await self._ledger.search(asked.get("search", ""), limit, _whole(asked.get("offset", "0"), "offset"))
        return JSONResponse(
            {
                "publications": [publication.as_object() for publication in found.publications],
                "total": found.total,
                "notices": list(self._ledger.notices),
                "node": await self._node_state(),
            },
            headers=NO_STORE,
        )

    async def _act(self, request: Request) -> Response:
        """``{action, id}``, for ``unpin`` with ``purge`` too; answers with the entry, null where it is gone.

        ``{action: "start"}`` starts the node, so that what is pinned is shared again; ``problems`` are sentences.
        """
        body = await json_object(request)
        action = text_of(body, "action")
        if action not in _STEPS:
            raise InvalidRequest(f"The option action must be one of {', '.join(_STEPS)}.", param="action")
        if action == "start":
            self._node.retry()
            problems = await start_all(self._node)
            return JSONResponse({"problems": problems, "node": await self._node_state()}, headers=NO_STORE)
        entry = await self._entry(body.get("id"))
        match action:
            case "unpin":
                await self._unpin(entry, purge=body.get("purge") is True)
            case "announce":
                await self._announce(entry)
            case "forget":
                await self._ledger.forget(entry.id)
        now = await self._ledger.get(entry.id)
        reply = {"publication": now and now.as_object(), "node": await self._node_state()}
        return JSONResponse(reply, headers=NO_STORE)

    async def _node_state(self) -> dict[str, Any]:
        status = await self._node.status()
        return {name: status[name] for name in ("state", "sentence")}

    async def _announce(self, entry: Publication) -> None:
        """Tell other peers anew. A drive that is kept here is shared again with it; anything else has to be there."""
        is_drive = entry.root.startswith(_DRIVE)
        if not entry.pinned and not (is_drive and entry.owned):
            raise NotFound("This is no longer kept here; publish it again to share it.", reason="not_kept")
        await self._node.json("POST", "/node/announce", {"url": entry.root})
        if not entry.pinned:
            await self._ledger.set_pinned(entry.root, True)

    async def _unpin(self, entry: Publication, *, purge: bool) -> None:
        purge = purge and entry.root.startswith(_DRIVE)
        await self._node.json("POST", "/node/unpin", {"url": entry.root, "purge": purge})
        await self._ledger.set_pinned(entry.root, False)
        if purge:
            await self._ledger.disown(entry.root)

    async def _export(self, request: Request) -> Response:
        headers = {"content-disposition": 'attachment; filename="peersky-archive.json"', **NO_STORE}
        return StreamingResponse(self._ledger.export(), media_type="application/json", headers=headers)

    async def _qr(self, request: Request) -> Response:
        """``?id`` → the entry's address as an image."""
        entry = await self._entry(_whole(request.query_params.get("id", ""), "id"))
        return Response(qr_svg(entry.url), media_type="image/svg+xml", headers=NO_STORE)

    async def _entry(self, number: Any) -> Publication:
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 2**63:
            raise InvalidRequest("The option id must be a whole number.", param="id")
        if (entry := await self._ledger.get(number)) is None:
            raise NotFound("This is no longer in the archive; reload the page.", reason="no_such_entry")
        return entry


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidRequest(f"The option {name} must be a whole number from 0 to 999999999.", param=name)
    return int(text)
