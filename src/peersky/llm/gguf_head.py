"""Reads what stands at the head of a GGUF file: the model's kind, its sizes and its chat template, without loading it.

Format: the GGUF specification in ggml's ``docs/gguf.md``, versions 2 and 3. The file may be hostile: every count and
length is bounded, nothing is allocated on the file's word, and all that can be wrong is a :class:`ModelFileInvalid`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final

from peersky.core.errors import ModelFileInvalid

MAX_KEYS: Final = 65_536
MAX_TENSORS: Final = 1_048_576
MAX_STRING_BYTES: Final = 16 * 1024 * 1024
MAX_ARRAY_LENGTH: Final = 16 * 1024 * 1024
KEPT_ARRAY_LENGTH: Final = 4096
"""Longer arrays (a vocabulary) are walked over and only counted."""

MAX_DIMENSIONS: Final = 4
MAX_TENSOR_GROUPS: Final = 1024
READ_AHEAD_BYTES: Final = 1024 * 1024

_SCALARS: Final[dict[int, struct.Struct]] = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_STRING: Final = 8
_ARRAY: Final = 9
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")

# fmt: off
TENSOR_TYPES: Final[dict[int, tuple[int, int]]] = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18),
}
# fmt: on
"""Values per block and bytes per block of ggml's tensor types; a test compares them with the gguf package."""

