"""Answers that come before the user can have read the question."""

from __future__ import annotations

import pytest

from peersky.core.click_guard import GUARD_S, ClickGuard
from tests.fakes.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(clock: Clock) -> ClickGuard:
    guard = ClickGuard(clock)
    guard.see()
    return guard


def test_an_answer_counts_after_half_a_second(guard: ClickGuard, clock: Clock) -> None:
    clock.now += GUARD_S
    assert guard.remaining_s == 0
    assert guard.accepts()


def test_an_early_answer_counts_for_nothing_and_starts_the_time_anew(guard: ClickGuard, clock: Clock) -> None:
    clock.now += GUARD_S - 0.01
    assert not guard.accepts()
    # The second half of a double click, when half a second since the question is over.
    clock.now += 0.2
    assert not guard.accepts()
    clock.now += GUARD_S
    assert guard.accepts()


def test_whoever_clicks_on_and_on_answers_nothing(guard: ClickGuard, clock: Clock) -> None:
    for _ in range(100):
        clock.now += 0.3
        assert not guard.accepts()


def test_a_held_key_never_answers(guard: ClickGuard, clock: Clock) -> None:
    clock.now += 10
    assert not guard.accepts(repeated=True)
    assert not guard.accepts()
    clock.now += GUARD_S
    assert guard.accepts()


def test_a_question_that_is_not_seen_takes_no_answer(clock: Clock) -> None:
    guard = ClickGuard(clock)
    clock.now += 10
    assert guard.remaining_s == GUARD_S
    assert not guard.accepts()
    # The answer that came too early has not made it seen.
    clock.now += 10
    assert not guard.accepts()


def test_a_question_that_moved_is_a_new_one_to_the_eye(guard: ClickGuard, clock: Clock) -> None:
    clock.now += 10
    guard.hide()
    guard.see()
    assert not guard.accepts()


def test_painting_it_again_is_not_seeing_it_again(guard: ClickGuard, clock: Clock) -> None:
    clock.now += GUARD_S
    guard.see()
    assert guard.accepts()
