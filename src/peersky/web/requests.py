"""What the JSON APIs of internal pages read from a request."""

from __future__ import annotations

import json
from typing import Any, Final

from starlette.requests import Request

from peersky.core.errors import BodyTooLarge, InvalidRequest
from peersky.llm.memory_entry import clean_text

MAX_API_BODY_BYTES: Final = 1 << 20


async def json_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        BodyTooLarge: over :data:`MAX_API_BODY_BYTES`.
        InvalidRequest: no JSON, or no object.
    """
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_API_BODY_BYTES:
            raise BodyTooLarge(
                f"A request to an internal page may have at most {MAX_API_BODY_BYTES} bytes.",
                requested=len(body),
                quota=MAX_API_BODY_BYTES,
            )
    value = json_value(body)
    if not isinstance(value, dict):
        raise InvalidRequest("The request must be a JSON object.")
    return value


def json_value(body: bytes | bytearray) -> Any:
    """The JSON of a body in UTF-8.

    Half a surrogate pair, which JavaScript's strings may hold as an escape, becomes U+FFFD: it has no UTF-8 form, so
    neither a back end nor a database nor a file could take it.

    Raises:
        InvalidRequest: ``invalid_json``.
    """
    try:
        text = body.decode("utf-8-sig")
        value = json.loads(text)
        return json.loads(clean_text(json.dumps(value, ensure_ascii=False))) if "\\u" in text else value
    except ValueError:
        raise InvalidRequest("The request is not valid JSON.", reason="invalid_json") from None
    except RecursionError:
        raise InvalidRequest("The request is nested too deeply.", reason="invalid_json") from None


def text_of(body: dict[str, Any], name: str, default: str | None = None) -> str:
    """A text of a JSON object.

    Raises:
        InvalidRequest: it is missing and has no default, or is no text.
    """
    value = body.get(name, default)
    if not isinstance(value, str):
        raise InvalidRequest(f"The option {name} must be a text.", param=name)
    return value
