"""What can go wrong with the P2P node, beside what a page did wrong."""

from __future__ import annotations

from peersky.core.errors import BackendFailed, PeerSkyError


class NodeUnavailable(BackendFailed):
    """The P2P node does not run and cannot be started now, or ended in the middle of a request.

    Reasons: ``not_installed``, ``crash_loop``, ``unreachable``, ``interrupted``.
    """

    http_status = 503


class NodeRefused(PeerSkyError):
    """The P2P node answered with an error of its own.

    Args:
        message: its sentence.
        status: its HTTP status.
        reason: from its header ``X-Peersky-Reason``: ``malformed``, ``no_peers``, ``disk_full``…
    """

    def __init__(self, message: str, *, status: int, reason: str) -> None:
        super().__init__(message, reason=reason)
        # One class for all that the node may say.
        self.http_status = status  # type: ignore[misc]
