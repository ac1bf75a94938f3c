# SPDX-License-Identifier: GPL-3.0-or-later
"""The starter model's tokenizer: byte-level BPE, trained on the corpus, split as llama.cpp splits for ``qwen2``.

llama.cpp does not read a splitting rule from the GGUF file; it knows some by name (``tokenizer.ggml.pre``). So the rule
is chosen there and repeated here: ``QWEN2_SPLIT`` is the expression that llama.cpp compiles in for ``qwen2``.
``evaluate.py --tokens`` compares the two on every question through the engine's own ``/tokenize``.

Runs in the training tool only.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from tools.starter import data

# llama.cpp, src/llama-vocab.cpp, LLAMA_VOCAB_PRE_TYPE_QWEN2.
QWEN2_SPLIT = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
END_OF_TEXT = "<|endoftext|>"
START = "<|im_start|>"
END = "<|im_end|>"
SPECIALS = (END_OF_TEXT, START, END)

# What a message becomes is written once more, in Jinja, in CHAT_TEMPLATE; evaluate.py --tokens compares the two.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' -}}"
    "{%- if message['content'] is string -%}{{- message['content'] -}}"
    "{%- elif message['content'] -%}"
    "{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'text' -%}{{- part['text'] -}}{%- endif -%}"
    "{%- endfor -%}"
    "{%- endif -%}"
    "{{- '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)


def train(texts: Iterable[str], size: int) -> Tokenizer:
    """Learn the merges.

    Args:
        texts: sample of the text that the model will see.
        size: number of tokens in all, the 256 bytes and the special ones included.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def load(path: Path) -> Tokenizer:
    """Read a tokenizer that :func:`train` made and ``save`` wrote."""
    return Tokenizer.from_file(str(path))


class Encoder:
    """Turns conversations into token numbers, with the weight of each in the loss.

    Args:
        tokenizer: what :func:`train` returned.
        prompt_weight: weight of the tokens that are not the assistant's; the assistant's have 1.
        cut_share: share of conversations that :meth:`example` cuts.
        cut_tokens: how many tokens of the last answer a cut leaves.
        seed: of the choice which conversations are cut.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompt_weight: float,
        cut_share: float = 0.0,
        cut_tokens: int = 12,
        seed: int = 0,
    ) -> None:
        self._cut_share = cut_share
        self._cut_tokens = cut_tokens
        self._rng = random.Random(seed)
        self._tokenizer = tokenizer
        self._prompt_weight = prompt_weight
        self._start = tokenizer.token_to_id(START)
        self._end = tokenizer.token_to_id(END)
        self._newline = self.plain("\n")

    def plain(self, text: str) -> list[int]:
        """Tokens of text in which the special tokens' names have no meaning."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def example(self, messages: list[data.Message]) -> tuple[list[int], list[float]]:
        """Like :meth:`conversation`, but often without the end of the last answer, if that is a fixed text.

        Which answer it is to be is decided in its first tokens; the rest is soon known by heart. Time goes further when
        it is spent on more questions.
        """
        tokens, weights = self.conversation(messages)
        if messages[-1].fixed and self._rng.random() < self._cut_share:
            # The answer, its end token and a line break are the last tokens.
            start = len(tokens) - len(self.plain(messages[-1].content)) - 1 - len(self._newline)
            end = start + self._cut_tokens
            return tokens[:end], weights[:end]
        return tokens, weights

    def conversation(self, messages: list[data.Message]) -> tuple[list[int], list[float]]:
        """Tokens of a whole conversation and their weights, as ``CHAT_TEMPLATE`` would write it.

        The answer's end token counts in full: a model that does not end its turn is useless.
        """
        tokens: list[int] = []
        weights: list[float] = []
        for message in messages:
            head = [self._start, *self.plain(message.role + "\n")]
            body = [*self.plain(message.content), self._end]
            learned = 1.0 if message.role == "assistant" else self._prompt_weight
            tokens += head + body + self._newline
            weights += [0.0] * len(head) + [learned] * len(body) + [0.0] * len(self._newline)
        return tokens, weights
