"""How the engine's settings do on this machine: a long prompt and a short answer, one setting changed at a time."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench import direct
from bench.rows import Row
from bench.world import World, engine_alone, half_model
from peersky.llm.engine import BATCH_TOKENS

BUDGET_S: Final = {True: 45.0, False: 240.0}
_SCRIPT: Final = Path(__file__).with_name("engine_variant.py")
_WORDS: Final = "the sea and the hills of the north are quiet in winter and loud in spring when the birds return "


_OWN: Final = "as PeerSky has it"


def _variants(quick: bool) -> dict[str, dict[str, Any]]:
    cores = os.cpu_count() or 1
    threads = sorted({1, max(1, cores // 2), max(1, cores - 1), cores})
    found: dict[str, dict[str, Any]] = {f"{n} threads": _threads(n) for n in threads}
    fewer = {"cpuparams.n_threads": max(1, cores - 1), "cpuparams_batch.n_threads": cores}
    found[f"{max(1, cores - 1)} threads for answers, {cores} for prompts"] = fewer
    batches = (256,) if quick else (128, 256, 512)
    found |= {f"batch {n}": {"n_batch": n, "n_ubatch": n} for n in batches if n != BATCH_TOKENS}
    if not quick:
        found |= {
            "flash attention on": {"flash_attn_type": "llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED"},
            "flash attention off": {"flash_attn_type": "llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED"},
            "KV in q8_0": {"cache_type_k": "ggml_type.GGML_TYPE_Q8_0", "cache_type_v": "ggml_type.GGML_TYPE_Q8_0"},
        }
    return found


def _threads(count: int) -> dict[str, Any]:
    return {"cpuparams.n_threads": count, "cpuparams_batch.n_threads": count}


def measure(world: World) -> list[Row]:
    """Two rows for each variant: the prompt's speed and the answer's, against the settings that PeerSky uses."""
    tokens = 30 if world.quick else 60
    length = 1 if world.quick else 3
    variants = _variants(world.quick)
    speeds: dict[str, list[tuple[float, float]]] = {}
    for number in world.rounds(1 if world.quick else 3, 1, 0.7):
        for name, change in {_OWN: {}, **variants}.items():
            speeds.setdefault(name, []).append(_speed(change, length, tokens, number))
    rows = _compared(speeds, "")
    # Whose threads wait for each other suffers most when one of them must wait for a core.
    with_neighbour: dict[str, list[tuple[float, float]]] = {}
    for number in world.rounds(1 if world.quick else 3, 1):
        with _busy_neighbour():
            for name, change in {_OWN: {}, **{name: variants[name] for name in variants if "thread" in name}}.items():
                with_neighbour.setdefault(name, []).append(_speed(change, 1, 20, number + 100))
    return rows + _compared(with_neighbour, " beside a busy program")


@contextlib.contextmanager
def _busy_neighbour() -> Iterator[None]:
    """Another program that wants one core all the time."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


def _compared(speeds: dict[str, list[tuple[float, float]]], where: str) -> list[Row]:
    own = speeds.pop(_OWN)
    rows = []
    for name, found in speeds.items():
        for at, what in enumerate(("prompt", "answer")):
            ours = [pair[at] for pair in own]
            base = [pair[at] for pair in found]
            # What is more than a tenth faster would have been the better default.
            rows.append(Row(f"{what}, against {name}{where}", "tokens/s", ours, base, name, least=0.9))
    return rows


def _speed(change: dict[str, Any], length: int, tokens: int, number: int) -> tuple[float, float]:
    """Tokens a second of prompt and answer, as the engine counts them."""
    messages = [{"role": "user", "content": f"Round {number}. {_WORDS * 6 * length}"}]
    body = {"messages": messages, "max_tokens": tokens, "temperature": 0, "stream": True}
    with engine_alone(half_model(), _SCRIPT, n_ctx=4096, set=change) as port:
        timings = direct.ask(port, body).timings
    return timings["prompt_per_second"], timings["predicted_per_second"]
