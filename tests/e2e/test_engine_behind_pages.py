"""Pages and the real engine: every way to stop frees it, its death is an error and not the end, two pages share it."""

from __future__ import annotations

import os
import signal
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from peersky.qt.driver import ScriptFailed, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from peersky.qt.driver import PageDriver
    from tests.e2e.conftest import Product

APP = "peersky://p2p/ai-chat/"
# About 3,000 tokens of the random vocabulary: half a minute of prompt processing with the 0.5B model.
LONG = "'the and of to in '.repeat(600)"
START = """
    window.stop = new AbortController();
    window.pieces = 0;
    window.ended = null;
    const options = {messages: [{role: 'user', content: CONTENT}], maxTokens: 4000, signal: window.stop.signal};
    window.answer = window.llm.chat(options);
    window.loop = (async () => {
      for await (const {content} of window.answer) { window.pieces += 1; if (window.leave) break; }
      return 'left';
    })().then((how) => { window.ended = how; }, (error) => { window.ended = error.name; });
"""


def engine(product: Product) -> psutil.Process:
    """The engine's process: the child of this one that the log says is ready."""
    return psutil.Process(product.log("child.ready")[-1]["pid"])


def used_s(process: psutil.Process) -> float:
    """Processor time that a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


def busy_s(process: psutil.Process, over_s: float) -> float:
    """Processor time that a process uses during the next ``over_s`` seconds."""
    before, until = used_s(process), time.monotonic() + over_s
    wait_until(lambda: time.monotonic() >= until, over_s + 1, None)
    return used_s(process) - before


def stop_with_break(page: PageDriver, product: Product) -> None:
    page.evaluate("window.leave = true; await window.loop")


def stop_with_signal(page: PageDriver, product: Product) -> None:
    page.evaluate("window.stop.abort()")


def stop_with_navigation(page: PageDriver, product: Product) -> None:
    page.load("peersky://home/")


def stop_with_close(page: PageDriver, product: Product) -> None:
    product.close_page(page)


def stop_with_button(page: PageDriver, product: Product) -> None:
    product.runtime.stop_generation("peersky://p2p")


def _is_writing(page: PageDriver) -> bool:
    return bool(page.evaluate("return window.pieces > 2"))


def _has_ended(product: Product, before: int) -> bool:
    return len(product.log("generation-end")) > before


STOPS = [stop_with_break, stop_with_signal, stop_with_navigation, stop_with_close, stop_with_button]


@pytest.mark.timeout(300)
def test_every_way_to_stop_frees_the_engine(product: Callable[..., Product], half: Path) -> None:
    one = product(half, contextLength=8192, parallel=1)
    warm = one.page(APP)
    warm.evaluate("await window.llm.complete('hi', {maxTokens: 1})", 120)
    process = engine(one)
    failures = []
    for phase in ("generating", "prompt"):
        for stop in STOPS:
            if phase == "prompt" and stop is stop_with_break:
                continue  # there is nothing to break out of before the first piece
            page = one.page(APP)
            page.evaluate(START.replace("CONTENT", LONG if phase == "prompt" else "'hi'"))
            if phase == "generating":
                assert wait_until(partial(_is_writing, page), 30, None)
            else:
                assert wait_until(lambda: busy_s(process, 0.2) > 0.1, 30, None)
            began, before = len(one.log("generation-end")), used_s(process)
            stop(page, one)
            assert wait_until(partial(_has_ended, one, began), 30, None), (phase, stop)
            assert wait_until(lambda: busy_s(process, 0.2) < 0.02, 30, None), (phase, stop)
            # One second of two threads, told in processor time, which does not depend on what else the machine does.
            if (spent := used_s(process) - before) > 2.0:
                failures.append(f"{phase} {stop.__name__}: {spent:.2f} s of processor time after the stop")
    assert not failures


@pytest.mark.fault("Engine dies while a page reads its answer")
def test_the_engine_dies_in_mid_answer(product: Callable[..., Product], half: Path) -> None:
    one = product(half, contextLength=2048)
    page = one.page(APP)
    page.evaluate(START.replace("CONTENT", "'hi'"))
    assert wait_until(lambda: page.evaluate("return window.pieces") > 2, 60, None)
    os.kill(engine(one).pid, signal.SIGKILL)
    assert wait_until(lambda: page.evaluate("return window.ended") == "NetworkError", 5, None)
    reason = page.evaluate("try { await window.answer; } catch (error) { return error.reason; }")
    assert reason == "interrupted"
    text = page.evaluate("return await window.llm.complete('hi', {maxTokens: 3})", 60)
    assert isinstance(text, str)
    assert text


@pytest.mark.skipif(sys.platform != "linux", reason="stops a process for a while")
@pytest.mark.fault(
    "Engine hangs while a page reads its answer: told, stopped by hand, and the next question is answered"
)
def test_the_engine_hangs_in_mid_answer(product: Callable[..., Product], half: Path) -> None:
    one = product(half, contextLength=2048, hangTimeout=1)
    told: list[str] = []
    one.runtime.activity.engine_hangs.connect(told.append)
    page = one.page(APP)
    page.evaluate(START.replace("CONTENT", "'hi'"))
    assert wait_until(lambda: page.evaluate("return window.pieces") > 2, 60, None)
    os.kill(engine(one).pid, signal.SIGSTOP)
    assert wait_until(lambda: bool(told) and "neither a word nor progress for 1 s" in told[-1], 30, None)
    assert page.evaluate("return window.ended") is None
    one.runtime.kill_engine()
    assert wait_until(lambda: page.evaluate("return window.ended") == "NetworkError", 10, None)
    assert wait_until(lambda: told[-1] == "", 10, None)
    one.runtime.settings.change({"llm.hangTimeout": 60})
    assert page.evaluate("return await window.llm.complete('hi', {maxTokens: 3})", 60)
    assert one.log("child.died") == []


def test_two_pages_stream_at_once(product: Callable[..., Product], half: Path) -> None:
    one = product(half, contextLength=2048, parallel=2)
    pages = [one.page(APP), one.page("peersky://home/")]
    for page in pages:
        page.evaluate(START.replace("CONTENT", "'hi'"))

    def both_under_way() -> bool:
        return all(page.evaluate("return window.pieces > 2 && window.ended === null") for page in pages)

    assert wait_until(both_under_way, 60, None)


def test_a_prompt_past_the_context_tells_the_numbers(product: Callable[..., Product], tiny: Path) -> None:
    page = product(tiny, contextLength=512).page(APP)
    with pytest.raises(ScriptFailed) as caught:
        page.evaluate("await window.llm.complete('word '.repeat(2000))")
    error: dict[str, Any] = caught.value.error
    assert (error["name"], error["reason"], error["quota"]) == ("QuotaExceededError", "context_length", 512)
    assert error["requested"] > 2000


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "GGUF"), (b"not a model at all", "GGUF"), (None, "truncated")],
    ids=["empty", "text", "truncated"],
)
def test_a_file_that_is_no_model(
    product: Callable[..., Product],
    tiny: Path,
    tmp_path: Path,
    content: bytes | None,
    words: str,
) -> None:
    file = tmp_path / "bad.gguf"
    file.write_bytes(tiny.read_bytes()[:-5000] if content is None else content)
    page = product(file).page(APP)
    with pytest.raises(ScriptFailed) as caught:
        page.evaluate("await window.llm.complete('hi')")
    assert caught.value.error["name"] == "NotSupportedError"
    assert "Traceback" not in caught.value.error["message"]
    assert caught.value.error["reason"] == "model_file_invalid"


def test_no_engine_outlives_the_runtime(product: Callable[..., Product], tiny: Path) -> None:
    one = product(tiny)
    one.page(APP).evaluate("await window.llm.complete('hi', {maxTokens: 2})")
    process = engine(one)
    one.close()
    assert not process.is_running()
