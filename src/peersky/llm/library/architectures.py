"""What this engine can run, decided from the head of a model file before the rest of it is downloaded.

Ollama loads the files that it publishes through a layer of its own around llama.cpp (``llama/compat`` in its source),
since many of them are not as llama.cpp expects: other names of architectures, tensors of a vision tower within the
file, missing entries. The built-in engine is llama.cpp as it is, so those files are refused; the same models as
llama.cpp's own converter writes them, on Hugging Face, are not.
"""

from __future__ import annotations

from typing import Final

from peersky.core.errors import NotSupported
from peersky.core.model_names import ModelName
from peersky.llm.gguf_head import GgufHead

# fmt: off
KNOWN: Final = frozenset(
    {"afmoe", "apertus", "arcee", "arctic", "arwkv7", "baichuan", "bailingmoe", "bailingmoe2", "bailingmoe3",
     "bert", "bitnet", "bloom", "chameleon", "chatglm", "codeshell", "cogvlm", "cohere2", "cohere2moe",
     "command-r", "dbrx", "deci", "deepseek", "deepseek2", "deepseek2-ocr", "deepseek32", "deepseek4", "dots1",
     "dots3note", "dream", "ernie4_5", "ernie4_5-moe", "eurobert", "exaone", "exaone-moe", "exaone4", "falcon",
     "falcon-h1", "gemma", "gemma-embedding", "gemma-embedding2", "gemma2", "gemma3", "gemma3n", "gemma4",
     "gemma4-assistant", "glm-dsa", "glm4", "glm4moe", "glm5-next", "gpt-oss", "gpt2", "gptj", "gptneox",
     "granite", "granite_swa", "granitehybrid", "granitemoe", "graniteswitch", "grok", "grovemoe", "hrm_text",
     "hunyuan-dense", "hunyuan-moe", "hunyuan_vl", "hy_v3", "hy_v4", "internlm2", "jais", "jais2", "jamba",
     "jina-bert-v2", "jina-bert-v3", "k2-horizon", "kimi-k3", "kimi-linear", "laguna", "lfm2", "lfm2moe", "llada",
     "llada-moe", "llama", "llama-embed", "llama4", "maincoder", "mamba", "mamba2", "maple", "mellum", "mimo2",
     "minicpm", "minicpm3", "minimax-01", "minimax-m2", "mistral3", "mistral4", "modern-bert", "mpt", "nanbeige",
     "nemotron", "nemotron_h", "nemotron_h_moe", "neo-bert", "nomic-bert", "nomic-bert-moe", "olmo", "olmo2",
     "olmoe", "openelm", "orion", "paddleocr", "pangu-embedded", "phi2", "phi3", "phimoe", "plamo", "plamo2",
     "plamo3", "plm", "pockettts", "qwen", "qwen2", "qwen2moe", "qwen2vl", "qwen3", "qwen35", "qwen35moe",
     "qwen3moe", "qwen3next", "qwen3tts", "qwen3vl", "qwen3vlmoe", "qwen4exp", "refact", "rnd1", "rwkv6",
     "rwkv6qwen2", "rwkv7", "seed_oss", "smallthinker", "smollm3", "spark2_5", "stablelm", "starcoder",
     "starcoder2", "step35", "t5", "t5encoder", "talkie", "xverse"}
)
"""Architectures that this llama.cpp loads; a test compares them with the library itself."""
# fmt: on

ALTERNATIVES: Final = {
    "clip": "hf.co/ggml-org/Qwen2.5-VL-3B-Instruct-GGUF",
    "gemma3": "hf.co/ggml-org/gemma-3-4b-it-GGUF",
    "gemma3n": "hf.co/ggml-org/gemma-3n-E2B-it-GGUF",
    "gemma4": "hf.co/ggml-org/gemma-4-E2B-it-GGUF",
    "gemma-embedding": "hf.co/ggml-org/embeddinggemma-300M-GGUF",
    "gptoss": "hf.co/ggml-org/gpt-oss-20b-GGUF",
    "lfm2": "hf.co/LiquidAI/LFM2-1.2B-GGUF",
    "qwen25vl": "hf.co/ggml-org/Qwen2.5-VL-3B-Instruct-GGUF",
    "qwen3vl": "hf.co/Qwen/Qwen3-VL-4B-Instruct-GGUF",
    "qwen3next": "hf.co/unsloth/Qwen3-Next-80B-A3B-Instruct-GGUF",
}
"""The same model, or the smallest of its family, as llama.cpp's converter wrote it."""

SAFE_CHOICE: Final = "qwen2.5-coder:3b"
"""Runs from Ollama's registry as it is."""

_OLLAMA_DIALECTS: Final = frozenset(
    {"gemma3n", "gemma4", "gptoss", "lfm2", "lfm2moe", "olmo3", "mistral3", "qwen25vl", "qwen3vl", "qwen3vlmoe"}
    | {"qwen35", "qwen35moe", "qwen3next", "deepseekocr", "glmocr", "glm4moelite", "laguna", "llama4"}
    | {"nemotron_h", "nemotron_h_moe", "nemotron_h_omni"}
)
"""Architectures whose files in Ollama's registry llama.cpp rejects or misreads."""

_TOWERS: Final = frozenset({"v", "mm", "a", "s"})
"""What names of tensors begin with that belong to a part for images or sound."""


def check_architecture(head: GgufHead, name: ModelName | None) -> None:
    """Refuse a model that this engine cannot run.

    Args:
        head: of the model's file.
        name: where the file comes from; None: a file of the user's.

    Raises:
        NotSupported: with the reason, and an alternative.
    """
    label = str(name) if name is not None else head.name or "This file"
    from_ollama = name is not None and not name.is_hugging_face
    architecture = head.architecture
    if head.tensor_groups & _TOWERS or (from_ollama and architecture in _OLLAMA_DIALECTS) or _odd(head):
        raise NotSupported(
            f"{label} is stored in Ollama's own variant of {architecture}, which the built-in engine cannot load. "
            + _instead(architecture)
        )
    if architecture not in KNOWN:
        raise NotSupported(
            f"{label} has the architecture {architecture[:40]!r}, which the built-in engine does not know. "
            + _instead(architecture)
        )
    if head.parts > 1:
        raise NotSupported(
            f"{label} is split into {head.parts} files, and the built-in engine reads models of one file. "
            "Choose a smaller quantisation."
        )


def check_projector(projector_type: str, name: ModelName) -> None:
    """Refuse a model whose part for images llama.cpp does not recognise.

    Raises:
        NotSupported: with the reason, and an alternative.
    """
    if not projector_type:
        raise NotSupported(
            f"The part of {name} that sees images is stored in Ollama's own variant, which the built-in engine cannot "
            f"load. {_instead('clip')}"
        )


def _odd(head: GgufHead) -> bool:
    """Marks of Ollama's converter in files whose architecture llama.cpp knows by the same name."""
    if head.architecture == "gemma3":
        return "gemma3.attention.layer_norm_rms_epsilon" not in head.keys or bool(
            head.keys & {"gemma3.mm.tokens_per_image", "gemma3.rope.global.freq_base", "gemma3.rope.local.freq_base"}
        )
    return False


def _instead(architecture: str) -> str:
    alternative = ALTERNATIVES.get(architecture)
    if alternative:
        return f"Choose {alternative} instead, or use Ollama for this one."
    return f"Search Hugging Face for a GGUF of it, choose another model such as {SAFE_CHOICE}, or use Ollama for it."
