"""Publishes a file or folder for the user: from the window's menu and from the command line."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from peersky.core.errors import PeerSkyError
from peersky.p2p.ledger import Publication

if TYPE_CHECKING:
    from peersky.p2p.ledger import Ledger

_log = logging.getLogger(__name__)

USER: Final = "user"
"""Whose it is: the user's own, no page's."""

Network = Literal["hyper", "ipfs"]


class Node(Protocol):
    """What is needed of :class:`~peersky.p2p.node.P2PNode`."""

    def lines(self, method: str, path: str, value: Any = None) -> AsyncGenerator[dict[str, Any], None]: ...


async def publish(
    node: Node, ledger: Ledger, path: Path, to: Network, name: str = "", app: str = ""
) -> AsyncGenerator[dict[str, Any], None]:
    """Publish what is on disk, and note it in the ledger before the last line is given.

    Closing the generator before its end cancels: nothing is published then.

    Args:
        path: an absolute path.
        name: of the drive for ``hyper``, where the same name is the same drive; a label for ``ipfs``. Empty: the
            path's last part.
        app: name of the app that this is, where it is one; it stands in the ledger, as the publication's name too.

    Yields:
        How far it is: ``done`` and ``total`` in bytes, ``files``, ``totalFiles``, ``file``; at last ``url``, ``root``,
        ``bytes``, ``files`` and perhaps ``skipped``.

    Raises:
        PeerSkyError: the node cannot be started, or refused.
    """
    name = name or path.name
    order = {"path": str(path), "to": to, "name": name, "origin": USER}
    async with aclosing(node.lines("POST", "/node/publish", order)) as lines:
        async for line in lines:
            if "url" in line:
                await _note(ledger, line, name, app)
            yield line


async def _note(ledger: Ledger, line: dict[str, Any], name: str, app: str) -> None:
    url, root = str(line["url"]), str(line.get("root") or line["url"])
    size, files = int(line.get("bytes") or 0), int(line.get("files") or 0)
    try:
        if root.startswith("hyper:"):
            await ledger.set_owner(root, USER, name)
        await ledger.record(Publication(url, root, app or name, USER, app=app, bytes=size, files=files))
    except PeerSkyError as error:
        # It is published; that the list lacks it is no reason to say that it is not.
        _log.warning("What was published at %s is not in the archive: %s", url, error.message)
