"""The documentation as the browser shows it: what is listed, read and refused; and that its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from peersky.core.errors import PeerSkyError
from peersky.core.origins import parse_origin
from peersky.web.asker import Asker
from peersky.web.docs_api import DocsApi
from peersky.web.errors import error_response
from tests.asgi.client import AsgiClient

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted((ROOT / "docs").glob("*.md"))
ABOUT = Asker(parse_origin("peersky://about"), parse_origin("peersky://about"), "xhr")
_LINK = re.compile(r"(?:\]\(|\bsrc(?:set)?=\")([^)\"\s]+)")


def client(source: Path) -> AsgiClient:
    def sentence(_request: Any, error: Exception) -> Any:
        assert isinstance(error, PeerSkyError)
        return error_response(error)

    handlers: Any = {PeerSkyError: sentence}
    return AsgiClient(
        Starlette(routes=[Mount("/api", routes=DocsApi(source).routes())], exception_handlers=handlers), ABOUT
    )


async def test_it_lists_and_reads_the_documents_and_their_pictures() -> None:
    docs = client(ROOT)
    listed = (await docs.get("peersky://about/api/docs")).json["documents"]
    assert listed[0] == {"name": "README", "title": "PeerSky"}
    assert [one["name"] for one in listed[1:]] == [file.stem for file in DOCUMENTS]
    assert {"name": "window-llm", "title": "window.llm: the model in a page"} in listed
    document = (await docs.get("peersky://about/api/doc?name=p2p")).json
    assert document == {"name": "p2p", "text": (ROOT / "docs" / "p2p.md").read_text("utf-8")}
    picture = await docs.get("peersky://about/api/doc-image?name=window-light-1600.png")
    assert (picture.status, picture.headers["content-type"]) == (200, "image/png")


@pytest.mark.parametrize("name", ["x", "../README", "images/../p2p", "p2p.md", "..", "%2e%2e%2fREADME"])
async def test_nothing_else_is_read(name: str) -> None:
    docs = client(ROOT)
    for path in ("doc", "doc-image"):
        assert (await docs.get(f"peersky://about/api/{path}?name={name}")).status == 404
    assert (await docs.get("peersky://about/api/doc-image")).status == 404


async def test_a_copy_without_documentation_says_so(tmp_path: Path) -> None:
    for path in ("docs", "doc"):
        reply = await client(tmp_path).get(f"peersky://about/api/{path}")
        assert (reply.status, "docs/ of its source" in reply.text) == (404, True)


@pytest.mark.parametrize("file", [ROOT / "README.md", *DOCUMENTS], ids=lambda file: file.name)
def test_links_and_pictures_lead_to_files(file: Path) -> None:
    text = re.sub(r"^(```.*?^```|    .*?)$", "", file.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    local = {link.split("#")[0] for link in _LINK.findall(text) if not re.match(r"[a-z]+:|#", link)}
    assert [link for link in sorted(local) if not (file.parent / link).exists()] == []
