"""A value as JSON in a reply, whatever texts it holds."""

from __future__ import annotations

import json
from typing import Any

from starlette import responses


def json_bytes(value: Any) -> bytes:
    """Compact JSON in UTF-8.

    Half a surrogate pair, from a server that cut an emoji in two or that lies, has no UTF-8 form, but an escape.
    """
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


class JSONResponse(responses.JSONResponse):
    """Starlette's, which has no reply for such texts."""

    def render(self, content: Any) -> bytes:
        return json_bytes(content)
