"""The store of what the user decided about sites: what counts when, what is kept, and what is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from peersky.core.errors import InvalidRequest, NotAllowed, ProfileUnusable
from peersky.core.origins import Origin, parse_origin
from peersky.core.trust import Answer, Decision, Publish, SendToService, UseMemory, UseModel, may
from peersky.system.permissions import SitePermissions
from peersky.system.prompt_port import Consent, Question

SITE = "hyper://abc"
ORIGIN = parse_origin(SITE)
ALLOW, ASK, BLOCK = Decision.ALLOW, Decision.ASK, Decision.BLOCK


class Person:
    def __init__(self, answer: Consent = Consent.FOR_GOOD) -> None:
        self.answer = answer
        self.questions: list[Question] = []

    async def ask(self, question: Question) -> Consent:
        self.questions.append(question)
        return self.answer


def model(permissions: SitePermissions, origin: Origin = ORIGIN) -> Answer:
    return may(origin, UseModel(), origin, permissions.policy())


def test_a_decision_counts_at_once_and_after_a_restart(tmp_path: Path) -> None:
    permissions = SitePermissions(tmp_path / "p.json")
    told: list[str] = []
    permissions.subscribe(told.append)
    for decision, answer in ((BLOCK, Answer.NO), (ASK, Answer.ASK), (ALLOW, Answer.YES), (BLOCK, Answer.NO)):
        permissions.decide(SITE, "llm", decision)
        assert model(permissions) is answer
    assert model(SitePermissions(tmp_path / "p.json")) is Answer.NO
    permissions.decide(SITE, "llm", None)
    assert model(permissions) is model(SitePermissions(tmp_path / "p.json")) is Answer.YES
    assert told == [SITE] * 5


def test_a_decision_for_now_ends_with_the_process_and_takes_the_place_of_one_for_good(tmp_path: Path) -> None:
    permissions = SitePermissions(tmp_path / "p.json")
    permissions.decide(SITE, "memory", BLOCK, for_good=False)
    assert may(ORIGIN, UseMemory(), ORIGIN, permissions.policy()) is Answer.NO
    assert [one.for_good for one in permissions.all()] == [False]
    assert SitePermissions(tmp_path / "p.json").all() == []
    permissions.decide(SITE, "memory", ALLOW)
    assert [(one.decision, one.for_good) for one in permissions.all()] == [(ALLOW, True)]


def test_block_takes_everything_and_forget_gives_it_back(tmp_path: Path) -> None:
    permissions = SitePermissions(tmp_path / "p.json")
    permissions.decide(SITE, "cloud", ALLOW, target="https://cloud.example")
    permissions.set_limits(SITE, {"parallel": 1})
    permissions.block(SITE)
    policy = permissions.policy()
    assert policy.blocked == {SITE}
    for capability in (UseModel(), UseMemory(), Publish(own=True), SendToService("https://cloud.example")):
        assert may(ORIGIN, capability, ORIGIN, policy) is Answer.NO
    permissions.forget(SITE)
    assert permissions.all() == []
    assert permissions.limited() == []
    assert SitePermissions(tmp_path / "p.json").policy().blocked == frozenset()


def test_a_decision_about_all_services_takes_the_place_of_those_about_single_ones(tmp_path: Path) -> None:
    permissions = SitePermissions(tmp_path / "p.json")
    permissions.decide(SITE, "cloud", ALLOW, target="https://cloud.example")
    permissions.decide(SITE, "cloud", BLOCK)
    assert [(one.target, one.decision) for one in permissions.all()] == [("", BLOCK)]


@pytest.mark.parametrize(
    "origin", ["", "null", "file:///", "peersky://settings", "https://Example.org", "https://a.example/", "browser"]
)
def test_nothing_can_be_decided_about_what_is_no_site(tmp_path: Path, origin: str) -> None:
    permissions = SitePermissions(tmp_path / "p.json")
    works: list[Callable[[], None]] = [
        lambda: permissions.decide(origin, "llm", ALLOW),
        lambda: permissions.block(origin),
        lambda: permissions.set_limits(origin, {"parallel": 1}),
    ]
    for work in works:
        with pytest.raises(InvalidRequest, match="no site"):
            work()
    with pytest.raises(InvalidRequest, match="llm, memory, publish, cloud"):
        permissions.decide(SITE, "camera", ALLOW)
    assert not (tmp_path / "p.json").exists()


def test_a_block_that_cannot_be_stored_counts_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    permissions = SitePermissions(folder / "p.json")
    (tmp_path / "gone").write_text("a file where the folder should be")
    with pytest.raises(ProfileUnusable):
        permissions.block(SITE)
    assert model(permissions) is Answer.NO


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"decisions": []}', b"\xff"])
def test_a_damaged_file_is_set_aside_and_its_copy_takes_its_place(tmp_path: Path, text: bytes) -> None:
    file, notices = tmp_path / "p.json", list[str]()
    SitePermissions(file).block(SITE)
    file.write_bytes(text)
    again = SitePermissions(file, on_notice=notices.append)
    assert model(again) is Answer.NO
    assert len(notices) == 1
    assert "copy" in notices[0]
    assert [path.read_bytes() for path in tmp_path.glob("p.json.damaged-*")] == [text]


def test_without_a_copy_the_user_is_told_to_look(tmp_path: Path) -> None:
    notices = list[str]()
    (tmp_path / "p.json").write_text("{")
    assert SitePermissions(tmp_path / "p.json", on_notice=notices.append).all() == []
    assert "look at what sites may do again" in notices[0]


async def test_the_user_is_asked_where_the_policy_says_so(tmp_path: Path) -> None:
    person = Person()
    answers: list[bool] = []
    permissions = SitePermissions(tmp_path / "p.json", person, on_answer=lambda _key, yes: answers.append(yes))
    await permissions.check(ORIGIN, "llm", "May it?", "No.")
    assert person.questions == []
    permissions.decide(SITE, "llm", ASK)
    await permissions.check(ORIGIN, "llm", "May it?", "No.")
    await permissions.check(ORIGIN, "llm", "May it?", "No.")
    assert [question.text for question in person.questions] == ["May it?"]
    assert answers == [True]
    assert model(SitePermissions(tmp_path / "p.json")) is Answer.YES


async def test_a_yes_for_now_ends_with_the_process_and_then_the_user_is_asked_again(tmp_path: Path) -> None:
    person, file = Person(Consent.FOR_NOW), tmp_path / "p.json"
    permissions = SitePermissions(file, person)
    permissions.decide(SITE, "llm", ASK)
    for service in ("https://one.example", "https://two.example"):
        for _ in range(2):
            await permissions.check(ORIGIN, "llm", "May it?", "No.")
            await permissions.check(ORIGIN, "cloud", "May it ask?", "No.", service)
    assert [question.target for question in person.questions] == ["", "https://one.example", "https://two.example"]
    assert {(one.decision, one.for_good) for one in permissions.all()} == {(ALLOW, False)}
    again = SitePermissions(file)
    assert [(one.capability, one.decision) for one in again.all()] == [("llm", ASK)]
    assert model(again) is Answer.ASK


async def test_a_no_holds_for_now_and_is_no_block(tmp_path: Path) -> None:
    person = Person(Consent.REFUSED)
    permissions = SitePermissions(tmp_path / "p.json", person)
    for _ in range(2):
        with pytest.raises(NotAllowed, match=r"No\.") as caught:
            await permissions.check(ORIGIN, "publish", "May it?", "No.")
        assert caught.value.reason == "declined"
    assert len(person.questions) == 1
    assert [(one.decision, one.declined, one.for_good) for one in permissions.all()] == [(BLOCK, True, False)]
    assert may(ORIGIN, Publish(), ORIGIN, permissions.policy()) is Answer.ASK
    permissions.decide(SITE, "publish", ASK)
    person.answer = Consent.FOR_GOOD
    await permissions.check(ORIGIN, "publish", "May it?", "No.")


async def test_who_is_blocked_is_not_asked_about(tmp_path: Path) -> None:
    person = Person()
    permissions = SitePermissions(tmp_path / "p.json", person)
    permissions.block(SITE)
    with pytest.raises(NotAllowed) as caught:
        await permissions.check(ORIGIN, "publish", "May it?", "No.")
    assert caught.value.reason == "blocked_by_user"
    assert person.questions == []


async def test_changes_on_many_threads_are_all_kept(tmp_path: Path) -> None:
    permissions = SitePermissions(tmp_path / "p.json")
    sites = [f"hyper://site{number}" for number in range(20)]
    await asyncio.gather(*(asyncio.to_thread(permissions.block, site) for site in sites))
    assert SitePermissions(tmp_path / "p.json").policy().blocked == set(sites)


def test_the_policy_follows_the_allowlist(tmp_path: Path) -> None:
    listed = {"https://one.example"}
    permissions = SitePermissions(tmp_path / "p.json", allowlist=lambda: frozenset(listed))
    one, two = parse_origin("https://one.example"), parse_origin("https://two.example")
    assert (model(permissions, one), model(permissions, two)) == (Answer.YES, Answer.NO)
    listed.add("https://two.example")
    assert model(permissions, two) is Answer.YES
