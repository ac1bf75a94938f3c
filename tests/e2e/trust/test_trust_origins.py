"""Which top pages have the model: the trusted rows of the table, and all that only looks like them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.trust.conftest import successes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.trust.conftest import Fortress

pytestmark = pytest.mark.attack("Look-alikes")

ALL_WAYS = "return {origin: self.origin, llm: typeof llm, bridge: typeof _llmBridge, learnt: await tryModel()}"
"""For pages of the test's own."""


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "ｌocalhost", "user@localhost"])
def test_localhost_has_the_model_on_any_port(fortress: Fortress, host: str) -> None:
    """Spellings that the URL parser turns into ``localhost`` are ``localhost``."""
    page = fortress.page(fortress.sites.url(host))
    found = page.evaluate(ALL_WAYS)
    assert found["origin"] == f"http://localhost:{fortress.sites.port}"
    assert (found["llm"], found["bridge"]) == ("object", "object")
    learnt = found["learnt"]
    # The headers that a page makes up are ignored, and so are those which deny it its rights.
    assert {learnt[f"status {n}"]["status"] for n in range(5)} == {200}
    assert {learnt[f"chat {n}"]["status"] for n in range(5)} == {200}
    assert learnt["models"]["status"] == 200
    assert page.evaluate("return await llm.isSupported()") is True
    assert isinstance(page.evaluate("return await llm.complete('hi', {maxTokens: 1})", 60), str)


@pytest.mark.parametrize("host", ["drive", "blog.mauve.moe"])
def test_a_p2p_page_has_the_model(fortress: Fortress, host: str) -> None:
    found = fortress.page(f"hyper://{host}/").evaluate(ALL_WAYS)
    assert found["llm"] == "object"
    assert found["learnt"]["chat 0"]["status"] == 200


def test_the_one_web_site_on_the_list_has_the_model(fortress: Fortress) -> None:
    if not fortress.sites.tls_port:
        pytest.skip("openssl is needed to make a certificate")
    found = fortress.page("https://agregore.mauve.moe/").evaluate(ALL_WAYS)
    assert found["llm"] == "object"
    assert found["learnt"]["chat 0"]["status"] == 200
    assert found["learnt"]["status 1"]["status"] == 200


LOOK_ALIKES = [
    "http://agregore.mauve.moe",
    "http://agregore.mauve.moe.evil.example",
    "http://localhost.",
    "http://sub.localhost",
    "http://localhost.evil.example",
    "http://localhost@evil.example",
    "http://127.0.0.1",
    "http://0x7f.1",
    "http://locаlhost",  # with a Cyrillic letter
    "http://evil.example",
    "https://localhost",
    "https://agregore.mauve.moe",
    "https://agregore.mauve.moe.evil.example",
    "https://evil.example",
    "https://аgregore.mauve.moe.example",
]


@pytest.mark.parametrize("site", LOOK_ALIKES)
def test_a_look_alike_has_nothing(fortress: Fortress, site: str) -> None:
    port = fortress.sites.tls_port if site.startswith("https") else fortress.sites.port
    if not port:
        pytest.skip("openssl is needed to make a certificate")
    with fortress.siege() as seen:
        page = fortress.page(f"{site}:{port}/?agregore.mauve.moe#http://localhost")
        found = page.evaluate(ALL_WAYS)
    assert found["origin"].startswith("http")
    assert (found["llm"], found["bridge"]) == ("undefined", "undefined")
    assert successes(found["learnt"]) == {}
    assert len(found["learnt"]) > 10
    assert {str(request.asker.origin) for request in seen} == {found["origin"]}


def test_a_data_page_and_a_file_have_nothing(fortress: Fortress, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("<p>file")
    for url in ("data:text/html,<p>data", file.as_uri()):
        with fortress.siege():
            found = fortress.arm(fortress.page(url)).evaluate(ALL_WAYS)
        assert found["origin"] == "null"
        assert (found["llm"], found["bridge"]) == ("undefined", "undefined")
        assert successes(found["learnt"]) == {}


def test_a_sandboxed_page_of_a_trusted_site_has_nothing(fortress: Fortress) -> None:
    """``Content-Security-Policy: sandbox`` makes even a top page opaque; its address still says localhost."""
    body = "<script>ATTACKS</script>"
    url = fortress.sites.serving("localhost", body, "content-security-policy:sandbox allow-scripts")
    with fortress.siege():
        found = fortress.page(url).evaluate(ALL_WAYS)
    assert found["origin"] == "null"
    assert found["llm"] == "undefined"
    assert successes(found["learnt"]) == {}


def test_a_blob_as_the_tabs_page_has_nothing(fortress: Fortress) -> None:
    page = fortress.page(fortress.sites.url("localhost"))
    page.evaluate("window.open(URL.createObjectURL(new Blob(['<p>blob'], {type: 'text/html'})))")
    with fortress.siege() as seen:
        blob = fortress.arm(fortress.windows[0])
        assert successes(blob.evaluate("return await tryModel()")) == {}
        assert blob.evaluate("return location.protocol") == "blob:"
    localhost = f"http://localhost:{fortress.sites.port}"
    assert {(str(request.asker.origin), str(request.asker.top)) for request in seen} == {(localhost, "null")}


def test_trust_is_the_users_to_give_and_to_take(fortress: Fortress) -> None:
    site = f"http://127.0.0.1:{fortress.sites.port}"
    before = fortress.runtime.settings.get("trust.allowlist")
    page = fortress.page(f"{site}/")
    with fortress.siege():
        assert successes(page.evaluate("return await tryModel()")) == {}
    fortress.runtime.settings.change({"trust.allowlist": [site]})
    try:
        page.load(f"{site}/")
        found = page.evaluate(ALL_WAYS)
        assert found["llm"] == "object"
        assert found["learnt"]["chat 0"]["status"] == 200
    finally:
        fortress.runtime.settings.change({"trust.allowlist": before})
    with fortress.siege():
        # The page that is open lost it at once, whatever its script still shows.
        learnt = page.evaluate("return await tryModel()")
        assert {found["status"] for found in learnt.values()} == {403}
        page.load(f"{site}/")
        assert page.evaluate("return typeof window.llm") == "undefined"
