"""Fixtures that every kind of test may use.

Models have random weights, are made once and are kept in ``tests/.cache`` (not in git) until their maker changes.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent.parent
MAKER = ROOT / "tools" / "random_gguf.py"
CACHE = ROOT / "tests" / ".cache"
sys.path.insert(0, str(ROOT))

ModelMaker = Callable[..., Path]

# How fast examples are made depends on what else the machine does, and says nothing of the program.
settings.register_profile(
    "peersky",
    max_examples=2_000 if os.environ.get("PEERSKY_LONG") else 100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("peersky")

# Whoever starts the tests in the background has them ignore Ctrl-C, which they would hand down to what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No test may touch the keyring of whoever runs it.
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"


def pytest_configure() -> None:
    from tests.web_names import teach_chromium

    teach_chromium()


@pytest.fixture(scope="session")
def make_model() -> ModelMaker:
    """``make_model("tiny", "--pooling", template="…")`` gives the path of such a file."""

    def make(preset: str, *options: str, template: str = "") -> Path:
        recipe = repr((preset, options, template)).encode() + MAKER.read_bytes()
        file = CACHE / f"{preset}-{hashlib.sha256(recipe).hexdigest()[:12]}.gguf"
        if not file.exists():
            CACHE.mkdir(exist_ok=True)
            half_done = file.with_suffix(f".{os.getpid()}.part.gguf")
            arguments = [str(half_done), "--preset", preset, *options]
            if template:
                template_file = half_done.with_suffix(".jinja")
                template_file.write_text(template, encoding="utf-8")
                arguments += ["--template", str(template_file)]
            subprocess.run([sys.executable, str(MAKER), *arguments], check=True, stdout=subprocess.DEVNULL)
            half_done.replace(file)
            half_done.with_suffix(".jinja").unlink(missing_ok=True)
        return file

    return make


@pytest.fixture(scope="session")
def tiny(make_model: ModelMaker) -> Path:
    """0.3 MB, 2 layers, context 4096: answers nonsense at 2,000 tokens a second."""
    return make_model("tiny")


@pytest.fixture(scope="session")
def half(make_model: ModelMaker) -> Path:
    """528 MB, the shape of a real model of half a billion weights: slow enough to be interrupted."""
    return make_model("half", "--type", "q8_0")


@pytest.fixture(scope="session")
def long_or() -> Callable[[int, int], int]:
    """``long_or(200, 8)``: how often to repeat in ``make faults ARGS=--long``, and how often otherwise."""
    return lambda long, short: long if os.environ.get("PEERSKY_LONG") else short
