"""How many threads the engine computes with, chosen for the computer and the model.

llama.cpp's threads wait for each other many times in a token, spinning. One that must wait for a core, since the
browser draws or another program works, holds up all of them. ``docs/benchmarks.md`` has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from peersky.system.processors import Processors

TINY_MODEL_BYTES: Final = 32 * 1024**2
"""Below this, threads wait for each other longer than they compute."""


@dataclass(frozen=True, slots=True)
class EngineThreads:
    """Threads that compute.

    Attributes:
        answer: for the next token.
        prompt: for a batch of a prompt, where each thread has more to do between two waits.
    """

    answer: int
    prompt: int


def engine_threads(model_bytes: int, here: Processors) -> EngineThreads:
    """The threads for a model of this size in the file. One core is left to the browser, which shows the answer."""
    if model_bytes < TINY_MODEL_BYTES:
        return EngineThreads(1, 1)
    # Where cores run two threads each, the browser finds room beside one thread per core.
    answer = here.cores if here.logical > here.cores else max(1, here.cores - 1)
    return EngineThreads(answer, here.cores)
