"""Thoughts within the text: any split of it gives the same, and an answer about tags keeps them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peersky.llm.think_tags import ThinkTags


def split(*pieces: str) -> tuple[str, str]:
    tags = ThinkTags()
    found = [tags.feed(piece) for piece in pieces] + [tags.finish()]
    return "".join(text for text, _ in found), "".join(thoughts for _, thoughts in found)


@pytest.mark.parametrize(
    ("answer", "text", "thoughts"),
    [
        ("<think>hm</think>Hi", "Hi", "hm"),
        ("\n <think>\nhm\n</think>\n\nHi\n", "Hi\n", "\nhm\n"),
        ("<think></think>Hi", "Hi", ""),
        ("<think>cut off", "", "cut off"),
        ("<think>cut off</thi", "", "cut off</thi"),
        ("</think>\n\nHi", "Hi", ""),
        ("So I\n</think>\n\nHi", "So IHi", ""),
        ("Hi", "Hi", ""),
        ("  Hi", "  Hi", ""),
        ("", "", ""),
        ("<", "<", ""),
        ("<th", "<th", ""),
        ("<thinking>x</thinking>", "<thinking>x</thinking>", ""),
        ("Write <think> and </think>.", "Write <think> and </think>.", ""),
        ("```\n<think>\nx\n</think>\n```", "```\n<think>\nx\n</think>\n```", ""),
        ("<think>a</think>b<think>c</think>d", "b<think>c</think>d", "a"),
        ("<think>a < b</think>1 < 2\n", "1 < 2\n", "a < b"),
    ],
)
def test_what_is_text_and_what_is_thought(answer: str, text: str, thoughts: str) -> None:
    assert split(answer) == (text, thoughts)
    assert split(*answer) == (text, thoughts)


@given(
    st.lists(
        st.sampled_from(["<think>", "</think>", "<", "</", "think>", "\n", " ", "a", "é", "<b>", "``"]), max_size=12
    ),
    st.lists(st.integers(0, 60), max_size=8),
)
def test_any_split_gives_the_same(parts: list[str], cuts: list[int]) -> None:
    answer = "".join(parts)
    points = [0, *sorted(min(cut, len(answer)) for cut in cuts), len(answer)]
    pieces = [answer[start:stop] for start, stop in itertools.pairwise(points)]
    assert split(*pieces) == split(answer) == split(*answer)


@given(st.text(max_size=40).filter(lambda text: "<" not in text))
def test_text_without_tags_stays_as_it_is(answer: str) -> None:
    assert split(*answer) == (answer, "")


def test_text_comes_without_delay() -> None:
    tags = ThinkTags()
    assert tags.feed("Hi") == ("Hi", "")
    assert tags.feed(" there") == (" there", "")
