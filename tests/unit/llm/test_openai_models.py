"""Lists of models in the shapes that servers send."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peersky.llm.openai_models import read_models

OPENROUTER = {
    "id": "anthropic/claude-4.5-sonnet",
    "name": "Anthropic: Claude Sonnet 4.5",
    "context_length": 1_000_000,
    "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
    "pricing": {"prompt": "0.000003", "completion": "0.000015"},
    "supported_parameters": ["tools", "reasoning", "temperature"],
}


def test_openrouter() -> None:
    [info] = read_models({"data": [OPENROUTER]}, "openai") or []
    assert (info.name, info.context_length, info.note) == (
        "anthropic/claude-4.5-sonnet",
        1_000_000,
        "Anthropic: Claude Sonnet 4.5",
    )
    assert info.capabilities == {"completion", "vision", "tools", "thinking"}
    assert info.price == "$3.00 in, $15.00 out per million tokens"


@pytest.mark.parametrize(
    ("pricing", "price"),
    [
        ({"prompt": "0", "completion": "0"}, "free"),
        ({"prompt": "0.00000015", "completion": "0.0000006"}, "$0.15 in, $0.60 out per million tokens"),
        ({"prompt": "0.000000001", "completion": "0.0006"}, "$0.0010 in, $600.00 out per million tokens"),
        ({"prompt": "-1", "completion": "-1"}, ""),
        ({"prompt": "x"}, ""),
        ({"prompt": "nan", "completion": "inf"}, ""),
        (None, ""),
    ],
)
def test_prices_as_people_compare_them(pricing: Any, price: str) -> None:
    [info] = read_models({"data": [{**OPENROUTER, "pricing": pricing}]}, "openai") or []
    assert info.price == price


@pytest.mark.parametrize(
    ("entry", "context_length", "capabilities"),
    [
        ({"id": "m"}, 0, {"completion"}),
        ({"id": "m", "max_model_len": 8192}, 8192, {"completion"}),
        ({"id": "m", "meta": {"n_ctx_train": 32768}}, 32768, {"completion"}),
        ({"id": "m", "context_window": 131072}, 131072, {"completion"}),
        (
            {"id": "m", "type": "vlm", "max_context_length": 4096, "capabilities": ["tool_use"]},
            4096,
            {"completion", "vision", "tools"},
        ),
        ({"id": "m", "type": "llm", "max_context_length": 9, "loaded_context_length": 5}, 5, {"completion"}),
        ({"id": "m", "type": "embeddings"}, 0, {"embedding"}),
        ({"id": "m", "capabilities": {"vision": True, "function_calling": False}}, 0, {"completion", "vision"}),
        ({"id": "m", "model_info": {"max_input_tokens": 7, "supports_vision": True}}, 7, {"completion", "vision"}),
        ({"id": "m", "context_length": True, "capabilities": 5, "meta": []}, 0, {"completion"}),
        ({"id": "models/m", "inputTokenLimit": 3}, 3, {"completion"}),
        ({"name": "m"}, 0, {"completion"}),
        ({"model": "m", "name": 5}, 0, {"completion"}),
    ],
)
def test_others(entry: dict[str, Any], context_length: int, capabilities: set[str]) -> None:
    for body in ({"object": "list", "data": [entry]}, {"models": [entry]}, [entry]):
        [info] = read_models(body, "openai") or []
        assert (info.name, info.context_length, info.capabilities) == ("m", context_length, capabilities)


@pytest.mark.parametrize("body", [None, {}, {"data": 5}, "text", 7])
def test_what_is_no_list(body: Any) -> None:
    assert read_models(body, "openai") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["data", "id", "name", "pricing", "prompt", "architecture", "capabilities", "meta", "type"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_server_can_break_the_list(body: Any) -> None:
    for info in read_models(body, "openai") or []:
        assert info.name
