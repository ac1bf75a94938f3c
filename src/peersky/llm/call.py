"""One call to the API of a model server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from peersky.llm.http import Limits


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked of the server.

    Attributes:
        method: HTTP method.
        path: below the server's base URL, from its slash on.
        payload: sent as JSON; None for no body.
        model: which model sentences about an error name; empty where it is about none.
        limits: how long it may take; None for what costs the server a moment only.
    """

    method: str
    path: str
    payload: Mapping[str, Any] | None = None
    model: str = ""
    limits: Limits | None = None
