"""Who sent a request: read from the ASGI scope, where only the scheme adapter and the control socket can put it.

``scope["extensions"]["peersky"]`` holds an :class:`Asker`. Headers never do: a page can send those.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from peersky.core.origins import OPAQUE, USER, Origin

EXTENSION: Final = "peersky"
Scope = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asker:
    """The origin that asks, and what the request's stamp said.

    Attributes:
        origin: the page, frame or worker that asked, as the browser process told it.
        top: origin of the tab's top page; None without a valid stamp.
        resource: what the reply is for, from the stamp: ``main-frame``, ``sub-frame``, ``script``, ``style``,
            ``image``, ``font``, ``media``, ``object``, ``xhr`` (fetch too), ``prefetch``, ``other``; empty without one.
    """

    origin: Origin
    top: Origin | None = None
    resource: str = ""

    @property
    def is_navigation(self) -> bool:
        """Whether the reply becomes the tab's page."""
        return self.resource == "main-frame"


NOBODY: Final = Asker(OPAQUE)
COMMAND_LINE: Final = Asker(USER, USER, "xhr")


def asker_of(scope: Scope) -> Asker:
    """Who sent the request of this scope; :data:`NOBODY` where nothing vouches for it."""
    found = (scope.get("extensions") or {}).get(EXTENSION)
    return found if isinstance(found, Asker) else NOBODY


def with_asker(scope: Scope, asker: Asker) -> Scope:
    """A copy of the scope that says who asks."""
    return {**scope, "extensions": {**(scope.get("extensions") or {}), EXTENSION: asker}}
