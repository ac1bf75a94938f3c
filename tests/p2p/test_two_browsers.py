"""Published in one browser, read in another, over Hyper and over IPFS; and what stays when the other has gone."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from peersky.core.origins import parse_origin
from peersky.p2p.ledger import Publication
from peersky.web.asker import Asker
from tests.p2p.conftest import open_peer

BINARY = bytes(range(256)) * 40
PICTURE = "Bilder%20%C3%BC/%F0%9F%8C%8C%20a.bin"
TAB = Asker(parse_origin("peersky://home"), parse_origin("peersky://home"), "main-frame")


async def test_a_folder_over_hyper(tmp_path: Path, site: Path, bootstrap: list[str]) -> None:
    hyper = {"hyper.bootstrap": bootstrap}
    async with AsyncExitStack() as ours, open_peer(tmp_path / "theirs", **hyper) as reader:
        writer = await ours.enter_async_context(open_peer(tmp_path / "ours", **hyper))
        url = await writer.publish(site, "hyper", "blog")
        page = await reader.get(url)
        assert (page.status, page.text) == (200, "<h1>First</h1>")
        assert page.headers["content-type"].startswith("text/html")
        part = await reader.get(f"{url}{PICTURE}", headers={"Range": "bytes=250-260"})
        assert (part.status, part.body) == (206, BINARY[250:261])
        assert part.headers["content-range"] == f"bytes 250-260/{len(BINARY)}"
        assert (await reader.get(f"{url}?noResolve", headers={"Accept": "application/json"})).json == [
            "Bilder ü/",
            "index.html",
        ]
        listing = await reader.get(f"{url}?noResolve", asker=TAB)
        assert "index.html</bdi></a>" in listing.text
        assert (await reader.get(f"{url}nothing")).status == 404
        assert (await reader.ask("PUT", f"{url}mine.html", content=b"x")).status == 403

        (site / "index.html").write_text("<h1>Second</h1>", encoding="utf-8")
        assert await writer.publish(site, "hyper", "blog") == url
        assert (await writer.get(url)).text == "<h1>Second</h1>"
        assert (await reader.get(url)).text == "<h1>Second</h1>"
        (entry,) = (await writer.services.p2p.ledger.search()).publications
        assert (entry.name, entry.origin, entry.times, entry.files) == ("blog", "user", 2, 2)

        await ours.aclose()
        assert (await reader.get(url)).text == "<h1>Second</h1>", "what was loaded is there without its peer"


async def test_what_is_shared_is_shared_again_after_a_restart(tmp_path: Path, site: Path, bootstrap: list[str]) -> None:
    hyper = {"hyper.bootstrap": bootstrap}
    async with open_peer(tmp_path / "ours", **hyper) as writer:
        url = await writer.publish(site, "hyper", "blog")
    async with open_peer(tmp_path / "off", keepSharing=False) as idle:
        await idle.services.p2p.ledger.record(Publication(url, url, "blog", "user"))
        idle.services.p2p.keep_sharing(0)
        async with open_peer(tmp_path / "ours", **hyper) as again, open_peer(tmp_path / "theirs", **hyper) as reader:
            assert again.services.p2p.node.state == "stopped"
            again.services.p2p.keep_sharing(0)
            assert (await reader.get(url)).text == "<h1>First</h1>"
        assert idle.services.p2p.node.state == "stopped"


async def test_a_folder_over_ipfs(tmp_path: Path, site: Path) -> None:
    async with AsyncExitStack() as ours:
        writer = await ours.enter_async_context(open_peer(tmp_path / "ours"))
        url = await writer.publish(site, "ipfs", "blog")
        async with open_peer(tmp_path / "theirs", **{"ipfs.peers": [await writer.address()]}) as reader:
            assert (await reader.get(url)).text == "<h1>First</h1>"
            part = await reader.get(f"{url}{PICTURE}", headers={"Range": "bytes=250-260"})
            assert (part.status, part.body) == (206, BINARY[250:261])
            assert "index.html</bdi></a>" in (await reader.get(f"{url}?noResolve", asker=TAB)).text

            (site / "index.html").write_text("<h1>Second</h1>", encoding="utf-8")
            second = await writer.publish(site, "ipfs", "blog")
            assert second != url
            assert (await reader.get(second)).text == "<h1>Second</h1>"
            await ours.aclose()
            assert (await reader.get(url)).text == "<h1>First</h1>"
            page = await reader.get(f"{second}{PICTURE}", asker=TAB)
            assert page.status == 200, "the picture is the same in both versions"
