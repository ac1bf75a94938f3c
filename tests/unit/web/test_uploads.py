"""Upload sessions without Qt: slices become one body, and nobody uses up the sessions of others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from peersky.core.origins import parse_origin
from peersky.web.asker import Asker
from peersky.web.uploads import IDLE_S, MAX_SESSIONS, MAX_SESSIONS_OF_ORIGIN, UploadSessions
from tests.asgi.client import AsgiClient, Reply

URL = "llm://bridge/file"
PEER_URL = "hyper://drive/file"


class Desk:
    """Upload sessions in front of an app that keeps the bodies it gets, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.now_s = 1000.0
        self.bodies: list[bytes] = []
        self.spool = folder / "spool"
        self._client = AsgiClient(UploadSessions(self._app, self.spool, lambda: self.now_s))

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"kept"})

    async def slice(
        self, number: int, offset: int, data: bytes = b"", origin: str = "hyper://drive", url: str = URL
    ) -> Reply:
        return await self._send(f"{number:032x}; offset={offset}", data, origin, url)

    async def refused(self, number: int, url: str) -> Reply:
        return await self._send(f"{number:032x}; refused=0", b"", "hyper://drive", url)

    async def commit(self, number: int, total: int, origin: str = "hyper://drive") -> Reply:
        return await self._send(f"{number:032x}; commit={total}", b"", origin)

    async def _send(self, value: str, data: bytes, origin: str, url: str = URL) -> Reply:
        asker = Asker(parse_origin(origin), parse_origin(origin), "xhr")
        return await self._client.request("PUT", url, content=data, headers={"x-peersky-upload": value}, asker=asker)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_slices_arrive_as_one_body_and_leave_no_file(desk: Desk) -> None:
    assert (await desk.slice(1, 0, b"one ")).status == 202
    assert (await desk.slice(1, 4, b"two")).status == 202
    assert desk.bodies == []
    assert (await desk.commit(1, 7)).text == "kept"
    assert desk.bodies == [b"one two"]
    assert list(desk.spool.iterdir()) == []


async def test_a_gap_or_another_ones_session_commits_nothing(desk: Desk) -> None:
    await desk.slice(1, 0, b"one ")
    assert (await desk.slice(1, 9, b"two")).status == 400
    assert (await desk.commit(1, 4, "hyper://other")).status == 400
    assert (await desk.commit(1, 13)).status == 400
    assert desk.bodies == []


async def test_one_origin_has_some_sessions_and_leaves_the_others_to_others(desk: Desk) -> None:
    for number in range(MAX_SESSIONS_OF_ORIGIN):
        assert (await desk.slice(number, 0, b"x")).status == 202
    refused = await desk.slice(99, 0, b"x")
    assert refused.json["error"]["code"] == "too_many_uploads"
    assert refused.json["error"]["quota"] == MAX_SESSIONS_OF_ORIGIN
    # What it has goes on, others are not concerned, and an end makes room.
    assert (await desk.slice(0, 1, b"y")).status == 202
    assert (await desk.slice(99, 0, b"x", "hyper://other")).status == 202
    assert (await desk.commit(0, 2)).status == 200
    assert (await desk.slice(99, 0, b"x")).status == 202


async def test_all_origins_together_have_a_limit_and_idle_sessions_are_given_up(desk: Desk) -> None:
    for number in range(MAX_SESSIONS):
        origin = f"hyper://drive{number // MAX_SESSIONS_OF_ORIGIN}"
        assert (await desk.slice(number, 0, b"x", origin)).status == 202
    refused = await desk.slice(99, 0, b"x", "hyper://another")
    assert refused.json["error"]["quota"] == MAX_SESSIONS
    desk.now_s += IDLE_S + 1
    assert (await desk.slice(99, 0, b"x", "hyper://another")).status == 202
    assert len(list(desk.spool.iterdir())) == 1


@pytest.mark.fault("The disk fills up while a large body comes in slices")
async def test_a_full_disk_is_507_with_a_sentence_and_leaves_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, url in enumerate((PEER_URL, URL)):
        assert (await desk.slice(number, 0, b"one", url=url)).status == 202
    monkeypatch.setattr("peersky.web.uploads.shutil.disk_usage", lambda _folder: SimpleNamespace(free=1000))
    sentence = "The disk is too full for this upload; free some space and try again."
    for reply in (await desk.slice(0, 3, b"two", url=PEER_URL), await desk.refused(0, PEER_URL)):
        assert (reply.status, reply.text) == (507, sentence)
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    elsewhere = await desk.slice(1, 3, b"two")
    error = elsewhere.json["error"]
    assert (elsewhere.status, error["name"], error["code"]) == (507, "QuotaExceededError", "disk_full")
    assert list(desk.spool.iterdir()) == []
    assert (await desk.refused(0, PEER_URL)).status == 400
