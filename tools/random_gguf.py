#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a GGUF file of the llama architecture with random weights, for tests that need a model and not its sense.

    random_gguf.py out.gguf --preset tiny|mini|half [--type f32|f16|q8_0] [--ctx N] [--no-template] [--template FILE]

The tokenizer is byte-level BPE, so any text can go in and out. ``half`` has the dimensions of Qwen2.5-0.5B: as q8_0 it
is 528 MB and shows realistic speed and memory. A ``grammar`` in the request makes a random model say any wanted text.

Runs in tests and by hand; needs numpy and gguf, which the program itself does not.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType


@dataclass(frozen=True)
class Preset:
    """Sizes of a network; ``tied`` means that the output matrix is the token embedding."""

    width: int
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    vocab: int
    tied: bool


PRESETS = {
    "tiny": Preset(width=64, layers=2, hidden=128, heads=4, kv_heads=2, vocab=400, tied=False),
    "mini": Preset(width=256, layers=4, hidden=768, heads=4, kv_heads=2, vocab=4096, tied=True),
    "half": Preset(width=896, layers=24, hidden=4864, heads=14, kv_heads=2, vocab=151936, tied=True),
}
TYPES = {
    "f32": (GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}
CHATML = (
    "{%- for message in messages -%}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
WORDS = (" the", " and", " of", " to", " in", " a", "ing", "er", "on", "re", "st")


def bytes_to_unicode() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte, which is how byte-level BPE vocabularies are written down."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        if byte not in table:
            table[byte] = chr(256 + len(table) - len(printable))
    return table


def vocabulary(size: int) -> tuple[list[str], list[str]]:
    """Tokens and merges: the 256 bytes, a few merges, fillers up to ``size``, and the special tokens last."""
    table = bytes_to_unicode()
    tokens = [table[byte] for byte in range(256)]
    merges: list[str] = []
    have = set(tokens)
    for word in WORDS:
        letters = [table[byte] for byte in word.encode()]
        left = letters[0]
        for letter in letters[1:]:
            if left + letter not in have:
                tokens.append(left + letter)
                have.add(left + letter)
                merges.append(f"{left} {letter}")
            left += letter
    for number in range(size - len(tokens) - len(SPECIALS)):
        filler = table[32]
        rest = number
        for _ in range(4):
            filler += chr(ord("a") + rest % 26)
            rest //= 26
        if rest:
            filler += str(rest)
        while filler in have:
            filler += "z"
        tokens.append(filler)
        have.add(filler)
    return tokens + list(SPECIALS), merges


def write(
    target: Path,
    preset: Preset,
    name: str,
    kind: str = "f16",
    context: int = 4096,
    template: str | None = CHATML,
    architecture: str = "llama",
    pooling: bool = False,
) -> int:
    """Write the file; the same arguments give the same weights.

    Args:
        target: the file to write.
        preset: sizes of the network.
        name: ends up in ``general.name`` as ``random-NAME``.
        kind: a key of ``TYPES``.
        context: training context, in tokens, that the file claims.
        template: chat template in Jinja; None leaves it out.
        architecture: what ``general.architecture`` says.
        pooling: ask for mean pooling, as embedding models do.

    Returns:
        The number of weights.

    Raises:
        KeyError: an unknown ``kind``.
    """
    quantization, file_type = TYPES[kind]
    rng = np.random.default_rng(0)
    head_width = preset.width // preset.heads
    writer = gguf.GGUFWriter(target, architecture)
    writer.add_name(f"random-{name}")
    writer.add_context_length(context)
    writer.add_embedding_length(preset.width)
    writer.add_block_count(preset.layers)
    writer.add_feed_forward_length(preset.hidden)
    writer.add_head_count(preset.heads)
    writer.add_head_count_kv(preset.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(head_width)
    writer.add_vocab_size(preset.vocab)

    tokens, merges = vocabulary(preset.vocab)
    first_special = len(tokens) - len(SPECIALS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * first_special + [gguf.TokenType.CONTROL] * len(SPECIALS))
    writer.add_token_merges(merges)
    writer.add_eos_token_id(first_special + 2)
    writer.add_bos_token_id(first_special)
    writer.add_pad_token_id(first_special)
    writer.add_add_bos_token(False)
    if template is not None:
        writer.add_chat_template(template)
    if pooling:
        writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(file_type)

    count = 0

    def add(tensor: str, *shape: int, norm: bool = False) -> None:
        nonlocal count
        count += int(np.prod(shape))
        if norm:
            writer.add_tensor(tensor, np.ones(shape, np.float32))
            return
        values = rng.standard_normal(shape, dtype=np.float32)
        values *= 0.02 if "embd" in tensor else 1.0 / np.sqrt(shape[-1])
        if quantization == GGMLQuantizationType.F32:
            writer.add_tensor(tensor, values)
        elif quantization == GGMLQuantizationType.F16:
            writer.add_tensor(tensor, values.astype(np.float16))
        else:
            writer.add_tensor(tensor, gguf.quants.quantize(values, quantization), raw_dtype=quantization)

    kv_width = head_width * preset.kv_heads
    add("token_embd.weight", preset.vocab, preset.width)
    add("output_norm.weight", preset.width, norm=True)
    if not preset.tied:
        add("output.weight", preset.vocab, preset.width)
    for layer in range(preset.layers):
        block = f"blk.{layer}."
        add(block + "attn_norm.weight", preset.width, norm=True)
        add(block + "attn_q.weight", preset.width, preset.width)
        add(block + "attn_k.weight", kv_width, preset.width)
        add(block + "attn_v.weight", kv_width, preset.width)
        add(block + "attn_output.weight", preset.width, preset.width)
        add(block + "ffn_norm.weight", preset.width, norm=True)
        add(block + "ffn_gate.weight", preset.hidden, preset.width)
        add(block + "ffn_up.weight", preset.hidden, preset.width)
        add(block + "ffn_down.weight", preset.width, preset.hidden)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return count


def main() -> None:
    """Parse the command line, write the file, and say how large it became."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--preset", choices=PRESETS, default="tiny")
    parser.add_argument("--type", choices=TYPES, default="f16")
    parser.add_argument("--ctx", type=int, default=4096, help="context length in tokens that the file claims")
    parser.add_argument("--no-template", action="store_true")
    parser.add_argument("--template", type=Path, help="file with a chat template in Jinja")
    parser.add_argument("--arch", default="llama")
    parser.add_argument("--pooling", action="store_true", help="mean pooling, as embedding models have")
    args = parser.parse_args()
    started = time.perf_counter()
    template = args.template.read_text("utf-8") if args.template else CHATML
    count = write(
        args.out,
        PRESETS[args.preset],
        args.preset,
        kind=args.type,
        context=args.ctx,
        template=None if args.no_template else template,
        architecture=args.arch,
        pooling=args.pooling,
    )
    size = args.out.stat().st_size
    print(f"{args.out}: {count / 1e6:.1f}M params, {size / 1e6:.1f} MB, {time.perf_counter() - started:.1f}s")


if __name__ == "__main__":
    main()
