# SPDX-License-Identifier: GPL-3.0-or-later
"""The starter model's data is honest: no held-out question in the training text. Its file is small."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tools.starter import data, grammar

MODELS = Path(__file__).resolve().parents[3] / "src" / "peersky" / "assets" / "models"


@pytest.fixture(scope="module")
def corpus() -> data.Corpus:
    return data.load()


def test_no_held_out_question_is_in_the_training_text_or_can_be_drawn_from_it(corpus: data.Corpus) -> None:
    assert data.leaks(corpus, data.questions(data.HELD_OUT)) == []


def test_the_check_finds_a_question_that_can_be_drawn(corpus: data.Corpus) -> None:
    def found(text: str) -> bool:
        question = data.Question("x", "x", text, (("x",),), ())
        return bool(data.leaks(corpus, [question]))

    assert found("WHAT IS PeerSky???")
    assert found("Hey, what is PeerSky, please")
    assert found("what does isSupported() do")
    assert found("Please make this bold: something never seen")
    assert not found("Which cheese goes with a peer-to-peer protocol?")


def test_what_is_drawn_matches_its_own_pattern(corpus: data.Corpus) -> None:
    """Else the check above would prove nothing."""
    rng = random.Random(0)
    for topics in corpus.topics.values():
        for topic in topics:
            if topic.bindings:
                continue
            for pattern in topic.questions:
                text = grammar.draw(grammar.parse(pattern), corpus.slots, rng)
                assert data.can_draw(corpus, [pattern], text), (topic.name, pattern, text)


def test_conversations_never_use_a_forbidden_question(corpus: data.Corpus) -> None:
    free = data.Conversations(corpus, seed=3, forbidden=frozenset())
    forbidden = frozenset(grammar.normalise(free.turn()[0].content) for _ in range(300))
    source = data.Conversations(corpus, seed=3, forbidden=forbidden)
    drawn = {grammar.normalise(source.turn()[0].content) for _ in range(300)}
    assert source.refused > 0
    assert not drawn & forbidden


def test_the_evaluation_has_enough_distinct_questions_with_rubrics() -> None:
    held_out = data.questions(data.HELD_OUT)
    assert len(held_out) >= 120
    assert len({grammar.normalise(q.question) for q in held_out}) == len(held_out)
    assert len({q.id for q in held_out}) == len(held_out)
    assert all(q.need and all(q.need) for q in held_out)


def test_no_rubric_is_met_by_a_single_answer_to_everything(corpus: data.Corpus) -> None:
    """A rubric that any answer meets would score nothing: no answer may pass a fifth of the questions."""
    held_out = data.questions(data.HELD_OUT)
    for topics in corpus.topics.values():
        for topic in topics:
            for answer in topic.answers:
                assert sum(data.passes(q, answer) for q in held_out) < len(held_out) / 5, topic.name


def test_the_development_questions_are_not_the_held_out_ones() -> None:
    development = {grammar.normalise(q.question) for q in data.questions(data.DEVELOPMENT)}
    assert not development & {grammar.normalise(q.question) for q in data.questions(data.HELD_OUT)}


def test_scoring_needs_every_group_and_none_of_the_forbidden() -> None:
    question = data.Question("x", "x", "?", (("red", "rouge"), ("blue",)), ("green",))
    assert data.passes(question, "Rouge and BLUE")
    assert not data.passes(question, "red")
    assert not data.passes(question, "red, blue, green")


def test_the_model_is_shipped_with_its_card_and_is_small() -> None:
    model = MODELS / "starter.gguf"
    assert model.read_bytes()[:4] == b"GGUF"
    assert model.stat().st_size <= 10_000_000
    assert "held-out" in (MODELS / "STARTER-CARD.md").read_text("utf-8")


@pytest.mark.parametrize("pattern", ["(a|b", "a)", "[a", "{a"])
def test_a_malformed_pattern_is_refused_with_its_text(pattern: str) -> None:
    with pytest.raises(grammar.PatternError, match="of the pattern"):
        grammar.parse(pattern)