_ENCODERS: Final = frozenset(
    {"bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "modern-bert", "neo-bert", "eurobert"}
    | {"t5encoder", "gemma-embedding", "llama-embed"}
)
"""Architectures that make embeddings and no text."""

_NO_LANGUAGE_MODEL: Final = frozenset({"clip", "imatrix", "wavtokenizer-dec", "diffusion", "whisper"})
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class GgufHead:
    """What the head of a model file says.

    Attributes:
        architecture: llama.cpp's name, ``llama``, ``qwen2``….
        name: the model's own name, maybe empty.
        context_length: of the training, in tokens; 0 where the file does not say.
        layers, embedding_length, vocabulary: sizes of the network.
        kv_values: numbers that the key-value cache keeps per token, over all layers.
        chat_template: Jinja source, empty where there is none.
        makes_embeddings: the model is meant for embeddings (an encoder, or with a pooling type).
        generates: the model writes text.
        parts: number of files that the model is split into.
        size_bytes: of this file.
        keys: names of its metadata entries.
        tensor_groups: what tensor names begin with, up to the first dot: ``blk``, ``token_embd``….
    """

    architecture: str
    name: str
    context_length: int
    layers: int
    embedding_length: int
    vocabulary: int
    kv_values: int
    chat_template: str
    makes_embeddings: bool
    generates: bool
    parts: int
    size_bytes: int
    keys: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    tensor_groups: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    @property
    def capabilities(self) -> frozenset[str]:
        """Of ``completion``, ``tools``, ``thinking``, ``embedding``; vision needs a second file: not offered."""
        found = set()
        if self.generates:
            found.add("completion")
            if "tools" in self.chat_template:
                found.add("tools")
            if "enable_thinking" in self.chat_template or "<think>" in self.chat_template:
                found.add("thinking")
        if self.makes_embeddings:
            found.add("embedding")
        return frozenset(found)

    def memory_bytes(self, context_tokens: int, batch_tokens: int) -> int:
        """Estimate of what running the model takes: weights, cache (16-bit), work space, and a tenth more.

        Args:
            context_tokens: of all conversations together.
            batch_tokens: how many are worked on at once.
        """
        cache = context_tokens * self.kv_values * 2
        work = batch_tokens * (self.vocabulary + 4 * self.embedding_length) * 4
        return (self.size_bytes + cache + work) * 11 // 10


def read_head(file: Path) -> GgufHead:
    """Read the head of ``file`` and check that the file is as long as its tensor table says.

    Blocking; some 0.1 s for a vocabulary of 150,000 words.

    Raises:
        ModelFileInvalid: the file is no GGUF, truncated, corrupt, cannot be read, or no language model.
    """
    try:
        with file.open("rb", buffering=READ_AHEAD_BYTES) as stream:
            size = file.stat().st_size
            return _Reader(stream, file.name, size).head()
    except OSError as error:
        raise ModelFileInvalid(f"The model file {file.name} cannot be read: {error.strerror or error}.") from error


def projector_type_of_part(start: bytes, name: str, size_bytes: int) -> str:
    """What kind of part for images a file is whose beginning is here; empty where it does not say.

    Raises:
        HeadIncomplete, ModelFileInvalid: as :func:`read_head_of_part`.
    """
    values = _Reader(BytesIO(start), name, size_bytes, len(start)).metadata()[0]
    found = values.get("clip.projector_type") or values.get("clip.vision.projector_type")
    return found if isinstance(found, str) else ""


class HeadIncomplete(Exception):
    """The bytes that are there so far end within the head: read more of the file and try again."""


def read_head_of_part(start: bytes, name: str, size_bytes: int) -> GgufHead:
    """Read the head of a file of which only the beginning is here.

    Args:
        start: the first bytes of the file.
        name: what to call the file in sentences.
        size_bytes: of the whole file.

    Raises:
        HeadIncomplete: ``start`` is too short, and nothing is wrong with it so far.
        ModelFileInvalid: as :func:`read_head`.
    """
    return _Reader(BytesIO(start), name, size_bytes, len(start)).head()


class _Reader:
    def __init__(self, stream: BinaryIO, name: str, size: int, here: int | None = None) -> None:
        self._stream = stream
        self._name = name
        self._size = size
        self._left = size
        self._missing = 0 if here is None else size - here
        self._tensor_groups: set[str] = set()

    def head(self) -> GgufHead:
        values, tensors = self.metadata()
        head = self._meaning(values)
        self._check_tensors(tensors, values.get("general.alignment", 32))
        return replace(head, keys=frozenset(values), tensor_groups=frozenset(self._tensor_groups))

    def metadata(self) -> tuple[dict[str, Any], int]:
        """All metadata entries, and how many tensors there are."""
        if self._size < 4 or self._take(4) != b"GGUF":
            raise ModelFileInvalid(f"{self._name} is no GGUF model file.")
        version = self._u32()
        if version not in (2, 3):
            raise ModelFileInvalid(
                f"{self._name} uses version {version} of the GGUF format; versions 2 and 3 can be read."
            )
        tensors = self._count(self._u64(), MAX_TENSORS, "tensors")
        keys = self._count(self._u64(), MAX_KEYS, "metadata entries")
        values: dict[str, Any] = {}
        for _ in range(keys):
            key = self._text()
            values[key] = self._value(self._u32())
        return values, tensors

    def _meaning(self, values: dict[str, Any]) -> GgufHead:
        architecture = values.get("general.architecture")
        if not isinstance(architecture, str) or not architecture:
            raise self._corrupt("it names no architecture")
        if architecture in _NO_LANGUAGE_MODEL:
            raise ModelFileInvalid(
                f"{self._name} is a part for other models ({architecture}) and cannot answer on its own."
            )

        def number(key: str, default: int = 0) -> int:
            value = values.get(key if "." in key else f"{architecture}.{key}", default)
            # Far over any real model, and small enough that products of them stay meaningful.
            return value if isinstance(value, int) and 0 <= value <= 2**40 else default

        def own(key: str) -> Any:
            return values.get(f"{architecture}.{key}")

        layers = min(number("block_count"), 65_536)
        embedding = number("embedding_length")
        heads = max(1, _most(own("attention.head_count"), 1))
        per_head = embedding // heads
        key_length = number(f"{architecture}.attention.key_length", per_head)
        value_length = number(f"{architecture}.attention.value_length", per_head)
        kv_heads = own("attention.head_count_kv")
        if isinstance(kv_heads, list):
            kv_head_layers = sum(n for n in kv_heads[:layers] if isinstance(n, int) and 0 <= n < 2**20)
        else:
            kv_head_layers = layers * _most(kv_heads, heads)
        tokens = values.get("tokenizer.ggml.tokens")
        vocabulary = len(tokens) if isinstance(tokens, (list, _Counted)) else number("vocab_size")
        template = values.get("tokenizer.chat_template")
        pooling = own("pooling_type")
        encoder = architecture in _ENCODERS
        name = values.get("general.name")
        return GgufHead(
            architecture=architecture,
            name=name if isinstance(name, str) else "",
            context_length=number("context_length"),
            layers=layers,
            embedding_length=embedding,
            vocabulary=vocabulary,
            kv_values=kv_head_layers * (key_length + value_length),
            chat_template=template if isinstance(template, str) else "",
            makes_embeddings=encoder or (isinstance(pooling, int) and pooling in (1, 2, 3)),
            generates=not encoder,
            parts=max(1, number("split.count", 1)),
            size_bytes=self._size,
        )

    def _check_tensors(self, count: int, alignment: Any) -> None:
        if not isinstance(alignment, int) or not 0 < alignment <= 2**20:
            raise self._corrupt("its alignment is impossible")
        end = 0
        for _ in range(count):
            group = self._text().partition(".")[0]
            if len(self._tensor_groups) < MAX_TENSOR_GROUPS:
                self._tensor_groups.add(group[:64])
            dimensions = self._u32()
            if dimensions > MAX_DIMENSIONS:
                raise self._corrupt("a tensor has too many dimensions")
            elements = 1
            for _ in range(dimensions):
                elements *= self._u64()
            per_block, block_bytes = TENSOR_TYPES.get(self._u32(), (1, 0))  # Newer types: only their start is checked.
            end = max(end, self._u64() + elements // per_block * block_bytes)
        position = self._size - self._left
        start = -(-position // alignment) * alignment
        if count and start + end > self._size:
            raise ModelFileInvalid(
                f"The model file {self._name} is incomplete: it has {self._size / _MIB:,.1f} MB of the "
                f"{(start + end) / _MIB:,.1f} MB that belong to it. Download it again."
            )

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._text()
        if kind == _ARRAY:
            return self._array()
        scalar = _SCALARS.get(kind)
        if scalar is None:
            raise self._corrupt("it has a value of an unknown type")
        return scalar.unpack(self._take(scalar.size))[0]

    def _array(self) -> list[Any] | _Counted:
        kind = self._u32()
        length = self._count(self._u64(), MAX_ARRAY_LENGTH, "values in an array")
        scalar = _SCALARS.get(kind)
        if scalar is not None:
            if length > KEPT_ARRAY_LENGTH:
                self._skip(length * scalar.size)
                return _Counted(length)
            return [value for (value,) in scalar.iter_unpack(self._take(length * scalar.size))]
        if kind != _STRING:
            raise self._corrupt("it has an array of an unknown type")
        if length <= KEPT_ARRAY_LENGTH:
            return [self._text() for _ in range(length)]
        for _ in range(length):
            self._skip(self._u64())
        return _Counted(length)

    def _text(self) -> str:
        length = self._count(self._u64(), MAX_STRING_BYTES, "bytes in a text")
        return self._take(length).decode("utf-8", "replace")

    def _u32(self) -> int:
        return int(_U32.unpack(self._take(4))[0])

    def _u64(self) -> int:
        return int(_U64.unpack(self._take(8))[0])

    def _take(self, size: int) -> bytes:
        data = self._stream.read(size) if size <= self._left else b""
        if len(data) < size:
            raise self._cut_off() if size > self._left or not self._missing else HeadIncomplete
        self._left -= size
        return data

    def _skip(self, size: int) -> None:
        if size > self._left:
            raise self._cut_off()
        if size > READ_AHEAD_BYTES:
            self._stream.seek(size, 1)
            self._left -= size
        else:
            self._take(size)

    def _count(self, count: int, limit: int, what: str) -> int:
        if count > self._left:  # Each takes a byte at least, so the rest of the file is missing.
            raise self._cut_off()
        if count > limit:
            raise self._corrupt(f"it claims {count:,} {what}")
        return count

    def _cut_off(self) -> ModelFileInvalid:
        return ModelFileInvalid(
            f"The model file {self._name} is incomplete or damaged: its description of the model breaks off. "
            "Download it again."
        )

    def _corrupt(self, why: str) -> ModelFileInvalid:
        return ModelFileInvalid(f"The model file {self._name} is damaged: {why}. Download it again.")


@dataclass(frozen=True, slots=True)
class _Counted:
    """Stands for an array that was too long to keep."""

    length: int

    def __len__(self) -> int:
        return self.length


def _most(value: Any, default: int) -> int:
    """A number that some architectures give per layer: the largest."""
    numbers = value if isinstance(value, list) else [value]
    found = [n for n in numbers if isinstance(n, int) and 0 <= n < 2**20]
    return max(found, default=default)
