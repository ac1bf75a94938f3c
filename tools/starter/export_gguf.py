# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a checkpoint of ``train.py`` as a GGUF file that llama.cpp loads: Q8_0 matrices, tokenizer, chat template.

    python tools/starter/export_gguf.py build/starter src/peersky/assets/models/starter.gguf

Runs in the training tool only; needs ``requirements.txt``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import gguf
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, from any folder

from tools.starter import tokenizer

DESCRIPTION = (
    "Demonstration that the machine can answer offline. Trained from scratch on text written by the PeerSky project. "
    "Replace it with a real model."
)
LIMIT_BYTES = 10_000_000


def _vocabulary(path: Path) -> tuple[list[str], list[int], list[str]]:
    """Tokens, their types and the merges, from a ``tokenizer.json``."""
    document = json.loads(path.read_text("utf-8"))["model"]
    by_id = sorted((number, text) for text, number in document["vocab"].items())
    tokens = [text for _, text in by_id]
    types = [int(gguf.TokenType.CONTROL if text in tokenizer.SPECIALS else gguf.TokenType.NORMAL) for text in tokens]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in document["merges"]]
    return tokens, types, merges


def export(folder: Path, target: Path) -> int:
    """Write the GGUF file.

    Args:
        folder: where ``train.py`` left ``model.npz`` and ``tokenizer.json``.
        target: the file to write.

    Returns:
        Its size in bytes.

    Raises:
        ValueError: the file is larger than the project allows, 10 MB.
    """
    arrays = np.load(folder / "model.npz")
    config = json.loads(str(arrays["__config__"]))
    tokens, types, merges = _vocabulary(folder / "tokenizer.json")
    # A corpus too small for the wanted number of merges leaves rows of the embedding without a token.
    while len(tokens) < config["vocab"]:
        tokens.append(f"<|unused_{len(tokens)}|>")
        types.append(int(gguf.TokenType.UNUSED))

    writer = gguf.GGUFWriter(target, "llama")
    writer.add_name("PeerSky starter model")
    writer.add_description(DESCRIPTION)
    writer.add_author("The PeerSky project")
    writer.add_license("GPL-3.0-or-later")
    writer.add_context_length(config["context"])
    writer.add_embedding_length(config["width"])
    writer.add_block_count(config["layers"])
    writer.add_feed_forward_length(config["hidden"])
    writer.add_head_count(config["heads"])
    writer.add_head_count_kv(config["kv_heads"])
    writer.add_rope_dimension_count(config["width"] // config["heads"])
    writer.add_rope_freq_base(config["rope_base"])
    writer.add_layer_norm_rms_eps(config["norm_eps"])
    writer.add_vocab_size(config["vocab"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)

    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokens.index(tokenizer.END_OF_TEXT))
    writer.add_eos_token_id(tokens.index(tokenizer.END))
    writer.add_pad_token_id(tokens.index(tokenizer.END_OF_TEXT))
    writer.add_add_bos_token(False)
    writer.add_chat_template(tokenizer.CHAT_TEMPLATE)

    for name in arrays.files:
        if name.startswith("__"):
            continue
        value = arrays[name].astype(np.float32)
        if value.ndim == 1:
            writer.add_tensor(name, value)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(value, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    size = target.stat().st_size
    if size > LIMIT_BYTES:
        raise ValueError(f"{target} has {size:,} bytes; the project allows {LIMIT_BYTES:,}")
    return size


def main() -> int:
    """Parse the command line and export. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what train.py --out named")
    parser.add_argument("target", type=Path, help="the GGUF file to write")
    args = parser.parse_args()
    print(f"{args.target}: {export(args.folder, args.target):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
