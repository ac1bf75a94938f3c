"""The OpenAPI descriptions of ``docs/openapi``, and requests that are made from them by schemathesis."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from requests import PreparedRequest, Request
from schemathesis import Case, Response
from schemathesis.core.result import Ok
from schemathesis.openapi import from_dict, from_path
from schemathesis.schemas import APIOperation, BaseSchema

from tests.asgi.client import Reply

FOLDER: Final = Path(__file__).parents[2] / "docs" / "openapi"
NAMES: Final = ("llm", "peersky", "control")

Operation = APIOperation[Any, Any, Any, Any]
AnyCase = Case[Any]

EVENTS: Final = "text/event-stream"
HALF: Final = "\ud83d"
"""Half of a surrogate pair, which strings of JavaScript may hold, and which has no UTF-8 form."""


def described(name: str) -> dict[str, Any]:
    """The description as it stands in ``docs/openapi``."""
    found = from_path(FOLDER / f"{name}.yaml").raw_schema
    assert isinstance(found, dict)
    return found


def server(name: str) -> str:
    """What the paths of a description are appended to, ``peersky:/``."""
    return str(described(name)["servers"][0]["url"])


def operations(name: str) -> list[Operation]:
    """What a description offers, with replies that may hold nothing that is not described."""
    raw = described(name)
    _close(raw["components"]["responses"], raw)
    for path in raw["paths"].values():
        for operation in path.values():
            _close(operation["responses"], raw)
    schema: BaseSchema = from_dict(raw)
    return [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]


def _close(value: Any, raw: dict[str, Any]) -> None:
    """Let objects below ``value`` have no properties but those that are described."""
    if isinstance(value, list):
        for one in value:
            _close(one, raw)
    elif isinstance(value, dict):
        if "properties" in value and "additionalProperties" not in value:
            value["additionalProperties"] = False
        for name, one in value.items():
            if name != "$ref":
                _close(one, raw)
            elif one.startswith("#/components/schemas/"):
                _close_named(raw["components"]["schemas"][one.rpartition("/")[2]], raw)


def _close_named(schema: dict[str, Any], raw: dict[str, Any]) -> None:
    if not schema.get("x-closed"):
        schema["x-closed"] = True
        _close(schema, raw)


def ask_for_events(case: AnyCase) -> None:
    """Ask as a page does that wants a stream, where there is one."""
    answer = case.operation.definition.raw["responses"].get("200", {})
    if EVENTS in answer.get("content", {}):
        case.headers["accept"] = EVENTS
        if isinstance(case.body, dict):
            case.body = {**case.body, "stream": True}


def tear(case: AnyCase) -> None:
    """Put half a surrogate pair into the first text of the body."""
    if isinstance(case.body, dict):
        for name, value in case.body.items():
            if isinstance(value, str) and name != "action":
                case.body = {**case.body, name: value + HALF}
                return


def prepared(case: AnyCase) -> PreparedRequest:
    """The request as it would go over the wire."""
    if isinstance(case.body, (dict, list)) and HALF in json.dumps(case.body, ensure_ascii=False):
        case.body = json.dumps(case.body).encode()
    options = case.as_transport_kwargs(base_url="http://here")
    return Request(**options).prepare()


def sent(request: PreparedRequest, base: str) -> tuple[str, dict[str, Any]]:
    """Address and options for :meth:`World.ask`.

    Args:
        base: of :func:`server`.
    """
    parts = urlsplit(str(request.url))
    body = request.body or b""
    assert isinstance(body, (str, bytes))
    content = body.encode() if isinstance(body, str) else body
    query = f"?{parts.query}" if parts.query else ""
    return f"{base}{parts.path}{query}", {"headers": dict(request.headers), "content": content}


def response(reply: Reply, request: PreparedRequest) -> Response:
    """A reply as schemathesis checks it."""
    headers = {name: [value] for name, value in reply.headers.items()}
    return Response(reply.status, headers, reply.body, request, 0, verify=False, stream_cut_short=not reply.is_whole)
