"""Manifests, hostile ones first."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peersky.core.errors import BackendFailed, NotSupported
from peersky.core.manifest import LAYER_PREFIX, MAX_MANIFEST_BYTES, Layer, check_runnable, make_manifest, parse_manifest

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


def entry(kind: str = "model", digest: Any = A, size: Any = 10, **more: Any) -> dict[str, Any]:
    return {"mediaType": LAYER_PREFIX + kind, "digest": digest, "size": size, **more}


def raw(*layers: Any, config: Any = None, **more: Any) -> bytes:
    return json.dumps(
        {"schemaVersion": 2, "layers": list(layers), **({"config": config} if config else {}), **more}
    ).encode()


def test_a_manifest() -> None:
    content = raw(
        entry(from_="x"), entry("template", B, 3), entry("draft", C, 99), config=entry("x", "sha256:" + "d" * 64, 5)
    )
    manifest = parse_manifest(content, "R")
    assert manifest.raw == content
    assert [layer.kind for layer in manifest.layers] == ["config", "model", "template", "draft"]
    assert [layer.kind for layer in manifest.used] == ["config", "model", "template"]
    assert manifest.size_bytes == 18
    assert manifest.model == Layer("model", A, 10)
    assert manifest.model.file_name == "sha256-" + "a" * 64


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        raw(),
        json.dumps({"layers": {"0": entry()}}).encode(),
        raw("x"),
        raw(None),
        raw([entry()]),
        raw({"digest": A, "size": 1}),
        raw({**entry(), "mediaType": 5}),
        raw({**entry(), "mediaType": "x" * 201}),
        raw(entry(), config="x"),
        raw(entry(), config=entry("x", "../../etc/passwd", 1)),
        raw(entry(size=2**63)),
        raw(*[entry(digest=f"sha256:{n:064x}", size=2**42) for n in range(3)]),
        raw(entry(), entry(size=11)),
        raw(entry("license", size=5 * 2**20)),
        raw(entry(), config=entry("x", B, 5 * 2**20)),
        raw(*[entry("license", f"sha256:{n:064x}") for n in range(5000)]),
        b" " * (MAX_MANIFEST_BYTES + 1),
    ],
    ids=range(24),
)
def test_hostile_manifests(content: bytes) -> None:
    with pytest.raises(BackendFailed, match=r"^R sent a description of the model that cannot be right: .*Nothing was"):
        parse_manifest(content, "R")


@pytest.mark.parametrize(
    "digest",
    [
        "../../x",
        "sha256:../../x",
        "sha256-" + "a" * 64,
        "sha256:" + "A" * 64,
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 65,
        "sha256:" + "a" * 64 + "\n",
        "md5:" + "a" * 32,
        "sha256:" + "/" * 64,
        "",
        5,
        None,
        ["sha256:" + "a" * 64],
    ],
)
def test_hostile_digests(digest: Any) -> None:
    with pytest.raises(BackendFailed):
        parse_manifest(raw(entry(digest=digest)), "R")


@pytest.mark.parametrize("size", [-1, 2**43, 2**63, 1.5, "10", None, True, [10]])
def test_hostile_sizes(size: Any) -> None:
    with pytest.raises(BackendFailed):
        parse_manifest(raw(entry(size=size)), "R")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["layers", "digest", "size", "config", "mediaType"]), inner, max_size=4)
    ),
)


@given(st.binary(max_size=50) | JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_is_a_manifest_or_refused(content: bytes) -> None:
    try:
        manifest = parse_manifest(content, "R")
    except BackendFailed:
        return
    for layer in manifest.layers:
        assert layer.file_name.startswith("sha256-")
        assert len(layer.file_name) == 71


def test_a_manifest_that_we_write_reads_back() -> None:
    layers = [Layer("model", A, 1), Layer("system", B, 2)]
    assert parse_manifest(make_manifest(None, layers), "R").layers == tuple(layers)
    config = Layer("config", C, 3)
    assert parse_manifest(make_manifest(config, layers), "R").layers == (config, *layers)


@pytest.mark.parametrize(
    ("layers", "config", "sentence"),
    [
        ([entry("tensor")], {}, "format safetensors.*hf.co"),
        ([entry("json")], {"model_format": "safetensors"}, "format safetensors"),
        ([entry(), entry("adapter", B)], {}, "adapter"),
        ([entry(), entry(digest=B)], {}, "split into 2 files"),
        ([entry("license")], {"remote_host": "https://ollama.com"}, "Ollama's cloud"),
        ([entry("license")], {}, "names no weights"),
        ([entry("draft")], {}, "names no weights"),
    ],
)
def test_what_the_engine_cannot_run(layers: list[Any], config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(NotSupported, match=sentence):
        check_runnable(parse_manifest(raw(*layers), "R"), config, "m:t")


def test_what_it_can() -> None:
    manifest = parse_manifest(raw(entry(), entry("projector", B), entry("draft", C)), "R")
    check_runnable(manifest, {"model_format": "gguf", "model_family": "llama"}, "m:t")
