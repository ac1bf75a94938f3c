"""Files as replies: names that lead out, types, ranges, HEAD, chunks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from peersky.web.static import CHUNK_BYTES, content_type, file_response, find_file, is_folder
from tests.asgi.client import AsgiClient

TEN = b"0123456789"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "site"
    (root / "sub").mkdir(parents=True)
    (root / "empty").mkdir()
    for name in ("index.html", "page.html", ".hidden", "sub/index.html", "sub/ünï cödé.txt"):
        (root / name).write_text(name)
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "site-of-somebody-else").mkdir()
    (tmp_path / "site-of-somebody-else" / "file.txt").write_text("secret")
    return root


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("/", "index.html"),
        ("", "index.html"),
        ("/page.html", "page.html"),
        ("page.html", "page.html"),
        ("/sub/", "sub/index.html"),
        ("/sub/ünï cödé.txt", "sub/ünï cödé.txt"),
    ],
)
def test_finds_files_and_indexes(folder: Path, path: str, file: str) -> None:
    assert find_file(folder, path) == (folder / file).resolve()


@pytest.mark.parametrize(
    "path",
    [
        "/missing.html",
        "/sub",
        "/empty/",
        "/page.html/",
        "/.hidden",
        "/../secret.txt",
        "/sub/../../secret.txt",
        "/sub/../page.html",
        "/..",
        "/.",
        "//page.html",
        "//etc/passwd",
        "/../site-of-somebody-else/file.txt",
        "/..\\secret.txt",
        "\\..\\secret.txt",
        "/C:/Windows/win.ini",
        "/page.html\0.png",
        "/" + "a" * 5000,
    ],
)
def test_finds_nothing_else(folder: Path, path: str) -> None:
    assert find_file(folder, path) is None


def test_a_symbolic_link_does_not_lead_out(folder: Path) -> None:
    (folder / "out.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "out").symlink_to(folder.parent)
    (folder / "in.txt").symlink_to(folder / "page.html")
    assert find_file(folder, "/out.txt") is None
    assert find_file(folder, "/out/secret.txt") is None
    assert find_file(folder, "/in.txt") == (folder / "page.html").resolve()


@given(st.text(alphabet=st.sampled_from("./\\ab~%:\0"), max_size=12))
def test_never_leaves_the_folder(path: str) -> None:
    here = Path(__file__).parent
    found = find_file(here, path)
    assert found is None or found.is_relative_to(here.resolve())


def test_tells_folders_that_lack_their_slash(folder: Path) -> None:
    assert is_folder(folder, "/sub")
    assert not is_folder(folder, "/sub/")
    assert not is_folder(folder, "/empty")
    assert not is_folder(folder, "/page.html")


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.CSS", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.esm.mjs", "text/javascript; charset=utf-8"),
        ("peersky.d.ts", "text/plain; charset=utf-8"),
        ("a.svg", "image/svg+xml"),
        ("a.webm", "video/webm"),
        ("LICENSE", "application/octet-stream"),
        ("a.unknown", "application/octet-stream"),
    ],
)
def test_content_types(name: str, type_: str) -> None:
    assert content_type(name) == type_


def client_for(file: Path) -> AsgiClient:
    async def endpoint(request: Request) -> Response:
        return file_response(request, file)

    return AsgiClient(Starlette(routes=[Route("/file", endpoint)]))


@pytest.mark.parametrize(
    ("range_", "status", "body", "content_range"),
    [
        (None, 200, TEN, None),
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=9-9", 206, b"9", "bytes 9-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, TEN, "bytes 0-9/10"),
        ("bytes=5-900", 206, b"56789", "bytes 5-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=900-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=7-3", 200, TEN, None),
        ("bytes=0-1,4-5", 200, TEN, None),
        ("lines=0-3", 200, TEN, None),
        ("bytes=a-b", 200, TEN, None),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_ranges(
    tmp_path: Path, method: str, range_: str | None, status: int, body: bytes | None, content_range: str | None
) -> None:
    file = tmp_path / "ten.bin"
    file.write_bytes(TEN)
    reply = await client_for(file).request(method, "peersky://x/file", headers={"range": range_} if range_ else {})
    assert reply.status == status
    assert reply.headers.get("content-range") == content_range
    assert reply.headers["accept-ranges"] == "bytes"
    if method == "HEAD":
        assert reply.body == b""
        assert body is None or reply.headers["content-length"] == str(len(body))
    elif body is not None:
        assert reply.body == body
        assert reply.headers["content-length"] == str(len(body))
    else:
        assert reply.text == "The file has 10 bytes, none of them in that range."


@pytest.mark.parametrize(("range_", "status"), [(None, 200), ("bytes=0-", 416), ("bytes=-5", 416), ("bytes=0-0", 416)])
async def test_an_empty_file(tmp_path: Path, range_: str | None, status: int) -> None:
    file = tmp_path / "empty.txt"
    file.touch()
    reply = await client_for(file).get("peersky://x/file", headers={"range": range_} if range_ else {})
    assert reply.status == status
    if status == 200:
        assert (reply.body, reply.headers["content-length"]) == (b"", "0")
    else:
        assert reply.headers["content-range"] == "bytes */0"


async def test_a_large_file_arrives_in_chunks_and_whole(tmp_path: Path) -> None:
    data = os.urandom(3 * CHUNK_BYTES + 17)
    file = tmp_path / "large.bin"
    file.write_bytes(data)
    async with client_for(file).stream("GET", "peersky://x/file") as reply:
        sizes = [len(chunk) async for chunk in reply]
    assert reply.body == data
    assert sizes == [CHUNK_BYTES] * 3 + [17]


async def test_who_goes_away_ends_the_reading(tmp_path: Path) -> None:
    file = tmp_path / "large.bin"
    file.write_bytes(bytes(64 * CHUNK_BYTES))
    async with client_for(file).stream("GET", "peersky://x/file") as reply:
        await reply.next_chunk()
    assert reply.is_finished
    assert len(reply.body) < 64 * CHUNK_BYTES
