"""Which sites may publish: the user is asked once for each."""

from __future__ import annotations

from peersky.core.origins import Origin
from peersky.core.trust import PUBLISH
from peersky.system.permissions import SitePermissions


class Publishers:
    """The question, in words; what was decided is kept in the store of all decisions.

    Args:
        permissions: asks, and remembers.
    """

    def __init__(self, permissions: SitePermissions) -> None:
        self._permissions = permissions

    async def check(self, origin: Origin, wish: str) -> None:
        """Return if ``origin`` may publish, after asking the user if need be.

        Args:
            wish: what it wants to do, for the question: ``publish the file a.html (2 KB)``.

        Raises:
            NotAllowed: ``declined``, ``blocked_by_user``.
            ProfileUnusable: the answer cannot be stored.
        """
        await self._permissions.check(
            origin,
            PUBLISH,
            f"May this site {wish}, and more later without a question? Everybody who has the link can see what it "
            "publishes.",
            "You did not allow this site to publish; you can change that in peersky://settings/sites.",
        )
