"""The engine's threads: one core is left to the browser, and a tiny model gets one thread."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from peersky.llm.engine_threads import TINY_MODEL_BYTES, EngineThreads, engine_threads
from peersky.system.processors import Processors, processors


@pytest.mark.parametrize(
    ("logical", "cores", "answer"),
    [(1, 1, 1), (2, 2, 1), (2, 1, 1), (4, 4, 3), (8, 4, 4), (16, 16, 15)],
)
def test_an_answer_leaves_a_core_or_its_second_thread_to_the_browser(logical: int, cores: int, answer: int) -> None:
    assert engine_threads(TINY_MODEL_BYTES, Processors(logical, cores)) == EngineThreads(answer, cores)


def test_a_tiny_model_has_one_thread_on_any_computer() -> None:
    assert engine_threads(TINY_MODEL_BYTES - 1, Processors(64, 32)) == EngineThreads(1, 1)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux tells which processors may be used")
def test_processors_that_share_a_core_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2, 3, 9})
    for number, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        folder = tmp_path / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{siblings}\n", encoding="ascii")
    assert processors(tmp_path) == Processors(5, 3), "of processor 9 nothing is told"


def test_the_processors_of_this_computer() -> None:
    here = processors()
    assert 1 <= here.cores <= here.logical
