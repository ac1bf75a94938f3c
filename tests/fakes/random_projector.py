"""A part for images with random weights, as llama.cpp's converter would write it for LLaVA. What it sees is noise."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

LAYERS, HEADS, IMAGE, PATCH = 2, 2, 28, 14
SQUARE = ("attn_q", "attn_k", "attn_v", "attn_out", "ffn_down", "ffn_up")


def write_projector(file: Path, width: int = 64, projector_type: str = "mlp") -> Path:
    """Write a GGUF file.

    Args:
        width: of the language model that it goes with.
        projector_type: empty: left out, as in old files of Ollama's.
    """
    writer = gguf.GGUFWriter(file, "clip")
    random = np.random.default_rng(1)
    writer.add_bool("clip.has_vision_encoder", True)
    if projector_type:
        writer.add_string("clip.projector_type", projector_type)
    writer.add_bool("clip.use_gelu", False)
    numbers = {"image_size": IMAGE, "patch_size": PATCH, "embedding_length": width, "feed_forward_length": width}
    numbers |= {"projection_dim": width, "block_count": LAYERS, "attention.head_count": HEADS}
    for key, value in numbers.items():
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])

    def tensor(name: str, *shape: int) -> None:
        writer.add_tensor(name, (random.standard_normal(shape) * 0.05).astype(np.float32))

    tensor("v.class_embd", width)
    tensor("v.patch_embd.weight", width, 3, PATCH, PATCH)
    tensor("v.position_embd.weight", (IMAGE // PATCH) ** 2 + 1, width)
    square = [f"v.blk.{layer}.{part}" for layer in range(LAYERS) for part in SQUARE]
    for name in (*square, "mm.0", "mm.2"):
        tensor(f"{name}.weight", width, width)
        tensor(f"{name}.bias", width)
    for name in ("v.pre_ln", *(f"v.blk.{layer}.{norm}" for layer in range(LAYERS) for norm in ("ln1", "ln2"))):
        tensor(f"{name}.weight", width)
        tensor(f"{name}.bias", width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file
