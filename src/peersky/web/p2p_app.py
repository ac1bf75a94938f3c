"""The app behind ``hyper:``, ``ipfs:`` and ``ipns:``: a streaming proxy to the P2P node, for whom trust lets in.

Bodies stream both ways, statuses are the node's own. A reader that is a tab or a frame gets folders and errors as
pages. What was written stands in the ledger before the page learns that it was. Runs on the service loop, without Qt.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from starlette.types import Receive, Scope, Send

from peersky.core.errors import Cancelled, PeerSkyError
from peersky.core.origins import P2P_SCHEMES, parse_origin
from peersky.p2p.ledger import Publication
from peersky.p2p.publisher import USER as USER_NAME
from peersky.web.errors import internal_error
from peersky.web.p2p_request import (
    APP_HEADER,
    MODEL_HEADER,
    OWN_HEADERS,
    TITLE_HEADER,
    Act,
    P2PRequest,
    WrongMethod,
    parse_p2p_request,
)

if TYPE_CHECKING:
    from peersky.p2p.ledger import Ledger
    from peersky.p2p.node import P2PNode
    from peersky.p2p.node_reply import NodeReply
    from peersky.system.tasks import TaskOwner
    from peersky.web.p2p_access import Access
    from peersky.web.p2p_lookups import Lookups

_logger = logging.getLogger(__name__)

Headers = list[tuple[str, str]]
Listing = Callable[[str, Sequence[Mapping[str, Any]]], str]
ErrorPage = Callable[[str, int, str, str], str]

LISTING_TYPE: Final = "application/vnd.peersky.listing+json"
_HTML: Final = "text/html; charset=utf-8"
_TEXT: Final = "text/plain; charset=utf-8"
_NOT_PASSED_ON: Final = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "set-cookie", "set-cookie2", "server"}
)
_UNKNOWN: Final = 1 << 63
_KEPT_OF_ERRORS: Final = frozenset({"allow", "content-range", "retry-after", "link", "etag"})


class P2PApp:
    """The ASGI app.

    Args:
        node: answers.
        access: decides who may.
        ledger: told of what was published, and of whose the drives and names are.
        lookups: told of what waits for peers.
        listing: makes the page of a folder, of its address and its entries.
        error_page: makes the page of a failure, of its address, status, reason and sentence.
        tasks: owner of what goes on when a page has gone away.
    """

    def __init__(
        self,
        node: P2PNode,
        access: Access,
        ledger: Ledger,
        lookups: Lookups,
        listing: Listing,
        error_page: ErrorPage,
        tasks: TaskOwner,
    ) -> None:
        self._node, self._access, self._ledger, self._lookups = node, access, ledger, lookups
        self._listing, self._error_page, self._tasks = listing, error_page, tasks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        reply = _Reply(send)
        try:
            try:
                request = parse_p2p_request(scope)
            except PeerSkyError as error:
                await reply.text(error.http_status, error.message, _allowed(error))
                return
            await self._serve(request, receive, reply)
        except Exception:
            if not reply.started:
                await reply.text(500, internal_error().message)
            raise

    async def admit(self, scope: Scope, send: Send) -> bool:
        """Whether a large body, which comes in slices, is worth taking: who may not write is refused here already."""
        try:
            await self._access.check(parse_p2p_request(scope))
        except PeerSkyError as error:
            await _Reply(send).text(error.http_status, error.message, _allowed(error))
            return False
        return True

    async def _serve(self, request: P2PRequest, receive: Receive, reply: _Reply) -> None:
        body = _Body(receive)

        async def work() -> None:
            try:
                await self._access.check(request)
                if request.act is Act.UNPIN and await self._others_share(request):
                    await reply.text(200, "Others published the same from here, so it stays shared for them.")
                else:
                    await self._proxy(request, body, reply)
            except _Gone:
                return
            except PeerSkyError as error:
                if reply.started:
                    # The page sees a broken connection; the log says why.
                    raise
                await self._send_error(request, reply, error)

        try:
            await body.first()
        except _Gone:
            return
        await _until_gone(work, body)

    async def _proxy(self, request: P2PRequest, body: _Body, reply: _Reply) -> None:
        headers = [(name, value) for name, value in request.headers if name != "accept" or not request.wants_html]
        if request.wants_html:
            headers.append(("accept", LISTING_TYPE))
        headers.append(("x-peersky-origin", request.publisher))
        content: Any = None
        if request.act is not Act.READ:
            length = request.sent.get("content-length", "") if body.length is None else str(body.length)
            headers += [("content-length", length)] if length else []
            content = body.pieces(_number(length, _UNKNOWN))
        if request.act is Act.READ and not request.reads_own:
            with self._lookups.looking(request.url, request.asker) as answered:
                async with self._node.send(request.method, request.node_path, headers) as answer:
                    answered()
                    await self._pass_on(request, answer, reply)
        else:
            async with self._node.send(request.method, request.node_path, headers, content) as answer:
                await self._pass_on(request, answer, reply)

    async def _pass_on(self, request: P2PRequest, answer: NodeReply, reply: _Reply) -> None:
        headers = _passed_on(answer)
        if answer.status >= 400:
            refusal = await answer.refusal()
            await self._send_error(request, reply, refusal, [pair for pair in headers if pair[0] in _KEPT_OF_ERRORS])
            return
        if request.act is not Act.READ:
            # What was asked for is done, and is noted even if the program ends now.
            await asyncio.shield(self._tasks.start(self._note(request, answer), "note"))
        if answer.header("content-type").startswith(LISTING_TYPE):
            await self._send_listing(request, answer, reply, headers)
            return
        await reply.start(answer.status, headers)
        left, is_ended = _number(answer.header("content-length"), _UNKNOWN), False
        if request.method != "HEAD":
            async with aclosing(answer.aiter_bytes()) as pieces:
                async for piece in pieces:
                    left -= len(piece)
                    is_ended = left <= 0
                    await reply.body(piece, is_last=is_ended)
        if not is_ended:
            await reply.body(b"", is_last=True)

    async def _send_listing(self, request: P2PRequest, answer: NodeReply, reply: _Reply, headers: Headers) -> None:
        kept = [pair for pair in headers if pair[0] not in ("content-type", "content-length")]
        page = ""
        if request.method != "HEAD":
            entries = json.loads(await answer.read())
            # In a thread: a folder may have 100,000 files.
            page = await asyncio.to_thread(self._listing, request.url, entries)
        await reply.whole(answer.status, page, _HTML, kept)

    async def _send_error(
        self, request: P2PRequest, reply: _Reply, error: PeerSkyError, headers: Headers | None = None
    ) -> None:
        if not request.is_page:
            await reply.text(error.http_status, error.message, headers)
            return
        page = self._error_page(request.url, error.http_status, error.reason, error.message)
        await reply.whole(error.http_status, page, _HTML, headers)

    # --- the ledger

    async def _others_share(self, request: P2PRequest) -> bool:
        """Whether a CID stays shared because others here published it, too; if so, the asker's part is over."""
        who = request.publisher
        if who == USER_NAME or not await self._ledger.publishers(request.root) - {who}:
            return False
        await self._ledger.set_pinned(request.root, False, who)
        return True

    async def _note(self, request: P2PRequest, answer: NodeReply) -> None:
        """What a write that succeeded means for the ledger."""
        root, ledger, who = answer.header("x-peersky-root") or request.root, self._ledger, request.publisher
        match request.act:
            case Act.CREATE:
                if answer.header("x-peersky-root"):
                    await ledger.set_owner(root, who, request.name)
            case Act.FORGET:
                await self._forget_name(request)
            case Act.UNPIN:
                await ledger.set_pinned(request.root, False, None if who == USER_NAME else who)
            case Act.WRITE if request.method == "DELETE":
                if request.path == "/":
                    await ledger.set_pinned(request.root, False)
                    await ledger.disown(request.root)
            case Act.WRITE | Act.ADD if url := answer.header("x-peersky-url"):
                await self._record(request, url, root, answer)

    async def _forget_name(self, request: P2PRequest) -> None:
        for key in await self._ledger.names(request.publisher):
            if key.name == request.name and key.root.startswith(f"{request.scheme}:"):
                await self._ledger.set_pinned(key.root, False)
                await self._ledger.disown(key.root)

    async def _record(self, request: P2PRequest, url: str, root: str, answer: NodeReply) -> None:
        owner = await self._ledger.owner(root) if request.act is Act.WRITE else None
        names = [key.name for key in await self._ledger.names(owner) if key.root == root] if owner else []
        publication = Publication(
            url,
            root,
            request.said(TITLE_HEADER) or (names[0] if names else request.file),
            request.publisher,
            app=request.said(APP_HEADER) if request.asker.origin.is_internal else "",
            bytes=_number(answer.header("x-peersky-bytes")),
            files=_number(answer.header("x-peersky-files"), 1),
            model=request.said(MODEL_HEADER),
        )
        try:
            await self._ledger.record(publication)
        except PeerSkyError as error:
            # It is published; that the list lacks it is no reason to tell the page that it is not.
            _logger.warning("What was published at %s is not in the archive: %s", url, error.message)


