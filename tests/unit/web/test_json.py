"""JSON in and out: texts of JavaScript that have no UTF-8 form, and bodies that are not what JSON says."""

from __future__ import annotations

import json

import pytest

from peersky.core.errors import InvalidRequest, NotSupported
from peersky.web.errors import error_response
from peersky.web.json_reply import JSONResponse, json_bytes
from peersky.web.requests import json_value

HALF = "\ud83d"


def test_half_an_emoji_as_an_escape_becomes_the_character_for_the_unknown() -> None:
    assert json_value(b'{"a": ["\\ud83d", "\\ud83d\\ude00", "b"]}') == {"a": ["\ufffd", "😀", "b"]}


@pytest.mark.parametrize(
    "body",
    [
        # Found by reading what the fuzz tests led to: json.loads() of bytes lets each of these through.
        b'"\xed\xa0\xbd"',
        json.dumps(HALF).encode("utf-16"),
        json.dumps(HALF).encode("utf-32-le"),
        b'"\xff"',
        b"[" * 100_000,
        b'["\\ud83d", ' + b"[" * 100_000,
        b"9" * 5000,
        b"",
        b"{",
    ],
)
def test_what_is_no_json_in_utf_8_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        json_value(body)
    assert caught.value.reason == "invalid_json"


def test_a_byte_order_mark_does_no_harm() -> None:
    assert json_value(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_a_reply_holds_half_an_emoji_as_an_escape() -> None:
    """A server's list of models, and an error that quotes what was asked for: this was a reply that broke off."""
    assert json_bytes({"a": "ü😀"}) == '{"a":"ü😀"}'.encode()
    assert json_bytes({"a": HALF}) == b'{"a":"\\ud83d"}'
    assert JSONResponse([HALF]).body == b'["\\ud83d"]'
    reply = error_response(NotSupported(f"There is no provider {HALF}."))
    assert json.loads(bytes(reply.body))["error"]["message"] == f"There is no provider {HALF}."
