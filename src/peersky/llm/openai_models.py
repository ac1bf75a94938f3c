"""Lists of models as OpenAI-compatible servers really send them. Pure.

OpenAI's own says names only. What others add, each in its own words, is read here: OpenRouter, vLLM, llama.cpp's
server, LM Studio, Groq, Mistral, LiteLLM.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from peersky.core.chat import ModelInfo

MAX_MODELS: Final = 20_000
_MILLION: Final = 1_000_000

_CONTEXT_FIELDS: Final = (
    "context_length",  # OpenRouter, Together
    "max_model_len",  # vLLM
    "loaded_context_length",  # LM Studio
    "max_context_length",  # LM Studio, Mistral
    "context_window",  # Groq
    "max_input_tokens",  # LiteLLM
    "inputTokenLimit",  # Gemini
)


def read_models(body: Any, provider: str) -> list[ModelInfo] | None:
    """The models that a reply to ``GET /models`` lists; None where it is no such list.

    ``capabilities`` are those that the server tells; a server that tells none is believed to chat.
    """
    entries = body
    if isinstance(body, Mapping):
        entries = body.get("data") if isinstance(body.get("data"), list) else body.get("models")
    if not isinstance(entries, list):
        return None
    found = [_model(entry, provider) for entry in entries[:MAX_MODELS] if isinstance(entry, Mapping)]
    return [info for info in found if info.name]


def _model(entry: Mapping[str, Any], provider: str) -> ModelInfo:
    name = next((entry[key] for key in ("id", "name", "model") if isinstance(entry.get(key), str)), "")
    return ModelInfo(
        name=name.removeprefix("models/"),  # Gemini
        provider=provider,
        capabilities=_capabilities(entry),
        context_length=_context_length(entry),
        note=_note(entry, name),
        price=_price(entry.get("pricing")),
    )


def _note(entry: Mapping[str, Any], name: str) -> str:
    shown = entry.get("display_name") or entry.get("name")
    return shown[:200] if isinstance(shown, str) and shown != name else ""


def _context_length(entry: Mapping[str, Any]) -> int:
    places = [entry, *(entry.get(key) for key in ("top_provider", "meta", "model_info"))]
    for place in places:
        if isinstance(place, Mapping):
            for key in (*_CONTEXT_FIELDS, "n_ctx", "n_ctx_train"):
                if found := _whole(place.get(key)):
                    return found
    return 0


def _capabilities(entry: Mapping[str, Any]) -> frozenset[str]:
    found = {"completion"}
    words = _words(entry)
    rules = {
        "vision": {"image", "vision", "multimodal", "vlm", "supports_vision"},
        "tools": {"tools", "tool_use", "function_calling", "supports_function_calling"},
        "thinking": {"reasoning", "include_reasoning", "reasoning_effort", "supports_reasoning", "thinking"},
        "embedding": {"embedding", "embeddings"},
    }
    found |= {capability for capability, names in rules.items() if words & names}
    kind = entry.get("type")
    if kind in ("embedding", "embeddings") or _outputs(entry) == {"embeddings"}:
        found = {"embedding"}
    return frozenset(found)


def _words(entry: Mapping[str, Any]) -> set[str]:
    """Everything that an entry says its model can do."""
    architecture = entry.get("architecture")
    told: list[Any] = [
        entry.get("supported_parameters"),
        entry.get("capabilities"),
        entry.get("model_info"),
        entry.get("type"),
        architecture.get("input_modalities") if isinstance(architecture, Mapping) else None,
        entry.get("input_modalities"),
    ]
    words: set[str] = set()
    for value in told:
        match value:
            case str():
                words.add(value)
            case list():
                words |= {word for word in value if isinstance(word, str)}
            case Mapping():
                words |= {str(word) for word, yes in value.items() if yes is True}
    return words


def _outputs(entry: Mapping[str, Any]) -> set[str]:
    architecture = entry.get("architecture")
    outputs = architecture.get("output_modalities") if isinstance(architecture, Mapping) else None
    return {str(word) for word in outputs} if isinstance(outputs, list) else set()


def _price(pricing: Any) -> str:
    """OpenRouter's prices, in dollars a token, as people compare them."""
    if not isinstance(pricing, Mapping):
        return ""
    prices = [_dollars(pricing.get(key)) for key in ("prompt", "completion")]
    if None in prices:
        return ""
    read, written = (price or 0.0 for price in prices)
    if not read and not written:
        return "free"
    return f"${_money(read)} in, ${_money(written)} out per million tokens"


def _dollars(value: Any) -> float | None:
    try:
        price = float(value) * _MILLION
    except (TypeError, ValueError):
        return None
    # A router that only knows the price afterwards says -1.
    return price if math.isfinite(price) and price >= 0 else None


def _money(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= 0.01 or not amount else f"{amount:.4f}"


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
