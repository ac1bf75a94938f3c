"""The tree of errors: every class has a reason, a status and a DOMException's name, and the drawing is complete."""

from __future__ import annotations

import json
import re

import pytest

from peersky.core import errors
from peersky.core.errors import BodyTooLarge, InvalidRequest, PeerSkyError, QuotaExceeded

CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, PeerSkyError)]

DOM_EXCEPTIONS = {
    "AbortError",
    "NetworkError",
    "NotAllowedError",
    "NotFoundError",
    "NotReadableError",
    "NotSupportedError",
    "OperationError",
    "QuotaExceededError",
    "TypeError",
}


@pytest.mark.parametrize("kind", CLASSES)
def test_a_page_learns_name_reason_and_sentence(kind: type[PeerSkyError]) -> None:
    shown = json.loads(json.dumps(kind("A sentence.", param="option").as_object()))
    assert shown["message"] == "A sentence."
    assert shown["param"] == "option"
    assert shown["name"] in DOM_EXCEPTIONS
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", shown["code"])
    assert 400 <= kind.http_status <= 599


@pytest.mark.parametrize("kind", CLASSES)
def test_the_reason_can_be_narrowed_and_the_sentence_is_the_text(kind: type[PeerSkyError]) -> None:
    error = kind("A sentence.", reason="closer_reason")
    assert error.reason == error.as_object()["code"] == "closer_reason"
    assert str(error) == "A sentence."


def test_a_quota_tells_what_was_asked_and_what_there_is() -> None:
    shown = BodyTooLarge("Too large.", requested=7, quota=5).as_object()
    assert (shown["requested"], shown["quota"], shown["name"]) == (7, 5, "QuotaExceededError")
    assert QuotaExceeded("None left.").as_object()["requested"] is None


def test_catching_the_base_catches_all_and_nothing_of_pythons_own() -> None:
    assert all(issubclass(kind, PeerSkyError) for kind in CLASSES)
    assert not issubclass(InvalidRequest, TypeError)


@pytest.mark.parametrize("kind", CLASSES[1:])
def test_the_drawn_tree_has_every_class_under_its_parent_with_its_name_in_the_page(kind: type[PeerSkyError]) -> None:
    lines = (errors.__doc__ or "").splitlines()
    at = next((n for n, line in enumerate(lines) if re.search(rf"── {kind.__name__}\b", line)), None)
    assert at is not None, f"{kind.__name__} is not drawn"
    parent = kind.__mro__[1]
    if parent is not PeerSkyError:
        assert issubclass(parent, PeerSkyError)
        above = next(n for n, line in enumerate(lines) if re.search(rf"── {parent.__name__}\b", line))
        assert above < at
        assert lines[at].startswith(("│   ", "    "))
        assert kind.dom_name == parent.dom_name
    else:
        assert kind.dom_name in lines[at]
