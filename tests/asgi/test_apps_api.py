"""``peersky://apps/api/``: adding, updating and deleting apps, and all that can be wrong with what is added."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import stat
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from peersky.core import app_files
from peersky.core.errors import NotFound, QuotaExceeded
from peersky.core.origins import parse_origin
from peersky.system import app_imports
from peersky.system.app_store import AppStore
from peersky.system.files import unusable
from tests.asgi.app_world import PAGE, AppWorld, pack, page, zipped


@pytest.fixture
def world(tmp_path: Path) -> AppWorld:
    return AppWorld(tmp_path)


def names(reply: Any) -> list[str]:
    return [app["name"] for app in reply.json["apps"]]


async def test_a_folder_becomes_an_app_and_stays_one(world: AppWorld) -> None:
    manifest = {
        "name": "My <b>Notes</b>",
        "description": "For\nme",
        "icons": [{"src": "/img/logo.svg", "sizes": "any"}],
    }
    app = await world.add(
        {
            "notes/manifest.json": json.dumps(manifest).encode(),
            "notes/index.html": PAGE,
            "notes/img/logo.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            "notes/empty.txt": b"",
            "notes/.git/config": b"secret",
            "notes/Thumbs.db": b"x",
        }
    )
    assert (app["name"], app["description"], app["files"]) == ("My <b>Notes</b>", "For me", 4)
    assert app["url"].startswith("peersky://app-my-b-notes-b-")
    assert (await world.open(app)).body == PAGE
    assert (await world.open(app, "empty.txt")).status == 200
    assert (await world.open(app, ".git/config")).status == 404
    icon = await world.client.get(f"peersky://apps{app['icon']}")
    assert (icon.status, icon.headers["content-type"]) == (200, "image/svg+xml")
    again = AppWorld(world.profile.root)
    assert names(await again.client.get("peersky://apps/api/apps")) == ["My <b>Notes</b>"]
    assert (await again.open(app)).body == PAGE
    if os.name == "posix":
        assert {stat.S_IMODE(file.stat().st_mode) for file in world.left()} == {0o600}


async def test_an_update_keeps_address_and_name_and_replaces_all_files(world: AppWorld) -> None:
    app = await world.add({"notes/index.html": PAGE, "notes/old.js": b"1"})
    await world.act("rename", id=app["id"], name="Mine")
    await world.act("pin", id=app["id"], pinned=True)
    newer = await world.add({"x/index.html": b"<title>New</title>", "x/new.js": b"2"}, "x", app["id"])
    assert (newer["url"], newer["name"], newer["pinned"], newer["source"]) == (app["url"], "Mine", True, "x")
    assert (await world.open(app, "old.js")).status == 404
    assert (await world.open(app, "new.js")).body == b"2"
    assert len(world.left()) == 3


async def test_a_failed_update_leaves_the_app_as_it_was(world: AppWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    app = await world.add({"notes/index.html": PAGE})
    token = await world.begin(app["id"])
    assert (await world.send(token, pack({"../x": b"1"}))).status == 400
    token = await world.begin(app["id"])
    await world.send(token, pack({"a.txt": b"1"}))
    assert (await world.act("commit", **{"import": token, "id": app["id"]})).json["error"]["code"] == "no_page"
    monkeypatch.setattr("peersky.system.app_store.write_atomically", _disk_full)
    token = await world.begin(app["id"])
    await world.send(token, pack({"index.html": b"new"}))
    assert (await world.act("commit", **{"import": token, "id": app["id"]})).status == 503
    assert (await world.open(app)).body == PAGE
    assert len(world.left()) == 2


def _disk_full(path: Path, data: bytes) -> None:
    raise unusable(OSError(errno.ENOSPC, "no space"), path)


@pytest.mark.fault("Browser killed while an app is added")
async def test_what_a_break_left_behind_is_swept_up_and_what_is_damaged_is_kept(world: AppWorld) -> None:
    app = await world.add({"index.html": PAGE})
    folder = world.profile.apps_dir / app["id"]
    (folder / "v-abandoned").mkdir()
    (world.profile.apps_dir / "half-added" / "v-1").mkdir(parents=True)
    damaged = world.profile.apps_dir / "damaged" / "app.json"
    damaged.parent.mkdir()
    damaged.write_text('{"id": "damaged", "content": "../../secrets"}')
    (world.profile.apps_dir / ".incoming" / "x").mkdir(parents=True)
    again = AppWorld(world.profile.root)
    reply = await again.client.get("peersky://apps/api/apps")
    assert names(reply) == ["Notes"]
    assert ["damaged" in notice for notice in reply.json["notices"]] == [True]
    assert damaged.is_file()
    assert not (world.profile.apps_dir / "half-added").exists()
    assert not (folder / "v-abandoned").exists()
    await again.begin()
    assert not (world.profile.apps_dir / ".incoming" / "x").exists()


async def test_a_zip_becomes_an_app_and_comes_back_as_one(world: AppWorld) -> None:
    token = await world.begin()
    sent = await world.send(
        token, zipped({"site/index.html": PAGE, "site/é.txt": b"x", "__MACOSX/site/._a": b"?"}), "zip"
    )
    assert (sent.json["files"], sent.json["skipped"]) == (2, 1)
    app = (await world.act("commit", **{"import": token, "source": "site.zip"})).json["app"]
    assert (await world.open(app, "%C3%A9.txt")).body == b"x"
    assert (await world.open(app, "e%CC%81.txt")).body == b"x"
    exported = await world.client.get(f"peersky://apps/api/app-export?id={app['id']}")
    with zipfile.ZipFile(io.BytesIO(exported.body)) as archive:
        assert sorted(archive.namelist()) == ["index.html", "é.txt"]
        assert archive.read("index.html") == PAGE
    assert list(world.profile.tmp_dir.iterdir()) == []


BAD_NAMES = [
    "../index.html",
    "a/../../index.html",
    "/etc/passwd",
    "a//b.html",
    "C:/windows.html",
    "a\\..\\b.html",
    "con.html",
    "sub/LPT1",
    "ends.",
    "ends ",
    "nul\x00l.html",
    "line\nbreak.html",
    "x" * 300,
    "/".join(["d"] * 60),
    "right\u202etfel.html",
    "",
    "..",
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: ascii(name[:20]))
async def test_a_name_that_leads_elsewhere_is_refused_whole(world: AppWorld, name: str) -> None:
    sentence = await world.refused(pack({"index.html": PAGE, name: b"x"}))
    assert sentence.startswith("The file “")
    assert len(sentence) < 300
    if name and "\x00" not in name:
        assert (await world.refused(zipped({"index.html": PAGE, name: b"x"}), "zip")).startswith("The file “")


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ("a.html", "A.HTML", "only in case"),
        ("dir/a.html", "DIR/b.html", "only in case"),
        ("é.html", "e\u0301.html", "there twice"),
        ("a", "a/b.html", "both a file and a folder"),
    ],
)
async def test_names_that_some_systems_take_for_one_are_refused(
    world: AppWorld, first: str, second: str, why: str
) -> None:
    assert why in await world.refused(pack({first: b"1", second: b"2"}))


async def test_too_many_files_and_too_many_bytes(world: AppWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    app = await world.add({"index.html": PAGE, **{f"f/{number}.txt": b"x" for number in range(10_000)}})
    assert app["files"] == 10_001
    await world.act("delete", id=app["id"])
    monkeypatch.setattr(app_files, "MAX_FILES", 20)
    monkeypatch.setattr(app_files, "MAX_BYTES", 1000)
    many = {f"{number}.html": b"" for number in range(21)}
    assert "may have 20 files" in await world.refused(pack(many))
    assert "may have 20 files" in await world.refused(zipped(many), "zip")
    assert "this one is larger" in await world.refused(pack({"index.html": bytes(1001)}))
    # The head of the zip says nothing of what comes out of it.
    lying = zipped({"index.html": bytes(5000)}).replace(struct.pack("<I", 5000), struct.pack("<I", 10))
    assert await world.refused(lying, "zip")


async def test_zip_bombs(world: AppWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_imports, "_RATIO_COUNTS_FROM_BYTES", 1 << 20)
    assert "200 times its size" in await world.refused(zipped({"index.html": PAGE, "big": bytes(4 << 20)}), "zip")
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 65535, 65535, 0xFFFFFFFF, 0, 0)
    assert "too many files" in await world.refused(end, "zip")


def _link(name: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("index.html", PAGE)
        info = zipfile.ZipInfo(name)
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return target.getvalue()


async def test_symbolic_links_of_a_zip_are_left_out(world: AppWorld) -> None:
    token = await world.begin()
    assert (await world.send(token, _link("passwd.txt"), "zip")).json["skipped"] == 1
    app = (await world.act("commit", **{"import": token, "source": "x"})).json["app"]
    assert (await world.open(app, "passwd.txt")).status == 404


@pytest.mark.parametrize("body", [b"", b"no zip", zipped({"index.html": PAGE})[:60], b"PK\x05\x06", bytes(100_000)])
async def test_what_is_no_zip(world: AppWorld, body: bytes) -> None:
    assert "no zip" in await world.refused(body, "zip")


async def test_a_zip_with_a_password_or_a_damaged_file(world: AppWorld) -> None:
    locked = bytearray(zipped({"index.html": PAGE}))
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    assert "password" in await world.refused(bytes(locked), "zip")
    damaged = bytearray(zipped({"index.html": PAGE * 50}))
    damaged[60] ^= 0xFF
    assert "damaged" in await world.refused(bytes(damaged), "zip")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}\n",
        b"[[1, 2, 3]]\n",
        b'[["a.html", -1, 0]]\n',
        b'[["a.html", 1e400, 0]]\n',
        b'[["a.html", 5, 0]]\n123',
        b'[["a.html", 1, 0]]\n123',
        b'[["\\ud800.html", 1, 0]]\n1',
        b"[" * 100_000 + b"\n",
    ],
)
async def test_a_pack_that_is_none_or_breaks_off(world: AppWorld, body: bytes) -> None:
    assert await world.refused(body)


async def test_a_page_that_goes_away_leaves_nothing(world: AppWorld) -> None:
    token = await world.begin()
    url = f"peersky://apps/api/app-files?import={token}"
    reply = world.client.send("POST", url, content=[b'[["index.html", 9, 0]]\n123', b"456", b"789"])
    await reply.disconnect()
    await reply.finished()
    assert world.left() == []
    assert (await world.act("commit", **{"import": token})).status == 404


@pytest.mark.fault("Full disk while an app is added")
async def test_a_full_disk_is_said(world: AppWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(world.profile.root)._replace(free=1 << 20)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage)
        assert "no room" in await world.refused(pack({"index.html": PAGE}))
        assert "no room" in await world.refused(zipped({"index.html": PAGE}), "zip")

    monkeypatch.setattr(app_imports._NewFile, "__init__", lambda *_: _raise_full())
    assert "The disk is full" in await world.refused(pack({"index.html": PAGE}))


def _raise_full() -> None:
    raise app_imports.disk_error(OSError(errno.ENOSPC, "no space"), Path("x"))


async def test_imports_have_a_limit_and_an_end(tmp_path: Path) -> None:
    now = [0.0]
    imports = app_imports.Imports(tmp_path / "in", lambda: now[0])
    begun = [imports.begin() for _ in range(app_imports.MAX_IMPORTS)]
    with pytest.raises(QuotaExceeded):
        imports.begin()
    now[0] = app_imports.IDLE_S + 1
    imports.begin()
    with pytest.raises(NotFound):
        imports.get(begun[0].token)
    assert len(list((tmp_path / "in").iterdir())) == 1


async def test_an_app_without_a_page_is_refused_and_one_without_an_index_lists_its_files(world: AppWorld) -> None:
    token = await world.begin()
    await world.send(token, pack({"readme.txt": b"x"}))
    assert "no web page" in (await world.act("commit", **{"import": token})).json["error"]["message"]
    only = await world.add({"site/start.html": PAGE})
    reply = await world.open(only, asker=page("peersky://apps", "main-frame"))
    assert (reply.status, reply.headers["location"]) == (307, "/start.html")
    several = await world.add({"s/a.html": PAGE, "s/b.html": PAGE})
    assert not several["hasStart"]
    listing = await world.open(several, asker=page("peersky://apps", "main-frame"))
    assert 'href="/a.html"' in listing.text


async def test_publishing_and_deleting(world: AppWorld) -> None:
    app = await world.add({"index.html": PAGE})
    body = {"id": app["id"], "to": "hyper"}
    reply = await world.client.post("peersky://apps/api/app-publish", json=body)
    assert [json.loads(line) for line in reply.body.splitlines()] == world.lines
    ((folder, to, drive, name),) = world.published
    assert (to, drive, name) == ("hyper", f"app-{app['id']}", "Notes")
    assert (folder / "index.html").read_bytes() == PAGE
    assert world.store.get(app["id"]).published == {"hyper": "hyper://key/"}
    await world.act("delete", id=app["id"])
    assert world.forgotten == [parse_origin(app["url"])]
    assert world.left() == []
    assert (await world.open(app)).status == 404
    assert (await world.act("delete", id=app["id"])).json["error"]["code"] == "no_such_app"
    assert (await world.client.post("peersky://apps/api/app-publish", json=body)).status == 404


async def test_links_to_sites(world: AppWorld) -> None:
    key = "y" * 52
    reply = await world.act("link", url=f" hyper://{key}/blog/ ", name="Blog <3")
    assert reply.json["links"][0]["url"] == f"hyper://{key}/blog/"
    pinned = await world.client.get("peersky://home/api/pinned", asker=page("peersky://home"))
    assert [one["name"] for one in pinned.json["pinned"]] == ["Blog <3"]
    for bad in ("https://example.org/", "javascript:alert(1)", "", "peersky://settings/", "two words", "hyper://"):
        assert (await world.act("link", url=bad, name="x")).status == 400, bad
    assert [link.name for link in AppStore(world.profile.apps_dir).links()] == ["Blog <3"]
    assert (await world.act("unlink", url=f"hyper://{key}/blog/")).json["links"] == []


async def test_the_built_in_apps_are_listed_and_open(world: AppWorld) -> None:
    listed = (await world.client.get("peersky://apps/api/apps")).json["builtin"]
    assert listed[0]["name"] == "AI chat"
    for app in listed:
        for url, resource in ((app["url"], "main-frame"), (app["icon"], "image")):
            assert (await world.client.get(url, asker=page("peersky://apps", resource))).status == 200
