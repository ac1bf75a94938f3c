"""Who may read and who may publish on ``hyper:``, ``ipfs:`` and ``ipns:``: a test per case, most of them rejections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from peersky.core.origins import BROWSER
from peersky.core.trust import Policy
from peersky.web.asker import COMMAND_LINE, Asker
from tests.asgi.p2p_world import ALLOWED, APP, CID, DRIVE, EVIL, IMPORTED, OTHER_DRIVE, World, page

NAME = "ipns://k51qzi5uqu5djdczd6zw0grmo23j2vkj9uzvujencg15s5rlkq0ss4ivll8wqw"
TRUSTED = [APP, IMPORTED, ALLOWED, "http://localhost:3000", DRIVE, CID, NAME]
ASKED = [IMPORTED, ALLOWED, "http://localhost:3000", CID]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    yield made
    await made.close()


async def writes(world: World, asker: Asker, url: str, method: str = "PUT") -> int:
    return (await world.ask(asker, method, url, content=b"x")).status


@pytest.mark.parametrize("origin", TRUSTED)
@pytest.mark.parametrize("resource", ["xhr", "image", "sub-frame", "main-frame"])
async def test_trusted_pages_read(world: World, origin: str, resource: str) -> None:
    assert (await world.ask(page(origin, resource), "GET", f"{OTHER_DRIVE}/refuse-404-no_such_path")).status == 404


@pytest.mark.parametrize("origin", [EVIL, "null", "https://agregore.mauve.moe.evil.example"])
@pytest.mark.parametrize("resource", ["xhr", "image", "sub-frame", "media", "script", "prefetch"])
async def test_untrusted_pages_read_nothing(world: World, origin: str, resource: str) -> None:
    assert (await world.ask(page(origin, resource), "GET", f"{DRIVE}/a")).status == 403
    assert (await world.ask(page(origin, resource), "GET", "hyper://localhost/?key=blog")).status == 403
    assert world.node.state == "stopped", "nothing is started for them"


async def test_a_trusted_page_in_an_untrusted_one_reads_nothing(world: World) -> None:
    assert (await world.ask(page(DRIVE, "xhr", top=EVIL), "GET", f"{DRIVE}/a")).status == 403
    assert (await world.ask(page(EVIL, "sub-frame"), "GET", f"{DRIVE}/")).status == 403


async def test_the_address_bar_and_workers_of_trusted_pages_read(world: World) -> None:
    assert (await world.ask(Asker(BROWSER, BROWSER, "main-frame"), "GET", f"{DRIVE}/a")).status == 404
    assert (await world.ask(page(DRIVE, top=None), "GET", f"{DRIVE}/a")).status == 404
    assert (await world.ask(page(EVIL, top=None), "GET", f"{DRIVE}/a")).status == 403


async def test_a_drive_is_written_by_its_own_pages_without_a_question(world: World) -> None:
    drive = await world.make(page(APP))
    assert await writes(world, page(drive), f"{drive}/a") == 201
    assert await writes(world, page(drive), f"{drive}/a", "DELETE") == 200
    assert not world.person.questions


async def test_a_built_in_app_publishes_without_a_question_but_only_to_its_own(world: World) -> None:
    mine, theirs = await world.make(page(APP)), await world.make(page(ALLOWED))
    world.person.questions.clear()
    assert await writes(world, page(APP), f"{mine}/a") == 201
    assert await writes(world, page(APP), f"{CID}/a") == 201
    assert await writes(world, page(APP), f"{theirs}/a") == 403
    assert await writes(world, page(APP), f"{DRIVE}/a") == 403
    assert not world.person.questions


@pytest.mark.parametrize("origin", ASKED)
async def test_every_other_page_is_asked_about_once(world: World, origin: str) -> None:
    drive = await world.make(page(origin))
    assert await writes(world, page(origin), f"{drive}/a.html") == 201
    assert await writes(world, page(origin), f"{CID}/a.html") == 201
    (question,) = world.person.questions
    assert (str(question.origin), question.capability) == (origin, "publish")
    assert "“blog”" in question.text


@pytest.mark.parametrize("origin", [*ASKED, DRIVE])
async def test_a_page_that_was_refused_publishes_nothing(world: World, origin: str) -> None:
    world.person.answer = False
    reply = await world.ask(page(origin), "POST", "hyper://localhost/?key=blog")
    assert (reply.status, "peersky://settings/sites" in reply.text) == (403, True)
    assert await writes(world, page(origin), f"{CID}/a") == 403
    assert len(world.person.questions) == 1
    assert world.node.state == "stopped"


async def test_the_question_names_what_is_published(world: World) -> None:
    await writes(world, page(ALLOWED), f"{CID}/a%20photo.png")
    assert "publish the file “a photo.png”" in world.person.questions[-1].text


async def test_nobody_writes_what_is_not_theirs(world: World) -> None:
    users, apps = await world.make(COMMAND_LINE), await world.make(page(APP))
    for origin in (ALLOWED, IMPORTED, DRIVE, CID):
        for drive in (users, apps, OTHER_DRIVE):
            for method in ("PUT", "DELETE", "POST"):
                reply = await world.ask(page(origin), method, f"{drive}/a", content=b"x")
                assert reply.status == 403
                assert "not yours" in reply.text
    assert not world.person.questions, "the user is not bothered with what cannot be"


async def test_the_user_in_person_writes_everything(world: World) -> None:
    drive = await world.make(page(ALLOWED))
    world.person.questions.clear()
    assert await writes(world, COMMAND_LINE, f"{drive}/a") == 201
    mine = await world.make(COMMAND_LINE)
    assert await world.ledger.owner(f"{mine}/") == "user"
    assert not world.person.questions


@pytest.mark.parametrize(
    "asker",
    [
        page(EVIL),
        page("null"),
        page(APP, top=None),
        page(DRIVE, top=None),
        page(DRIVE, top=EVIL),
        page(APP, top=EVIL),
        page(ALLOWED, top="null"),
        page(DRIVE, "main-frame"),
        Asker(BROWSER, BROWSER, "main-frame"),
    ],
    ids=["web", "opaque", "worker", "own worker", "framed", "framed app", "in a sandbox", "form", "typed"],
)
@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("PUT", f"{DRIVE}/a"),
        ("DELETE", f"{DRIVE}/"),
        ("POST", f"{DRIVE}/$/extensions/chat"),
        ("POST", "hyper://localhost/?key=a"),
        ("POST", "ipns://localhost/?key=a"),
        ("DELETE", "ipns://localhost/?key=a"),
        ("PUT", f"{CID}/a"),
        ("DELETE", f"{CID}/"),
        ("POST", f"{NAME}/"),
    ],
)
async def test_these_write_nothing_at_all(world: World, asker: Asker, method: str, url: str) -> None:
    assert await writes(world, asker, url, method) == 403
    assert not world.person.questions
    assert world.node.state == "stopped"


async def test_a_blocked_site_publishes_nothing(world: World) -> None:
    world.policy = Policy(blocked=frozenset({DRIVE}))
    assert await writes(world, page(DRIVE), f"{DRIVE}/a") == 403


async def test_names_are_those_of_the_asker(world: World) -> None:
    mine, theirs = await world.make(page(APP)), await world.make(page(ALLOWED))
    assert mine != theirs
    assert await world.make(page(APP)) == mine
    found = await world.ask(page(ALLOWED), "GET", "hyper://localhost/?key=blog")
    assert found.text == f"{theirs}/"
    assert (await world.ask(page(DRIVE), "GET", "hyper://localhost/?key=blog")).status == 404
    typed = await world.ask(Asker(BROWSER, BROWSER, "main-frame"), "GET", "hyper://localhost/?key=blog")
    assert typed.status == 404
    assert [one["headers"]["x-peersky-origin"] for one in await world.seen()][-2:] == [DRIVE, "user"]


@pytest.mark.parametrize("name", ["hyper://blog.example", "ipns://blog.example"])
async def test_a_name_of_somebodys_dns_is_no_way_to_write(world: World, name: str) -> None:
    """Its owner could make it stand for a drive of somebody else's once his page is there."""
    reply = await world.ask(page(name), "PUT", f"{name}/a", content=b"x")
    assert reply.status == 403
    assert "the key itself" in reply.text
    assert await writes(world, COMMAND_LINE, f"{name}/a") == 403


async def test_messages_to_the_peers_of_a_drive_need_permission_but_no_drive(world: World) -> None:
    chat = f"{OTHER_DRIVE}/$/extensions/chat"
    assert await writes(world, page(ALLOWED), chat, "POST") == 201
    assert "send messages" in world.person.questions[0].text
    assert not (await world.ledger.search()).total
    assert await writes(world, page(ALLOWED), chat, "PUT") == 403


async def test_only_a_publisher_stops_sharing_a_cid(world: World) -> None:
    mine = await world.ask(page(APP), "PUT", f"{CID}/a", content=b"mine")
    assert await writes(world, page(ALLOWED), mine.text, "DELETE") == 403
    assert await writes(world, page(APP), mine.text, "DELETE") == 200
    assert await writes(world, page(APP), mine.text, "DELETE") == 403


async def test_an_ipfs_page_does_not_own_its_cid(world: World) -> None:
    world.person.answer = False
    assert await writes(world, page(CID), f"{CID}/a") == 403
    assert len(world.person.questions) == 1
