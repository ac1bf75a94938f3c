"""What an Ollama server tells of its models, and what follows for a request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from peersky.core.chat import ChatRequest
from peersky.core.errors import NotSupported


@dataclass(frozen=True, slots=True)
class Known:
    """What the server told of a model.

    Attributes:
        capabilities: in Ollama's words; None where it did not tell.
        context_length: the model's own.
        is_remote: it runs on Ollama's computers.
    """

    capabilities: frozenset[str] | None
    context_length: int
    is_remote: bool


def possible(model: str, request: ChatRequest, capabilities: frozenset[str]) -> ChatRequest:
    """The request, without what is only a default and the model cannot do.

    Raises:
        NotSupported: the model cannot do what is asked for.
    """
    if "completion" not in capabilities:
        raise NotSupported(f"The model {model} cannot chat. Choose another model.")
    if request.tools and "tools" not in capabilities:
        raise NotSupported(f"The model {model} cannot call tools. Choose another model.", param="tools")
    if "vision" not in capabilities and _has_images(request):
        raise NotSupported(f"The model {model} cannot see images. Choose a model with vision.", param="messages")
    if request.think and "thinking" not in capabilities:
        if not request.think_if_possible:
            raise NotSupported(f"The model {model} cannot think first; leave the option think out.", param="think")
        return replace(request, think=None)
    return request


def _has_images(request: ChatRequest) -> bool:
    contents = [message["content"] for message in request.messages]
    return any(part["type"] != "text" for content in contents if isinstance(content, list) for part in content)


def model_name(entry: Mapping[str, Any]) -> str:
    """The name in an entry of the list, empty where it has none."""
    name = entry.get("model") or entry.get("name")
    return name if isinstance(name, str) else ""


def own_context_length(model_info: Any) -> int:
    """The model's own context in ``model_info`` of ``/api/show``; 0 where it does not tell."""
    if not isinstance(model_info, Mapping):
        return 0
    return whole(model_info.get(f"{model_info.get('general.architecture')}.context_length"))


def whole(value: Any) -> int:
    """``value`` where it is a positive whole number, else 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
