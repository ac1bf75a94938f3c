"""The manifest of a model: which files belong to it. Written by a server that may be hostile; pure.

Format: Docker's image manifest, version 2, schema 2, with Ollama's media types ``application/vnd.ollama.image.*``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from peersky.core.errors import BackendFailed, NotSupported

MEDIA_TYPE: Final = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE: Final = "application/vnd.docker.container.image.v1+json"
LAYER_PREFIX: Final = "application/vnd.ollama.image."
MAX_MANIFEST_BYTES: Final = 1024 * 1024
MAX_LAYERS: Final = 4096
MAX_LAYER_BYTES: Final = 2**42
MAX_MODEL_BYTES: Final = 2**43
MAX_TEXT_BYTES: Final = 4 * 1024 * 1024
"""Largest layer that is read into memory: templates, parameters, licences."""

DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
WEIGHTS: Final = frozenset({"model", "projector"})
TEXTS: Final = frozenset({"config", "template", "prompt", "system", "params", "messages", "license"})
USED: Final = WEIGHTS | TEXTS
"""Layers that are downloaded; a draft model, which only makes answers faster, is not."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One file.

    Attributes:
        kind: ``model``, ``template``… (the last part of the media type), or ``config``.
        digest: ``sha256:`` and 64 hexadecimal digits.
        size: in bytes.
    """

    kind: str
    digest: str
    size: int

    @property
    def file_name(self) -> str:
        return self.digest.replace(":", "-")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A checked manifest.

    Attributes:
        raw: as it came, and as it is kept.
        layers: config first, each digest once.
    """

    raw: bytes
    layers: tuple[Layer, ...]

    def of(self, *kinds: str) -> list[Layer]:
        """The layers of these kinds, in their order."""
        return [layer for layer in self.layers if layer.kind in kinds]

    @property
    def used(self) -> tuple[Layer, ...]:
        """The layers that a model needs to answer here."""
        return tuple(layer for layer in self.layers if layer.kind in USED)

    @property
    def size_bytes(self) -> int:
        """Of all used layers."""
        return sum(layer.size for layer in self.used)

    @property
    def model(self) -> Layer:
        """The weights."""
        return self.of("model")[0]


def parse_manifest(raw: bytes, source: str) -> Manifest:
    """Check what a registry sent.

    Args:
        source: who sent it, for the sentence.

    Raises:
        BackendFailed: ``backend_error``: it is no manifest, or its digests or sizes are impossible.
    """

    def nonsense(why: str) -> BackendFailed:
        return BackendFailed(
            f"{source} sent a description of the model that cannot be right: {why}. Nothing was downloaded.",
            reason="backend_error",
        )

    if len(raw) > MAX_MANIFEST_BYTES:
        raise nonsense("it is too long")
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        raise nonsense("it is no JSON") from None
    if not isinstance(found, dict):
        raise nonsense("it is no JSON object")
    listed = found.get("layers")
    if not isinstance(listed, list) or not listed:
        raise nonsense("it names no files")
    if len(listed) > MAX_LAYERS:
        raise nonsense(f"it names {len(listed):,} files")
    layers: dict[str, Layer] = {}
    config = found.get("config")
    for entry, is_config in [(config, True)] * (config is not None) + [(entry, False) for entry in listed]:
        layer = _layer(entry, is_config)
        if isinstance(layer, str):
            raise nonsense(layer)
        if layers.setdefault(layer.digest, layer).size != layer.size:
            raise nonsense("it gives one file two sizes")
    manifest = Manifest(raw, tuple(layers.values()))
    if sum(layer.size for layer in manifest.layers) > MAX_MODEL_BYTES:
        raise nonsense("its files are larger than any disk")
    if any(layer.size > MAX_TEXT_BYTES for layer in manifest.of(*TEXTS)):
        raise nonsense("it has a text of many megabytes")
    return manifest


def _layer(entry: Any, is_config: bool) -> Layer | str:
    """The layer, or what is wrong with it."""
    if not isinstance(entry, dict):
        return "an entry is no object"
    media_type, digest, size = entry.get("mediaType"), entry.get("digest"), entry.get("size")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        return "a digest is not of the form sha256:…"
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_LAYER_BYTES:
        return "a size is impossible"
    if is_config:
        return Layer("config", digest, size)
    if not isinstance(media_type, str) or len(media_type) > 200:
        return "a file has no type"
    return Layer(media_type.removeprefix(LAYER_PREFIX), digest, size)


def check_runnable(manifest: Manifest, config: dict[str, Any], name: str) -> None:
    """Refuse, before the weights are downloaded, what is no GGUF model of one file.

    Args:
        config: content of the config layer, empty where there is none.

    Raises:
        NotSupported: with the reason and what to do instead.
    """
    if config.get("remote_host") or config.get("remote_model"):
        raise NotSupported(
            f"{name} runs in Ollama's cloud and has nothing to download. Choose a model without -cloud in its name."
        )
    kinds = {layer.kind for layer in manifest.layers}
    model_format = config.get("model_format") or "gguf"
    if model_format != "gguf" or "tensor" in kinds:
        raise NotSupported(
            f"{name} is in the format {model_format if model_format != 'gguf' else 'safetensors'}, and the built-in "
            "engine reads GGUF. Search Hugging Face for a GGUF of it and enter hf.co/USER/REPOSITORY."
        )
    if "adapter" in kinds:
        raise NotSupported(
            f"{name} changes another model by an adapter, which the built-in engine does not load. "
            "Choose a model that is complete, or use Ollama for this one."
        )
    weights = len(manifest.of("model"))
    if weights > 1:
        raise NotSupported(
            f"{name} is split into {weights} files, and the built-in engine reads models of one file. "
            "Choose a smaller quantisation."
        )
    if not weights:
        raise NotSupported(f"{name} is no language model: its description names no weights. Choose another model.")


def make_manifest(config: Layer | None, layers: list[Layer]) -> bytes:
    """Write a manifest for files that came without one (Hugging Face, an import)."""
    content: dict[str, Any] = {"schemaVersion": 2, "mediaType": MEDIA_TYPE}
    if config is not None:
        content["config"] = {"mediaType": CONFIG_TYPE, "digest": config.digest, "size": config.size}
    content["layers"] = [
        {"mediaType": LAYER_PREFIX + layer.kind, "digest": layer.digest, "size": layer.size} for layer in layers
    ]
    return json.dumps(content, separators=(",", ":")).encode()
