"""Which file of a repository on Hugging Face a name means, and what it says where it means none."""

from __future__ import annotations

import pytest

from peersky.core.errors import BackendFailed, NotSupported
from peersky.core.model_names import parse_model_name
from peersky.llm.library.hugging_face import HubFile, choose, find_on_hub
from peersky.llm.library.registry import Fetcher
from tests.fakes.registry_server import RegistryServer

MODELS = [
    "README.gguf.md",
    "mmproj-model-f16.gguf",
    "imatrix.gguf",
    "Some-7B-Q2_K.gguf",
    "Some-7B-Q4_K_M.gguf",
    "Some-7B-Q4_K_S.gguf",
    "Some-7B-UD-Q4_K_XL.gguf",
    "Some-7B-IQ4_XS.gguf",
    "Some-7B.Q8_0.gguf",
    "BF16/Some-7B-BF16-00001-of-00002.gguf",
    "BF16/Some-7B-BF16-00002-of-00002.gguf",
]


def files(paths: list[str]) -> list[HubFile]:
    return [HubFile(path, 10, "sha256:" + "a" * 64) for path in paths if path.endswith(".gguf")]


def chosen(tag: str, paths: list[str] = MODELS) -> str:
    return choose(files(paths), parse_model_name(f"hf.co/user/Some{tag}")).path


@pytest.mark.parametrize(
    ("tag", "path"),
    [
        ("", "Some-7B-Q4_K_M.gguf"),
        (":latest", "Some-7B-Q4_K_M.gguf"),
        (":Q4_K_M", "Some-7B-Q4_K_M.gguf"),
        (":q4_k_s", "Some-7B-Q4_K_S.gguf"),
        (":Q8_0", "Some-7B.Q8_0.gguf"),
        (":IQ4_XS", "Some-7B-IQ4_XS.gguf"),
        (":UD-Q4_K_XL", "Some-7B-UD-Q4_K_XL.gguf"),
        (":Some-7B-Q2_K.gguf", "Some-7B-Q2_K.gguf"),
    ],
)
def test_what_a_tag_means(tag: str, path: str) -> None:
    assert chosen(tag) == path


def test_without_the_usual_ones() -> None:
    assert chosen("", ["a-Q8_0.gguf", "a-Q2_K.gguf"]) == "a-Q8_0.gguf"
    assert chosen("", ["mmproj-a.gguf", "a-Q3_K_L.gguf", "a-Q2_K.gguf"]) == "a-Q3_K_L.gguf"
    assert chosen("", ["mtp-a.gguf", "only.gguf"]) == "only.gguf"


@pytest.mark.parametrize(
    ("tag", "paths", "sentence"),
    [
        (":Q5_K_M", MODELS, "has no Q5_K_M. It offers Q2_K, Q4_K_M, Q4_K_S, UD-Q4_K_XL, IQ4_XS, Q8_0: write one"),
        (":BF16", MODELS, "has BF16 only in several files, .* It offers Q2_K"),
        (":Q4", MODELS, "has no Q4. "),
        ("", MODELS[-2:], "has no GGUF of one file. Choose another repository"),
        ("", ["mmproj-a.gguf"], "has no GGUF file"),
        ("", [], "has no GGUF file"),
    ],
)
def test_what_it_does_not_have(tag: str, paths: list[str], sentence: str) -> None:
    with pytest.raises(NotSupported, match=sentence):
        chosen(tag, paths)


async def test_answers_that_make_no_sense(registry: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    fetcher = Fetcher()
    try:
        monkeypatch.setattr("tests.fakes.registry_server.COMMIT", "../../../../etc")
        registry.hub["user/Some"] = {"a-Q8_0.gguf": b"GGUF"}
        with pytest.raises(BackendFailed, match="makes no sense"):
            await find_on_hub(fetcher, parse_model_name("hf.co/user/Some"), registry.url)
    finally:
        await fetcher.close()


async def test_paths_are_escaped(registry: RegistryServer) -> None:
    registry.hub["user/Some"] = {"sub dir/a#b?c-Q8_0.gguf": b"GGUF" * 100}
    fetcher = Fetcher()
    try:
        source = await find_on_hub(fetcher, parse_model_name("hf.co/user/Some"), registry.url)
        url = source.url_of(source.manifest.model)
        assert url.endswith("/sub%20dir/a%23b%3Fc-Q8_0.gguf")
        async with fetcher.get(url, {}) as response:
            assert await response.aread() == b"GGUF" * 100
    finally:
        await fetcher.close()
