"""What the user is asked before a page's question: whether it may ask, and whether it may leave this computer."""

from __future__ import annotations

from peersky.core.origins import USER, Origin
from peersky.core.trust import CLOUD, MODEL, Answer, SendToService, UseModel, may
from peersky.system.permissions import SitePermissions


class CloudConsent:
    """The questions about models, in words; what was decided is kept in the store of all decisions.

    Args:
        permissions: asks, and remembers.
    """

    def __init__(self, permissions: SitePermissions) -> None:
        self._permissions = permissions

    def answer(self, origin: Origin, service: Origin | None) -> Answer:
        """Whether a question of ``origin`` may be answered as things stand.

        Args:
            service: where it goes; None: it stays on this computer.
        """
        if origin == USER:
            return Answer.YES
        policy = self._permissions.policy()
        answers = {may(origin, UseModel(), origin, policy)}
        if service is not None:
            answers.add(may(origin, SendToService(str(service)), origin, policy))
        return next(answer for answer in (Answer.NO, Answer.ASK, Answer.YES) if answer in answers)

    async def check(self, origin: Origin, service: Origin | None) -> None:
        """Return if a question of ``origin`` may be answered, after asking the user if need be.

        The browser's own pages and the user in person are not asked: the user chose the service.

        Raises:
            NotAllowed: ``declined``, ``blocked_by_user``.
            ProfileUnusable: the answer cannot be stored.
        """
        if origin == USER:
            return
        await self._permissions.check(
            origin,
            MODEL,
            "May this site ask your model?",
            "You did not allow this page to ask your model; you can change that in peersky://settings/sites.",
        )
        if service is not None:
            await self._permissions.check(
                origin,
                CLOUD,
                f"May this page send its questions to {service.host}? They leave this computer, "
                "and the service may charge you for them.",
                f"You did not allow this page to send questions to {service.host}; "
                "you can change that in peersky://settings/sites.",
                str(service),
            )
