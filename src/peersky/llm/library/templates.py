"""What a model of Ollama's brings beside its weights: chat template, system prompt, parameters, first messages.

Ollama's templates are written for Go. Where the weights have no template of their own (they mostly do), llama.cpp would
silently use ChatML; so the family is recognised by the marks in Ollama's template, and its Jinja form is given to the
engine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final


def _fill(template: str, parts: dict[str, str]) -> str:
    """``template`` with ``@name@`` replaced; Jinja itself uses the marks of Python's own ways to do it."""
    for name, text in parts.items():
        template = template.replace(f"@{name}@", text)
    return template


_TURNS: Final = (
    "{%- for message in messages -%}"
    "{{- '@open@' + message.role + '@after@' + message.content + '@close@' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '@open@assistant@after@' -}}{%- endif -%}"
)
"""Every turn alike: role, text, end."""

_BRACKETS: Final = (
    "{%- set ns = namespace(system='') -%}"
    "{%- for message in messages -%}"
    "{%- if message.role == 'system' -%}{%- set ns.system = @system@ -%}"
    "{%- elif message.role == 'user' -%}{{- '@open@' + ns.system + message.content + '@close@' -}}"
    "{%- set ns.system = '' -%}"
    "{%- else -%}{{- @answer@ -}}{%- endif -%}"
    "{%- endfor -%}"
)
"""The system prompt stands within the first question."""

_GEMMA: Final = (
    "{%- set ns = namespace(system='') -%}"
    "{{- bos_token -}}"
    "{%- for message in messages -%}"
    "{%- if message.role == 'system' -%}{%- set ns.system = message.content + '\\n\\n' -%}"
    "{%- else -%}"
    "{%- set role = 'model' if message.role == 'assistant' else 'user' -%}"
    "{{- '<start_of_turn>' + role + '\\n' + (ns.system if role == 'user' else '') + message.content"
    " + '<end_of_turn>\\n' -}}"
    "{%- if role == 'user' -%}{%- set ns.system = '' -%}{%- endif -%}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<start_of_turn>model\\n' -}}{%- endif -%}"
)

_DEEPSEEK: Final = (
    "{{- bos_token -}}"
    "{%- for message in messages -%}"
    "{%- if message.role == 'user' -%}{{- '<｜User｜>' + message.content -}}"
    "{%- elif message.role == 'assistant' -%}{{- '<｜Assistant｜>' + message.content + '<｜end▁of▁sentence｜>' -}}"
    "{%- else -%}{{- message.content -}}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<｜Assistant｜>' -}}{%- endif -%}"
)

_WORDS: Final = (
    "{%- for message in messages -%}"
    "{%- if message.role == 'system' -%}{{- message.content + '\\n\\n' -}}"
    "{%- else -%}{{- ('@user@' if message.role == 'user' else '@assistant@') + message.content + '@close@' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '@assistant@' -}}{%- endif -%}"
)
"""Roles written out as words."""

_MISTRAL: Final = {
    "open": "[INST] ",
    "close": " [/INST]",
    "system": "message.content + '\\n\\n'",
    "answer": "' ' + message.content + eos_token",
}
_LLAMA2: Final = _MISTRAL | {
    "system": "'<<SYS>>\\n' + message.content + '\\n<</SYS>>\\n\\n'",
    "answer": "' ' + message.content + ' ' + eos_token + bos_token",
}

_FAMILIES: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (
        ("<|im_start|>",),
        _fill(_TURNS, {"open": "<|im_start|>", "after": "\\n", "close": "<|im_end|>\\n"}),
    ),
    (
        ("<|start_header_id|>",),
        "{{- bos_token -}}"
        + _fill(_TURNS, {"open": "<|start_header_id|>", "after": "<|end_header_id|>\\n\\n", "close": "<|eot_id|>"}),
    ),
    (("<start_of_turn>",), _GEMMA),
    (("<｜User｜>", "<｜Assistant｜>"), _DEEPSEEK),
    (
        ("<|start_of_role|>",),
        _fill(_TURNS, {"open": "<|start_of_role|>", "after": "<|end_of_role|>", "close": "<|end_of_text|>\\n"}),
    ),
    (
        ("<|user|>", "<|end|>"),
        "{%- for message in messages -%}"
        "{{- '<|' + message.role + '|>\\n' + message.content + '<|end|>\\n' -}}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}",
    ),
    (
        ("<|user|>",),
        "{%- for message in messages -%}"
        "{{- '<|' + message.role + '|>\\n' + message.content + (eos_token if message.role == 'assistant' else '')"
        " + '\\n' -}}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}",
    ),
    (("[INST]", "<<SYS>>"), "{{- bos_token -}}" + _fill(_BRACKETS, _LLAMA2)),
    (("[INST]",), "{{- bos_token -}}" + _fill(_BRACKETS, _MISTRAL)),
    (
        ("### Instruction:",),
        _fill(_WORDS, {"user": "### Instruction:\\n", "assistant": "### Response:\\n", "close": "\\n\\n"}),
    ),
    (("USER:", "ASSISTANT:"), _fill(_WORDS, {"user": "USER: ", "assistant": "ASSISTANT: ", "close": "\\n"})),
)
"""Marks that all occur in Ollama's template, and the Jinja template of that family; the first that fits counts."""

PARAMETERS: Final = {
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "typical_p": "typical_p",
    "repeat_last_n": "repeat_last_n",
    "repeat_penalty": "repeat_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "seed": "seed",
}
"""Ollama's names of options, and llama.cpp's."""

MAX_STOPS: Final = 64


@dataclass(frozen=True, slots=True)
class Extras:
    """What stands beside the weights.

    Attributes:
        chat_template: Jinja source for weights without their own, empty where none is known.
        system: system prompt for conversations that begin without one.
        stop: texts that end an answer.
        parameters: llama.cpp's sampling options, where the request names none.
        messages: an example conversation that goes first.
    """

    chat_template: str = ""
    system: str = ""
    stop: tuple[str, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    messages: tuple[dict[str, Any], ...] = ()


def jinja_of(go_template: str) -> str:
    """The Jinja template of the family that Ollama's template shows; empty where it is of no known family."""
    for marks, jinja in _FAMILIES:
        if all(mark in go_template for mark in marks):
            return jinja
    return ""


def read_extras(layers: dict[str, bytes]) -> Extras:
    """Make sense of the text layers; what makes none is left out: the model answers without it.

    Args:
        layers: content by kind: ``template``, ``prompt``, ``system``, ``params``, ``messages``.
    """
    go_template = layers.get("template") or layers.get("prompt") or b""
    params = _json(layers.get("params"))
    params = params if isinstance(params, dict) else {}
    stop = params.get("stop")
    stops = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    messages = _json(layers.get("messages"))
    return Extras(
        chat_template=jinja_of(go_template.decode("utf-8", "replace")),
        system=layers.get("system", b"").decode("utf-8", "replace").strip(),
        stop=tuple(text for text in stops[:MAX_STOPS] if isinstance(text, str) and text),
        parameters={
            name: params[theirs]
            for theirs, name in PARAMETERS.items()
            if isinstance(params.get(theirs), (int, float)) and not isinstance(params[theirs], bool)
        },
        messages=tuple(
            {"role": message["role"], "content": message["content"]}
            for message in (messages if isinstance(messages, list) else [])
            if isinstance(message, dict)
            and message.get("role") in ("system", "user", "assistant")
            and isinstance(message.get("content"), str)
        ),
    )


def _json(raw: bytes | None) -> Any:
    try:
        return json.loads(raw) if raw else None
    except (ValueError, RecursionError):
        return None
