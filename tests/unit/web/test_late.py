"""Apps that are served before they are there: pages at once, everything else as soon as it can answer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from peersky.core.origins import parse_origin
from peersky.web.asker import Asker
from peersky.web.late import LateApp, LatePages, LateUploads
from tests.asgi.client import AsgiClient


def app_that_says(text: str) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})

    return app


async def test_a_request_waits_for_its_app() -> None:
    here: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def app() -> Any:
        return await asyncio.shield(here)

    waiting = AsgiClient(LateApp(app)).send("GET", "llm://bridge/v1/status")
    await asyncio.sleep(0)
    assert waiting.status == 0
    here.set_result(app_that_says("status"))
    await waiting.read()
    assert waiting.text == "status"


async def test_pages_and_files_do_not_wait_and_apis_and_imported_apps_do() -> None:
    asked: list[str] = []

    async def app() -> Any:
        asked.append("services")
        return app_that_says("services")

    client = AsgiClient(LatePages(app, lambda: app_that_says("files")))
    for url, expected in (
        ("peersky://home/", "files"),
        ("peersky://assets/peersky.css", "files"),
        ("peersky://home/apis", "files"),
        ("peersky://home/api/llm-status", "services"),
        ("peersky://app-0123456789abcdef/", "services"),
    ):
        before = len(asked)
        assert (await client.request("GET", url)).text == expected, url
        assert len(asked) - before == (expected == "services"), url


async def test_an_app_that_cannot_start_fails_the_request() -> None:
    async def app() -> Any:
        raise RuntimeError("The services cannot start.")

    with pytest.raises(RuntimeError, match="cannot start"):
        await LateApp(app)({"type": "http"}, None, None)  # type: ignore[arg-type]


async def test_the_app_is_asked_before_an_upload_where_it_wants_to_be(tmp_path: Path) -> None:
    class Careful:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            raise AssertionError("only a whole upload comes here")

        async def admit(self, scope: Any, send: Any) -> bool:
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b"no"})
            return False

    async def careful() -> Any:
        return Careful()

    origin = parse_origin("hyper://drive")
    page = Asker(origin, origin, "fetch")
    headers = {"X-Peersky-Upload": f"{'0' * 32}; offset=0"}
    refused = AsgiClient(LateUploads(LateApp(careful), tmp_path), page)
    assert (await refused.request("PUT", "hyper://drive/a", content=b"x", headers=headers)).status == 403

    async def plain() -> Any:
        return app_that_says("whole")

    taken = AsgiClient(LateUploads(LateApp(plain), tmp_path), page)
    assert (await taken.request("PUT", "hyper://drive/a", content=b"x", headers=headers)).status == 202
