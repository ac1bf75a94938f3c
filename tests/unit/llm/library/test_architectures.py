"""Models that the engine cannot run are refused from the head of their file, with an alternative that it can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import xllamacpp

from peersky.core.errors import NotSupported
from peersky.core.model_names import ModelName, parse_model_name
from peersky.llm.gguf_head import HeadIncomplete, read_head, read_head_of_part
from peersky.llm.library.architectures import ALTERNATIVES, KNOWN, SAFE_CHOICE, check_architecture
from peersky.llm.library.store import ModelStore
from tests.fakes.registry_server import RegistryServer
from tests.unit.llm.library.conftest import PART, Progress, PullerMaker

OLLAMA = parse_model_name("some:1b")
HUB = parse_model_name("hf.co/user/some")
FILL = 40


def written(file: Path, architecture: str, tensors: tuple[str, ...] = (), **values: Any) -> Path:
    """A GGUF file of this architecture, with FILL parts of weights behind its head."""
    writer = gguf.GGUFWriter(file, architecture)
    for key, value in values.items():
        if isinstance(value, str):
            writer.add_string(key.replace("__", "."), value)
        elif isinstance(value, float):
            writer.add_float32(key.replace("__", "."), value)
        else:
            writer.add_uint32(key.replace("__", "."), value)
    for name in ("token_embd.weight", *tensors):
        writer.add_tensor(name, np.ones((FILL * PART // 128, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


GEMMA3 = {"gemma3__attention__layer_norm_rms_epsilon": 1e-6}
REFUSED: dict[str, tuple[str, tuple[str, ...], dict[str, Any], str]] = {
    "gpt-oss": ("gptoss", (), {}, ALTERNATIVES["gptoss"]),
    "vision inside": ("llama", ("v.patch_embd.weight",), {}, SAFE_CHOICE),
    "projector inside": ("qwen2vl", ("mm.0.weight",), {}, SAFE_CHOICE),
    "gemma3 without epsilon": ("gemma3", (), {}, ALTERNATIVES["gemma3"]),
    "gemma3 with other rope": (
        "gemma3",
        (),
        {**GEMMA3, "gemma3__rope__global__freq_base": 1.0},
        ALTERNATIVES["gemma3"],
    ),
    "qwen2.5 vl": ("qwen25vl", (), {}, ALTERNATIVES["qwen25vl"]),
    "qwen3 vl": ("qwen3vl", (), {}, ALTERNATIVES["qwen3vl"]),
    "qwen3 next": ("qwen3next", (), {}, ALTERNATIVES["qwen3next"]),
    "lfm2": ("lfm2", (), {}, ALTERNATIVES["lfm2"]),
    "mistral3": ("mistral3", (), {}, SAFE_CHOICE),
    "llama4": ("llama4", (), {}, SAFE_CHOICE),
    "nemotron": ("nemotron_h_moe", (), {}, SAFE_CHOICE),
    "from the future": ("gpt9", (), {}, SAFE_CHOICE),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_it_is_refused_before_its_weights_are_downloaded(
    store: ModelStore, make_puller: PullerMaker, registry: RegistryServer, tmp_path: Path, case: str
) -> None:
    architecture, tensors, values, alternative = REFUSED[case]
    content = written(tmp_path / "m.gguf", architecture, tensors, **values).read_bytes()
    name = parse_model_name(registry.add("some:1b", {"model": content}))
    with pytest.raises(NotSupported) as caught:
        await make_puller().pull(name, Progress())
    assert alternative in caught.value.message
    assert registry.sent_bytes < len(content) / 4
    assert store.names() == []
    assert not [path for path in store.folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("architecture", "values", "name"),
    [
        ("llama", {}, OLLAMA),
        ("qwen2", {}, OLLAMA),
        ("qwen3", {}, OLLAMA),
        ("phi3", {}, OLLAMA),
        ("gemma2", {}, OLLAMA),
        ("gemma3", GEMMA3, OLLAMA),
        ("gemma3", GEMMA3, HUB),
        ("gpt-oss", {}, HUB),
        ("qwen3vl", {}, HUB),
        ("mistral3", {}, HUB),
        ("lfm2", {}, HUB),
        ("mistral3", {}, None),
    ],
)
def test_what_runs_is_not_refused(
    tmp_path: Path, architecture: str, values: dict[str, Any], name: ModelName | None
) -> None:
    check_architecture(read_head(written(tmp_path / "m.gguf", architecture, **values)), name)


def test_the_list_is_the_librarys() -> None:
    """llama.cpp's names stand in its library as texts; a new version brings new ones."""
    library = next(Path(xllamacpp.__file__).parent.glob("xllamacpp.*.so"), None)
    if library is None:
        pytest.skip("the engine's library has another name here")
    content = library.read_bytes()
    assert [name for name in KNOWN if name.encode() + b"\0" not in content] == []
    start = content.find(b"llama\0deci\0")
    assert start > 0
    listed = content[start : content.find(b"(unknown)", start)].split(b"\0")
    others = {"clip", "wavtokenizer-dec"}
    assert {name.decode() for name in listed if name} - others <= KNOWN


def test_alternatives_are_names() -> None:
    for text in (*ALTERNATIVES.values(), SAFE_CHOICE):
        assert str(parse_model_name(text)) == text


def test_a_head_is_read_from_the_beginning_of_a_file(tiny: Path) -> None:
    content, whole = tiny.read_bytes(), read_head(tiny)
    needed = next(size for size in range(0, len(content), 64) if _readable(content[:size], len(content)))
    assert needed < len(content) / 4
    assert read_head_of_part(content[:needed], "x", len(content)) == whole
    with pytest.raises(HeadIncomplete):
        read_head_of_part(content[: needed - 64], "x", len(content))


def _readable(start: bytes, size: int) -> bool:
    try:
        read_head_of_part(start, "x", size)
    except HeadIncomplete:
        return False
    return True
