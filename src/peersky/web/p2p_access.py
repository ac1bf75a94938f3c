"""Who may do what on ``hyper:``, ``ipfs:`` and ``ipns:``: trust, the user's consent, and whose a drive or a name is.

Every request passes :meth:`Access.check` before anything is asked of the P2P node. What may be written is what the
asker is, made, or published itself; reading never changes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from peersky.core.errors import NotAllowed, PeerSkyError
from peersky.core.origins import USER, Origin
from peersky.core.sizes import size_text
from peersky.core.trust import PUBLISH, Answer, Policy, Publish, ReadP2P, is_trusted, may
from peersky.system.site_records import Event, Note
from peersky.web.p2p_request import Act, P2PRequest, is_key

if TYPE_CHECKING:
    from peersky.p2p.ledger import Ledger
    from peersky.p2p.permissions import Publishers

_LONGEST_NAME: Final = 80
_LONGEST_ADDRESS: Final = 300
_OWNED: Final = ("hyper", "ipns")
"""What has an owner. A CID has none: it is what it holds."""


class Access:
    """Lets requests pass, or refuses them.

    Args:
        policy: what the user decided about origins, read at every request.
        publishers: asks the user, and remembers.
        ledger: knows who made what.
        note: told who asked to write, and whether that was allowed.
    """

    def __init__(
        self,
        policy: Callable[[], Policy],
        publishers: Publishers,
        ledger: Ledger,
        note: Note = lambda _event: None,
    ) -> None:
        self._policy, self._publishers, self._ledger, self._note = policy, publishers, ledger, note

    async def check(self, request: P2PRequest) -> None:
        """Return if the request may go on; the user may be asked before.

        Raises:
            NotAllowed: ``not_trusted``, ``no_stamp``, ``blocked_by_user``, ``declined``, ``not_writable``.
            ProfileUnusable: the ledger or the user's answer cannot be used.
        """
        asker, policy = request.asker, self._policy()
        if request.act is Act.READ:
            if may(asker.origin, ReadP2P(asker.is_navigation), asker.top, policy) is not Answer.YES:
                raise NotAllowed("This site may not load peer-to-peer pages; open them in a tab of their own.")
            return
        try:
            await self._check_write(request, policy)
        except PeerSkyError as error:
            self._note_write(request, error.reason, refused=True)
            raise
        self._note_write(request, "allowed")

    def _note_write(self, request: P2PRequest, outcome: str, *, refused: bool = False) -> None:
        origin, top = request.asker.origin, request.asker.top
        self._note(
            Event(
                str(origin),
                PUBLISH,
                request.act.name.lower(),
                outcome,
                refused,
                "" if top in (None, origin) else str(top),
                merge=refused,
                details={"address": request.url[:_LONGEST_ADDRESS]},
            )
        )

    async def _check_write(self, request: P2PRequest, policy: Policy) -> None:
        asker = request.asker
        if asker.is_navigation:
            # A form that is sent into the tab: no page stands behind it any more that could be asked about.
            raise NotAllowed("A form cannot publish by itself; let the page send it with fetch().")
        own = asker.origin == Origin(request.scheme, request.host) and request.scheme in _OWNED
        answer = may(asker.origin, Publish(own=own), asker.top, policy)
        if answer is Answer.NO:
            raise _refusal(request, policy)
        await self._check_owner(request, own=own)
        if answer is Answer.ASK:
            await self._publishers.check(asker.origin, _wish(request))

    async def _check_owner(self, request: P2PRequest, *, own: bool) -> None:
        if request.act is Act.UNPIN:
            if request.asker.origin != USER and request.publisher not in await self._ledger.publishers(request.root):
                raise _not_yours("Only who published this can stop sharing it.")
        elif request.act is Act.WRITE:
            if not is_key(request.scheme, request.host):
                # Whoever holds the name could make it stand for a drive of somebody else.
                raise _not_yours(f"Write to the key itself: {request.host} is a name that stands for one.")
            if own or request.asker.origin == USER:
                return
            if await self._ledger.owner(request.root) != request.publisher:
                thing = "drive" if request.scheme == "hyper" else "name"
                raise _not_yours(f"This {thing} is not yours to change; publish to one of your own.")


def _not_yours(sentence: str) -> NotAllowed:
    return NotAllowed(sentence, reason="not_writable")


def _refusal(request: P2PRequest, policy: Policy) -> NotAllowed:
    """Why :func:`may` said no."""
    asker = request.asker
    if not is_trusted(asker.origin, policy) or (asker.top is not None and not is_trusted(asker.top, policy)):
        return NotAllowed("This site may not publish; you can add it to the allowed sites in peersky://settings/sites.")
    if asker.top is None:
        return NotAllowed("Workers may not publish; let the page do it.", reason="no_stamp")
    return NotAllowed("You blocked this site.", reason="blocked_by_user")


def _wish(request: P2PRequest) -> str:
    """What the site wants, for the question to the user."""
    thing = {"hyper": "drive", "ipns": "name"}.get(request.scheme, "")
    match request.act:
        case Act.CREATE:
            return f"publish under a {thing} of its own called “{_short(request.name)}”"
        case Act.FORGET:
            return f"delete its name “{_short(request.name)}”"
        case Act.SIGNAL:
            return "send messages to the peers of a drive"
        case Act.UNPIN:
            return "stop sharing what it published"
        case Act.WRITE if request.method == "DELETE":
            return f"delete “{_short(request.file) or 'everything'}” from its {thing}"
    length = request.sent.get("content-length", "")
    size = f" ({size_text(int(length))})" if length.isdecimal() else ""
    if request.sent.get("content-type", "").lower().startswith("multipart/form-data"):
        return f"publish files{size} from your computer"
    return f"publish the file “{_short(request.file)}”{size}" if request.file else f"publish something{size}"


def _short(name: str) -> str:
    plain = "".join(char for char in name if char.isprintable())
    return plain if len(plain) <= _LONGEST_NAME else f"{plain[: _LONGEST_NAME - 1]}…"
