"""``window.llm`` in the real QtWebEngine: every error is typed, has a reason, and never looks like a normal end."""

from __future__ import annotations

from typing import Any

import pytest

from peersky.core.chat import ChatChunk
from peersky.core.errors import BackendFailed, ContextExceeded, NotSupported, QuotaExceeded
from tests.qt.llm_lab import Lab, chat, error_of

ERRORS: list[tuple[str, Exception, list[Any]]] = [
    ("unreachable", BackendFailed("Gone."), ["NetworkError", "unreachable", True]),
    ("crashed", BackendFailed("Died.", reason="interrupted"), ["NetworkError", "interrupted", True]),
    ("model missing", NotSupported("No such.", reason="model_missing"), ["NotSupportedError", "model_missing", True]),
    (
        "context",
        ContextExceeded("Too long.", requested=4017, quota=512),
        ["QuotaExceededError", "context_length", True],
    ),
    ("budget", QuotaExceeded("No more."), ["QuotaExceededError", "budget", True]),
    ("a fault of ours", RuntimeError("x"), ["OperationError", "internal_error", True]),
]


@pytest.mark.parametrize(("failure", "expected"), [(e, x) for _, e, x in ERRORS], ids=[name for name, _, _ in ERRORS])
@pytest.mark.parametrize("begun", [False, True], ids=["before the answer", "in mid-answer"])
def test_errors(lab: Lab, failure: Exception, expected: list[Any], begun: bool) -> None:
    lab.provider.script = [*([ChatChunk(content="He")] if begun else []), failure]
    assert lab.run(error_of(f"await {chat()};")) == expected
    assert lab.run(error_of(f"for await (const d of {chat()}) window.last = d.content;")) == expected
    assert lab.run(error_of("await llm.complete('Hi');")) == expected
    if begun:
        assert lab.run("return window.last;") == "He"


def test_quota_errors_are_of_the_native_class_with_the_numbers(lab: Lab) -> None:
    lab.provider.script = [ContextExceeded("Too long.", requested=4017, quota=512)]
    what = "[e instanceof QuotaExceededError, e.requested, e.quota, e.message]"
    assert lab.run(error_of(f"await {chat()};", what)) == [True, 4017, 512, "Too long."]


def test_a_stream_that_just_ends_is_no_answer(lab: Lab) -> None:
    lab.provider.script = [ChatChunk(content="He")]
    assert lab.run(error_of(f"await {chat()};")) == ["NetworkError", "interrupted", True]


def test_an_error_of_iteration_is_not_reported_again(lab: Lab) -> None:
    lab.provider.script = lambda request: [BackendFailed(request.messages[0]["content"])]
    first_reported = """
        const reported = new Promise((resolve) => {
            addEventListener('unhandledrejection', (e) => resolve(e.reason.message), {once: true});
        });
        try {
            for await (const text of llm.complete('Iterated.'));
        } catch { /* expected */ }
        llm.complete('Awaited, and nobody catches.').then(() => {});
        return await reported;
    """
    assert lab.run(first_reported) == "Awaited, and nobody catches."


def test_disabled(lab: Lab) -> None:
    lab.settings.change({"llm.enabled": False})
    assert lab.run("return await window.llm.isSupported();") is False
    assert lab.run(error_of(f"await {chat()};")) == ["NotAllowedError", "llm_disabled", True]
    lab.settings.change({"llm.enabled": True})
    assert lab.run("return await window.llm.isSupported();") is True


def test_a_page_that_was_trusted_when_it_loaded(lab: Lab) -> None:
    """The script is convenience; the other side checks each request."""
    lab.page.load("hyper://abc/")
    lab.world.policy = type(lab.world.policy)(blocked=frozenset({"hyper://abc"}))
    assert lab.run("return await window.llm.isSupported();") is False
    assert lab.run(error_of(f"await {chat()};")) == ["NotAllowedError", "blocked_by_user", True]
    assert lab.run(error_of("await llm.model();")) == ["NotAllowedError", "blocked_by_user", True]


def test_another_model(lab: Lab) -> None:
    script = error_of(f"await {chat('{messages, model: `other`}')};")
    assert lab.run(script) == ["NotSupportedError", "model_not_exposed", True]
