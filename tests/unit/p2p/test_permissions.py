"""Who is asked before a site publishes, and what is remembered of the answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from peersky.core.errors import NotAllowed
from peersky.core.origins import parse_origin
from peersky.p2p.permissions import Publishers
from peersky.system.permissions import SitePermissions
from peersky.system.prompt_port import Consent, NobodyToAsk, Question

SITE, OTHER = parse_origin("https://agregore.mauve.moe"), parse_origin("http://localhost:3000")


class Person:
    """Answers as told; keeps the questions."""

    def __init__(self, answer: bool) -> None:
        self.answer = answer
        self.questions: list[Question] = []

    async def ask(self, question: Question) -> Consent:
        self.questions.append(question)
        return Consent.FOR_GOOD if self.answer else Consent.REFUSED


async def test_a_site_is_asked_about_once_and_a_yes_survives_a_restart(tmp_path: Path) -> None:
    person, file = Person(True), tmp_path / "sites.json"
    publishers = Publishers(SitePermissions(file, person))
    for _ in range(2):
        await publishers.check(SITE, "publish the file a.html (2 KB)")
    assert [(question.origin, question.capability) for question in person.questions] == [(SITE, "publish")]
    assert "publish the file a.html (2 KB)" in person.questions[0].text
    again = Publishers(SitePermissions(file, NobodyToAsk()))
    await again.check(SITE, "publish")
    with pytest.raises(NotAllowed):
        await again.check(OTHER, "publish")


async def test_a_no_is_not_asked_again_until_a_restart(tmp_path: Path) -> None:
    person, file = Person(False), tmp_path / "sites.json"
    publishers = Publishers(SitePermissions(file, person))
    for _ in range(2):
        with pytest.raises(NotAllowed, match="peersky://settings/sites") as caught:
            await publishers.check(SITE, "publish")
        assert caught.value.reason == "declined"
    assert len(person.questions) == 1
    await Publishers(SitePermissions(file, Person(True))).check(SITE, "publish")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"decisions": 3}', "\xff"])
async def test_a_file_that_cannot_be_read_allows_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "sites.json").write_text(text, encoding="latin-1")
    with pytest.raises(NotAllowed):
        await Publishers(SitePermissions(tmp_path / "sites.json", NobodyToAsk())).check(SITE, "publish")
