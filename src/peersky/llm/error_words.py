"""What servers say when a question cannot be answered, read for what it means. Pure; for every protocol.

Servers have few codes and many sentences. A sentence that none of these rules knows is passed on as it is.
"""

from __future__ import annotations

import re
from typing import Final

_GIB: Final = 1024**3

_CONTEXT_NUMBERS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # llama.cpp, and Ollama since 0.34
        r"request \((?P<requested>\d+) tokens\) exceeds the available context size \((?P<quota>\d+) tokens\)",
        # llama.cpp, for a text that does not fit into one embedding
        r"input \((?P<requested>\d+) tokens\) is too large.*batch size: (?P<quota>\d+)",
        # OpenAI, vLLM, OpenRouter
        r"maximum context length is (?P<quota>\d+) tokens.*?(?:requested|resulted in)(?: about)? (?P<requested>\d+)",
        # vLLM
        r"passed (?P<requested>\d+) input tokens.*?context length is only (?P<quota>\d+)",
        # LM Studio
        r"keep the first (?P<requested>\d+) tokens.*?context length of only (?P<quota>\d+)",
        # Anthropic
        r"prompt is too long: (?P<requested>\d+) tokens > (?P<quota>\d+)",
        # Gemini
        r"token count \((?P<requested>\d+)\) exceeds the maximum number of tokens allowed \((?P<quota>\d+)\)",
    )
)
_CONTEXT: Final = re.compile(
    r"(?:exceed|longer than|too long|greater than|overflow|larger than).{0,80}(?:context|prompt length)"
    r"|(?:context (?:length|size|window)|prompt length|prompt|maximum context length is).{0,80}"
    r"(?:exceed|too long|overflow)"
    r"|input (?:length|is) (?:exceeds|too long)",
    re.IGNORECASE | re.DOTALL,
)
_CANNOT: Final = re.compile(
    r"not support|unsupported|not enabled|no endpoints found that (?:support|can handle)|only (?:supports )?text"
    r"|cannot (?:see|process)",
    re.IGNORECASE,
)
_ABILITIES: Final = (
    (re.compile(r"image|vision|multimodal|multi-modal", re.IGNORECASE), "messages"),
    (re.compile(r"\btools?\b|tool[_ ]|function call", re.IGNORECASE), "tools"),
    (re.compile(r"think|reasoning", re.IGNORECASE), "think"),
    (re.compile(r"json.?schema|response_format|structured output|grammar", re.IGNORECASE), "response_format"),
    (re.compile(r"\bchat\b|generate|completion|embed|requested parameters", re.IGNORECASE), ""),
)
_MEMORY: Final = re.compile(
    r"requires more (?:system )?memory \((?P<need>[\d.]+) (?P<need_unit>[GMK]i?B)\) than is available "
    r"\((?P<free>[\d.]+) (?P<free_unit>[GMK]i?B)\)",
    re.IGNORECASE,
)
_MODEL_MISSING: Final = re.compile(
    r"model.{0,200}(?:not found|does ?n[o']t exist|not exist|not a valid|invalid model|unknown|not available"
    r"|no longer|not loaded)"
    r"|(?:no such|unknown|invalid|no) model|not a valid model|no endpoints found for",
    re.IGNORECASE | re.DOTALL,
)


def context_overflow(sentence: str) -> tuple[int | None, int | None] | None:
    """Tokens asked for and tokens that there are, where the sentence says that a text is too long; else None."""
    for pattern in _CONTEXT_NUMBERS:
        if found := pattern.search(sentence):
            return int(found["requested"]), int(found["quota"])
    return (None, None) if _CONTEXT.search(sentence) else None


def missing_ability(sentence: str) -> str | None:
    """The option that asks for what a model cannot do (empty: chatting, or embeddings, as such); else None."""
    if not _CANNOT.search(sentence):
        return None
    return next((option for pattern, option in _ABILITIES if pattern.search(sentence)), None)


def memory_lack(sentence: str) -> tuple[int, int] | None:
    """Bytes needed and bytes free, where Ollama's sentence says that a model does not fit; else None."""
    found = _MEMORY.search(sentence)
    if found is None:
        return None
    return _bytes(found["need"], found["need_unit"]), _bytes(found["free"], found["free_unit"])


def says_model_missing(sentence: str) -> bool:
    """Whether the sentence says that there is no such model."""
    return _MODEL_MISSING.search(sentence) is not None


def _bytes(number: str, unit: str) -> int:
    try:
        return round(float(number) * {"G": _GIB, "M": 1024**2, "K": 1024}[unit[0].upper()])
    except ValueError:
        return 0
