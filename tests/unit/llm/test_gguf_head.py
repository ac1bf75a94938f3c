"""The reader of GGUF heads: what it finds, and that no file upsets it."""

from __future__ import annotations

import random
import struct
import time
from pathlib import Path
from typing import Any

import gguf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peersky.core.errors import ModelFileInvalid
from peersky.llm import gguf_head
from peersky.llm.gguf_head import GgufHead, read_head

TOOL_TEMPLATE = "{% if tools %}{{ tools }}{% endif %}{% if enable_thinking %}<think>{% endif %}{{ messages }}"


def written(file: Path, arch: str = "llama", *, tensors: bool = True, **values: Any) -> Path:
    """A small GGUF file with these metadata entries (texts and numbers)."""
    writer = gguf.GGUFWriter(file, arch)
    for key, value in values.items():
        key = key.replace("__", ".")
        if isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, list):
            writer.add_array(key, value)
        else:
            writer.add_uint32(key, value)
    if tensors:
        import numpy as np

        writer.add_tensor("token_embd.weight", np.ones((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def raw(version: int = 3, tensors: int = 0, keys: int = 0, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + rest


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def entry(key: bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


ARCHITECTURE = entry(b"general.architecture", 8, text(b"llama"))


def test_what_a_model_says_of_itself(tiny: Path) -> None:
    head = read_head(tiny)
    assert head == GgufHead(
        architecture="llama",
        name="random-tiny",
        context_length=4096,
        layers=2,
        embedding_length=64,
        vocabulary=400,
        kv_values=2 * 2 * (16 + 16),
        chat_template=head.chat_template,
        makes_embeddings=False,
        generates=True,
        parts=1,
        size_bytes=tiny.stat().st_size,
    )
    assert "<|im_start|>" in head.chat_template
    assert head.capabilities == {"completion"}


def test_a_large_vocabulary_is_walked_over_quickly(half: Path) -> None:
    started = time.process_time()
    head = read_head(half)
    assert time.process_time() - started < 0.3
    assert head.vocabulary == 151_936


def test_memory_estimate_matches_what_llama_cpp_allocates(half: Path) -> None:
    # Measured for this file at 4096 tokens: 616 MB resident, of which 48 MiB cache.
    head = read_head(half)
    assert 4096 * head.kv_values * 2 == 48 * 1024 * 1024
    assert 616e6 < head.memory_bytes(4096, 256) < 900e6
    assert head.memory_bytes(8192, 256) - head.memory_bytes(4096, 256) == pytest.approx(48 * 1024**2 * 1.1, abs=2)


def test_capabilities_follow_from_template_and_architecture(tmp_path: Path) -> None:
    both = read_head(written(tmp_path / "a.gguf", tokenizer__chat_template=TOOL_TEMPLATE))
    assert both.capabilities == {"completion", "tools", "thinking"}
    encoder = read_head(written(tmp_path / "b.gguf", "nomic-bert"))
    assert encoder.capabilities == {"embedding"}
    pooled = read_head(written(tmp_path / "c.gguf", llama__pooling_type=1))
    assert pooled.capabilities == {"completion", "embedding"}
    unpooled = read_head(written(tmp_path / "d.gguf", llama__pooling_type=0))
    assert unpooled.capabilities == {"completion"}


def test_heads_per_layer_and_own_key_lengths(tmp_path: Path) -> None:
    head = read_head(
        written(
            tmp_path / "a.gguf",
            llama__block_count=3,
            llama__embedding_length=64,
            llama__attention__head_count=[4, 4, 4],
            llama__attention__head_count_kv=[2, 0, 1],
            llama__attention__key_length=10,
            llama__attention__value_length=20,
        )
    )
    assert head.kv_values == 3 * (10 + 20)


def test_parts_of_a_split_model(tmp_path: Path) -> None:
    assert read_head(written(tmp_path / "a.gguf", split__count=3)).parts == 3


def test_a_part_for_other_models_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileInvalid, match=r"part for other models \(clip\)"):
        read_head(written(tmp_path / "mmproj.gguf", "clip"))


@pytest.mark.parametrize("content", [b"", b"G", b"GGU", b"PK\3\4" * 50, b"<!DOCTYPE html><html>404</html>"])
def test_no_gguf(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(content)
    with pytest.raises(ModelFileInvalid, match=r"model\.gguf is no GGUF model file\."):
        read_head(file)


def test_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ModelFileInvalid, match=r"cannot be read: No such file"):
        read_head(tmp_path / "none.gguf")
    with pytest.raises(ModelFileInvalid, match=r"cannot be read: Is a directory"):
        read_head(tmp_path)


HOSTILE = {
    "version 1": raw(version=1),
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "no architecture": raw(keys=0),
    "architecture is a number": raw(keys=1, rest=entry(b"general.architecture", 4, struct.pack("<I", 1))),
    "2**63 keys": raw(keys=2**63),
    "2**63 tensors": raw(tensors=2**63, keys=1, rest=ARCHITECTURE),
    "many keys in a large file": raw(keys=gguf_head.MAX_KEYS + 1, rest=b"\0" * gguf_head.MAX_KEYS * 2),
    "endless text": raw(keys=1, rest=struct.pack("<Q", 2**62) + b"x"),
    "unknown type": raw(keys=1, rest=entry(b"k", 99, b"")),
    "array of arrays": raw(keys=1, rest=entry(b"k", 9, struct.pack("<IQ", 9, 1) + b"\0" * 64)),
    "array of 2**61": raw(keys=1, rest=entry(b"k", 9, struct.pack("<IQ", 4, 2**61) + b"\0" * 64)),
    "array of empty texts": raw(keys=1, rest=entry(b"k", 9, struct.pack("<IQ", 8, 10**6) + b"\0" * 64)),
    "five dimensions": raw(tensors=1, keys=1, rest=ARCHITECTURE + text(b"t") + struct.pack("<I", 5) + b"\0" * 99),
    "huge tensor": raw(
        tensors=1,
        keys=1,
        rest=ARCHITECTURE + text(b"t") + struct.pack("<IQQQQIQ", 4, *[2**63] * 4, 0, 2**63) + b"\0" * 99,
    ),
    "alignment 0": raw(keys=2, rest=ARCHITECTURE + entry(b"general.alignment", 4, struct.pack("<I", 0)) + b"\0" * 99),
    "alignment is a text": raw(keys=2, rest=ARCHITECTURE + entry(b"general.alignment", 8, text(b"x"))),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(tmp_path: Path, name: str) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(HOSTILE[name])
    started = time.process_time()
    with pytest.raises(ModelFileInvalid):
        read_head(file)
    assert time.process_time() - started < 1


def test_every_truncation_is_noticed(tiny: Path, tmp_path: Path) -> None:
    content = tiny.read_bytes()
    file = tmp_path / "model.gguf"
    rng = random.Random(1)
    lengths = {*range(600), *rng.sample(range(len(content)), 400), len(content) - 1}
    for length in lengths:
        file.write_bytes(content[:length])
        with pytest.raises(ModelFileInvalid) as caught:
            read_head(file)
        assert "model.gguf" in caught.value.message
    file.write_bytes(content[:-1])
    with pytest.raises(ModelFileInvalid, match=r"incomplete: it has 0\.2 MB of the 0\.2 MB .* Download it again"):
        read_head(file)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("fuzz")
    file = written(folder / "small.gguf", llama__block_count=2, llama__attention__head_count=[1, 2])
    return folder / "fuzzed.gguf", file.read_bytes()


@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(small: tuple[Path, bytes], data: st.DataObject) -> None:
    file, content = small
    damaged = bytearray(content)
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=6)):
        damaged[position] = data.draw(st.integers(0, 255))
    file.write_bytes(damaged[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        head = read_head(file)
    except ModelFileInvalid:
        return
    assert head.memory_bytes(4096, 256) >= 0
    assert head.capabilities


def test_tensor_types_are_ggml_s() -> None:
    known = {int(kind): size for kind, size in gguf.constants.GGML_QUANT_SIZES.items()}
    assert {kind: size for kind, size in gguf_head.TENSOR_TYPES.items() if kind in known} == known
