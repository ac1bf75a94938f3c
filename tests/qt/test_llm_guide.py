"""Every sample of ``docs/llm.md`` runs, in a page of somebody's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from peersky.core.chat import ChatChunk, ChatRequest
from tests.fakes.scripted_provider import END, Step
from tests.qt.pages_lab import PagesLab
from tests.qt.window_host import page_app

GUIDE = (Path(__file__).parents[2] / "docs" / "llm.md").read_text("utf-8")
SAMPLES = re.findall(r"```js\n(.*?)```", GUIDE, re.DOTALL)
SHOWN = [
    "",
    "Hello, world",
    "Hello, world",
    "Hello, world",
    "Ada",
    "other by builtin: completion, embedding, vision; 4096 tokens",
    "TypeError (invalid_request): The option temperature",
    "Hello, world",
]


def answer(request: ChatRequest) -> list[Step]:
    if request.response_format:
        return [ChatChunk(content='{"name": "Ada"}'), END]
    return [ChatChunk(content="Hello, "), ChatChunk(content="world"), END]


@pytest.fixture
def lab(tmp_path: Path, world: Callable[..., Any]) -> Iterator[PagesLab]:
    lab = PagesLab(tmp_path, world, hyper=page_app)
    lab.builtin.script = answer
    lab.settings.change({"llm.enabled": True, "llm.provider": "builtin", "llm.model": "other"})
    yield lab
    lab.close()


def test_the_samples_do_what_the_guide_says(lab: PagesLab) -> None:
    assert len(SAMPLES) == len(SHOWN)
    for sample, shown in zip(SAMPLES, SHOWN, strict=True):
        tab = lab.open("hyper://somebody/")
        tab.run("document.body.textContent = ''")
        tab.run(sample)
        assert tab.text("body").startswith(shown), sample
        assert bool(tab.text("body")) == bool(shown), sample


def test_without_a_model_the_page_links_to_the_settings(lab: PagesLab) -> None:
    lab.settings.change({"llm.enabled": False})
    tab = lab.open("hyper://somebody/")
    tab.run(SAMPLES[0])
    assert tab.run("return document.querySelector('a').href") == "peersky://settings/llm"
