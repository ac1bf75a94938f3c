"""A question in OpenAI's form, for servers that differ, and what their refusals teach."""

from __future__ import annotations

from typing import Any

import pytest

from peersky.core.base_url import parse_base_url
from peersky.core.chat import ChatRequest
from peersky.llm.openai_request import Quirks, chat_payload, refused_option
from tests.unit.llm.provider_home import TOOL, ask_for

OPENROUTER = parse_base_url("https://openrouter.ai")
OPENAI = parse_base_url("https://api.openai.com/v1")
OTHER = parse_base_url("http://127.0.0.1:1234/v1")


def payload(base: Any, request: ChatRequest) -> dict[str, Any]:
    return chat_payload("m", request, base, Quirks.expected(base))


@pytest.mark.parametrize(
    ("think", "sent"),
    [("low", {"effort": "low"}), (True, {"enabled": True}), (False, {"enabled": False}), (None, None)],
)
def test_openrouter_has_its_own_word_for_thinking(think: Any, sent: Any) -> None:
    body = payload(OPENROUTER, ask_for(think=think))
    assert body.get("reasoning") == sent
    assert "reasoning_effort" not in body
    assert "reasoning" not in payload(OTHER, ask_for(think=think))


@pytest.mark.parametrize("more", [{"tools": (TOOL,)}, {"response_format": {"type": "json_object"}}])
def test_openrouter_is_told_to_heed_what_was_asked_for(more: dict[str, Any]) -> None:
    assert payload(OPENROUTER, ask_for(**more))["provider"] == {"require_parameters": True}
    assert "provider" not in payload(OPENROUTER, ask_for())
    assert "provider" not in payload(OTHER, ask_for(**more))


@pytest.mark.parametrize(("base", "name"), [(OPENAI, "max_completion_tokens"), (OTHER, "max_tokens")])
def test_the_limit_in_the_words_of_the_server(base: Any, name: str) -> None:
    body = payload(base, ask_for(max_tokens=7))
    assert {key: value for key, value in body.items() if key.startswith("max_")} == {name: 7}


def test_the_conversations_key_stays_here() -> None:
    assert "secret-7" not in str(payload(OPENROUTER, ask_for(conversation="secret-7")))


def test_the_limit_swaps_its_name_once() -> None:
    quirks = Quirks()
    assert quirks.learn("max_tokens")
    assert quirks.limit_field == "max_completion_tokens"
    assert not quirks.learn("max_tokens")
    assert not quirks.learn("max_completion_tokens")
    assert quirks.limit_field == "max_completion_tokens"
    assert quirks.learn("temperature")
    assert not quirks.learn("temperature")


SENT = {"max_tokens": 1, "temperature": 1, "stream_options": {}, "reasoning": {}}


@pytest.mark.parametrize(
    ("body", "option"),
    [
        ({"error": {"message": "x", "param": "max_tokens", "code": "unsupported_parameter"}}, "max_tokens"),
        (
            {
                "error": {
                    "message": "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens'."
                }
            },
            "max_tokens",
        ),
        ({"error": {"message": "Unrecognized request argument supplied: stream_options"}}, "stream_options"),
        ({"detail": [{"loc": ["body", "stream_options"], "type": "extra_forbidden"}]}, "stream_options"),
        ({"error": "`temperature` is deprecated for this model."}, "temperature"),
        ({"error": {"message": "No endpoints found that can handle the requested parameters."}}, "temperature"),
        ({"error": {"message": "x", "param": "top_p"}}, None),
        ({"error": {"message": "max_tokens is too large: 5. This model allows at most 3."}}, None),
        ({"error": {"message": "Unsupported parameter: 'tools'."}}, None),
        ({"error": {"message": 5, "param": ["temperature"]}}, None),
        ("temperature", None),
        (None, None),
    ],
)
def test_which_option_a_refusal_is_about(body: Any, option: str | None) -> None:
    assert refused_option(body, SENT) == option
