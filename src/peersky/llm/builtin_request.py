"""A chat request as llama.cpp's server takes it, with what the library has beside the model's weights."""

from __future__ import annotations

from typing import Any, Final

from peersky.core.chat import ChatRequest
from peersky.core.errors import NotSupported
from peersky.llm.library.catalogue import FoundModel
from peersky.llm.library.templates import Extras

SEED_MASK: Final = 0xFFFF_FFFF
"""The engine's seeds have 32 bits."""


def check_possible(model: FoundModel, request: ChatRequest) -> None:
    """Refuse what this model cannot do.

    Raises:
        NotSupported: it cannot chat, call tools or see images; or an image would have to be fetched from somewhere.
    """
    capabilities = model.capabilities
    if "completion" not in capabilities:
        raise NotSupported(f"The model {model.name} makes embeddings and cannot chat. Choose another model.")
    if request.tools and "tools" not in capabilities:
        raise NotSupported(f"The model {model.name} cannot call tools. Choose another model.", param="tools")
    for message in request.messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part.get("type") == "text":
                continue
            if "vision" not in capabilities:
                raise NotSupported(
                    f"The model {model.name} cannot see images. Choose a model with vision.", param="messages"
                )
            # Any other address the engine would fetch by itself, from this computer's place in the network.
            if not str(part.get("image_url", {}).get("url", "")).startswith("data:image/"):
                raise NotSupported(
                    "The built-in engine fetches no images; pass them as data: addresses.", param="messages"
                )


def chat_payload(request: ChatRequest, extras: Extras | None = None) -> dict[str, Any]:
    """The body for llama.cpp's server.

    The conversation's key stays here: as the server's header for it, it would keep abandoned answers alive.

    Args:
        extras: what the library has beside the weights; the request comes before it, but for texts that end an answer,
            which add up.
    """
    extras = extras or Extras()
    messages = list(request.messages)
    before: list[dict[str, Any]] = list(extras.messages)
    if extras.system and not any(message["role"] == "system" for message in messages[:1]):
        before.insert(0, {"role": "system", "content": extras.system})
    elif before and messages and messages[0]["role"] == "system":
        before.insert(0, messages.pop(0))
    payload: dict[str, Any] = {
        **extras.parameters,
        "messages": before + messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
        "cache_prompt": True,
    }
    optional = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": request.max_tokens,
        "stop": list(dict.fromkeys((*request.stop, *extras.stop))) or None,
        "seed": None if request.seed is None else request.seed & SEED_MASK,
        "tools": list(request.tools) or None,
        "tool_choice": request.tool_choice if request.tools else None,
        "response_format": request.response_format,
    }
    payload |= {name: value for name, value in optional.items() if value is not None}
    if request.think is not None:
        payload["chat_template_kwargs"] = {"enable_thinking": bool(request.think)}
        if isinstance(request.think, str):
            payload["reasoning_effort"] = request.think
    return payload
