"""What `make interop` runs; without it nothing here is collected.

``PEERSKY_INTEROP`` names the built Ollamas, ``PEERSKY_KUBO`` the built Kubo.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from peersky.llm.providers.ollama import OllamaProvider
from peersky.system.settings_store import SettingsStore
from tests.conftest import ModelMaker
from tests.fakes.registry_server import RegistryServer
from tests.fakes.scripted_provider import Log
from tests.interop.real_ollama import RealOllama
from tests.unit.llm.provider_home import open_settings

PROGRAMS = [Path(program) for program in os.environ.get("PEERSKY_INTEROP", "").split(os.pathsep) if program]
CONTEXT = 512
SYSTEM = b"You are terse."

collect_ignore_glob = [] if PROGRAMS else ["test_real_ollama.py", "test_real_store.py"]
if not os.environ.get("PEERSKY_KUBO"):
    collect_ignore_glob.append("test_real_kubo.py")


def version_of(program: Path) -> str:
    """``v0.33.0``: the name of the directory that tools/interop.py built it for."""
    return program.parent.parent.name


@pytest.fixture(scope="session", params=PROGRAMS, ids=version_of)
def program(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture(scope="module")
def ollama(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealOllama]:
    with RealOllama(program, tmp_path_factory.mktemp("ollama")) as running:
        yield running


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryServer]:
    # Ollama follows a redirect to the blob only if it leads to another host.
    with RegistryServer(signed_elsewhere=True) as running:
        yield running


@pytest.fixture(scope="session")
def weights(tiny: Path) -> bytes:
    return tiny.read_bytes()


@pytest.fixture(scope="session")
def pooling(make_model: ModelMaker) -> bytes:
    """A model that makes embeddings.

    In the list of models Ollama takes it for one only if the file says so before it says anything of the tokenizer, as
    converted models do and those of random_gguf.py do not.
    """
    found = make_model("tiny", "--pooling").read_bytes()
    key = b"llama.pooling_type"
    start, target = found.index(key) - 8, found.index(b"general.name") - 8
    end = start + 8 + len(key) + 4 + 4
    return found[:target] + found[start:end] + found[target:start] + found[end:]


@pytest.fixture
def settings(tmp_path: Path, ollama: RealOllama) -> SettingsStore:
    return open_settings(tmp_path, baseURL=ollama.url, contextLength=CONTEXT)


@pytest.fixture
async def provider(settings: SettingsStore) -> AsyncIterator[OllamaProvider]:
    made = OllamaProvider(settings, Log())
    yield made
    await made.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with half the room that the model of random weights takes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root on Linux may mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
async def model(provider: OllamaProvider, registry: RegistryServer, weights: bytes) -> str:
    """A model of random weights that this Ollama has; it can complete and nothing else."""
    name = registry.add("tiny:f16", {"model": weights, "system": SYSTEM}, {"model_format": "gguf", "file_type": "F16"})
    await provider.ensure(name, lambda progress: None)
    return name
