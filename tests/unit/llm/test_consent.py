"""Who is asked before questions leave this computer, and what is remembered of the answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from peersky.core.errors import NotAllowed
from peersky.core.origins import USER, parse_origin
from peersky.llm.consent import CloudConsent
from peersky.system.permissions import SitePermissions
from peersky.system.prompt_port import Consent, NobodyToAsk, PromptPort, Question

SITE, OTHER = parse_origin("hyper://abc"), parse_origin("https://agregore.mauve.moe")
CLOUD, CLOUD_TWO = parse_origin("https://openrouter.ai/api/v1"), parse_origin("https://api.openai.com/v1")


class Person:
    """Answers as told; keeps the questions."""

    def __init__(self, answer: bool) -> None:
        self.answer = answer
        self.questions: list[Question] = []

    async def ask(self, question: Question) -> Consent:
        self.questions.append(question)
        return Consent.FOR_GOOD if self.answer else Consent.REFUSED


def consent_of(folder: Path, prompts: PromptPort) -> CloudConsent:
    return CloudConsent(SitePermissions(folder / "sites.json", prompts))


@pytest.mark.parametrize("origin", ["peersky://p2p", "peersky://home", "peersky://settings"])
async def test_the_browsers_own_pages_do_not_ask(tmp_path: Path, origin: str) -> None:
    await consent_of(tmp_path, NobodyToAsk()).check(parse_origin(origin), CLOUD)
    await consent_of(tmp_path, NobodyToAsk()).check(USER, CLOUD)


@pytest.mark.parametrize(
    "origin", ["hyper://abc", "ipfs://abc", "peersky://app-1", "http://localhost:3000", "https://agregore.mauve.moe"]
)
async def test_every_other_page_asks_once_and_a_yes_survives_a_restart(tmp_path: Path, origin: str) -> None:
    person, asker = Person(True), parse_origin(origin)
    consent = consent_of(tmp_path, person)
    await consent.check(asker, CLOUD)
    await consent.check(asker, CLOUD)
    assert [(question.origin, question.capability) for question in person.questions] == [(asker, "cloud")]
    assert "openrouter.ai" in person.questions[0].text
    await consent_of(tmp_path, NobodyToAsk()).check(asker, CLOUD)


async def test_a_yes_is_for_one_page_and_one_service(tmp_path: Path) -> None:
    await consent_of(tmp_path, Person(True)).check(SITE, CLOUD)
    nobody = consent_of(tmp_path, NobodyToAsk())
    for origin, service in ((OTHER, CLOUD), (SITE, CLOUD_TWO), (SITE, parse_origin("https://openrouter.ai:8443"))):
        with pytest.raises(NotAllowed) as caught:
            await nobody.check(origin, service)
        assert caught.value.reason == "declined"


async def test_a_no_is_not_asked_again_until_a_restart(tmp_path: Path) -> None:
    person = Person(False)
    consent = consent_of(tmp_path, person)
    for _ in range(2):
        with pytest.raises(NotAllowed, match="openrouter"):
            await consent.check(SITE, CLOUD)
    assert len(person.questions) == 1
    await consent_of(tmp_path, Person(True)).check(SITE, CLOUD)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"decisions": 3}', '{"decisions": [{"origin": "hyper://abc"}]}', "\xff"]
)
async def test_a_file_that_cannot_be_read_allows_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "sites.json").write_text(text, encoding="latin-1")
    with pytest.raises(NotAllowed):
        await consent_of(tmp_path, NobodyToAsk()).check(SITE, CLOUD)
