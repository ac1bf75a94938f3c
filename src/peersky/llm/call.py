"""One call to the API of a model server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from peersky.llm.http import Limits

ASK_WAIT_S: Final = 30.0
"""Longest pause before a question's second try."""

LOOK_WAIT_S: Final = 1.0
"""The same while a person looks at a form: what is wrong is to be said at once."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked of the server.

    Attributes:
        method: HTTP method.
        path: below the server's base URL, from its slash on.
        payload: sent as JSON; None for no body.
        model: which model sentences about an error name; empty where it is about none.
        limits: how long it may take; None for what costs the server a moment only.
        longest_wait_s: longest pause before a second try. A server that wants to be left alone for longer is not asked
            again: the error says how long.
    """

    method: str
    path: str
    payload: Mapping[str, Any] | None = None
    model: str = ""
    limits: Limits | None = None
    longest_wait_s: float = ASK_WAIT_S
