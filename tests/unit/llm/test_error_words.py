"""Sentences of real servers, and what they mean."""

from __future__ import annotations

import pytest

from peersky.llm.error_words import context_overflow, memory_lack, missing_ability, says_model_missing


@pytest.mark.parametrize(
    ("sentence", "tokens"),
    [
        ("request (2622 tokens) exceeds the available context size (512 tokens), try increasing it", (2622, 512)),
        (
            "input (1035 tokens) is too large to process. increase the physical batch size (current batch size: 1024)",
            (1035, 1024),
        ),
        (
            "This model's maximum context length is 4097 tokens. However, your messages resulted in 5000 tokens.",
            (5000, 4097),
        ),
        (
            "This endpoint's maximum context length is 131072 tokens. However, you requested about 200000 tokens",
            (200000, 131072),
        ),
        (
            "You passed 5001 input tokens and requested 1. However, the model's context length is only 4096",
            (5001, 4096),
        ),
        (
            "Trying to keep the first 5000 tokens when context overflows. However, the model is loaded with context "
            "length of only 4096 tokens",
            (5000, 4096),
        ),
        ("prompt is too long: 210000 tokens > 200000 maximum", (210000, 200000)),
        ("The input token count (9) exceeds the maximum number of tokens allowed (8).", (9, 8)),
        ("the input length exceeds the context length", (None, None)),
        ("Context size has been exceeded.", (None, None)),
        ("the request exceeds the available context size, try increasing it", (None, None)),
        ("Input is too long for requested model.", (None, None)),
        ("max_tokens is too large: 5.", None),
        ("Your quota is exceeded.", None),
        ("Rate limit exceeded, please slow down.", None),
        ("", None),
    ],
)
def test_a_text_that_is_too_long(sentence: str, tokens: tuple[int | None, int | None] | None) -> None:
    assert context_overflow(sentence) == tokens


@pytest.mark.parametrize(
    ("sentence", "option"),
    [
        ('"qwen" does not support thinking', "think"),
        ("registry.ollama.ai/library/x does not support tools", "tools"),
        ("No endpoints found that support tool use. To learn more about provider routing, visit …", "tools"),
        ("No endpoints found that support image input", "messages"),
        ("Multimodal data provided, but model does not support multimodal requests.", "messages"),
        ("'response_format' of type 'json_schema' is not supported with this model", "response_format"),
        ("this model does not support embeddings", ""),
        ('"nomic" does not support chat', ""),
        ("This value is not supported", None),
        ("the image is too large", None),
    ],
)
def test_what_a_model_cannot_do(sentence: str, option: str | None) -> None:
    assert missing_ability(sentence) == option


@pytest.mark.parametrize(
    ("sentence", "missing"),
    [
        ("model 'x' not found", True),
        ("The model `gpt-9` does not exist or you do not have access to it.", True),
        ("x/y is not a valid model ID", True),
        ("No endpoints found for x/y.", True),
        ("File Not Found", False),
        ("Not Found", False),
        ("Invalid URL (POST /chat/completions)", False),
    ],
)
def test_a_model_that_is_not_there(sentence: str, missing: bool) -> None:
    assert says_model_missing(sentence) is missing


def test_memory() -> None:
    sentence = "model requires more system memory (5.5 GiB) than is available (512.0 MiB)"
    assert memory_lack(sentence) == (round(5.5 * 1024**3), 512 * 1024**2)
    assert memory_lack("out of memory") is None