class _Gone(Cancelled):
    """The page went away in the middle of its request."""


class _Body:
    """The request's body: read as fast as the node takes it, and by nobody else than one reader."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._first = b""
        self.length: int | None = None
        """Its length in bytes, where it came in one piece."""
        self.consumed = asyncio.Event()
        self.is_handed_over = False
        """Whether the node may have all of it: what it does then, it does whether the page is there or not."""

    async def first(self) -> None:
        """Take the first piece."""
        self._first, more = await self._next()
        if not more:
            self.length = len(self._first)
            self.consumed.set()

    async def pieces(self, length: int) -> AsyncIterator[bytes]:
        """All of it; ``length`` bytes, if that many come."""
        piece, passed = self._first, 0
        while True:
            passed += len(piece)
            self.is_handed_over = self.consumed.is_set() or passed >= length
            yield piece
            if self.consumed.is_set():
                return
            piece, more = await self._next()
            if not more:
                self.consumed.set()

    async def until_gone(self) -> None:
        """Return when the page has gone away; what is left of the body belongs to its reader."""
        await self.consumed.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _next(self) -> tuple[bytes, bool]:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise _Gone("The page went away.")
        return message.get("body", b""), message.get("more_body", False)


class _Reply:
    """The reply, as ASGI wants it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def start(self, status: int, headers: Headers) -> None:
        self.started = True
        named = [*headers, ("x-content-type-options", "nosniff")]
        raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in named]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def body(self, piece: bytes, *, is_last: bool) -> None:
        await self._send({"type": "http.response.body", "body": piece, "more_body": not is_last})

    async def whole(self, status: int, text: str, content_type: str, headers: Headers | None = None) -> None:
        data = text.encode("utf-8", "replace")
        own = [("content-type", content_type), ("content-length", str(len(data)))]
        await self.start(status, [*(headers or []), *own])
        await self.body(data, is_last=True)

    async def text(self, status: int, sentence: str, headers: Headers | None = None) -> None:
        await self.whole(status, sentence, _TEXT, [*(headers or []), ("cache-control", "no-store")])


async def _until_gone(work: Callable[[], Coroutine[Any, Any, None]], body: _Body) -> None:
    """Do the work; cancel it as soon as the page goes away, but for a write that the node may have done already."""

    async def watch() -> None:
        await body.until_gone()
        if not body.is_handed_over:
            working.cancel()

    async with asyncio.TaskGroup() as group:
        working = group.create_task(work())
        watching = group.create_task(watch())
        working.add_done_callback(lambda _: watching.cancel())


def _passed_on(answer: NodeReply) -> Headers:
    return [
        (name, value)
        for name, value in answer.headers
        if name not in _NOT_PASSED_ON
        and not name.startswith(OWN_HEADERS)
        and (name != "location" or _stays_outside(value))
    ]


def _stays_outside(location: str) -> bool:
    """Whether an address is one that a peer may send a page to: none of the browser's own pages, for a start."""
    scheme, separator, _ = location.partition(":")
    return not separator or "/" in scheme or parse_origin(location).scheme in P2P_SCHEMES


def _allowed(error: PeerSkyError) -> Headers:
    return [("allow", ", ".join(error.allowed))] if isinstance(error, WrongMethod) else []


def _number(text: str, default: int = 0) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else default
