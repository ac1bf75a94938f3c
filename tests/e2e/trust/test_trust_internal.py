"""The browser's own pages: closed to others for reading and for writing, and an API only for the page of its host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from peersky.qt.driver import wait_until
from tests.e2e.trust.conftest import UNPROTECTED, successes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.trust.conftest import Fortress

pytestmark = pytest.mark.attack("The browser's own pages")


@pytest.fixture(autouse=True)
def _switched_off(fortress: Fortress) -> Iterator[None]:
    """Local AI is off meanwhile, so that a page that switches it on would be noticed."""
    fortress.runtime.settings.change({"llm.enabled": False})
    yield
    fortress.runtime.settings.change({"llm.enabled": True})


def outsiders(fortress: Fortress) -> dict[str, str]:
    """Pages that are none of the browser's own: two that nobody trusts, and two that have the model."""
    url = fortress.sites.url
    return {
        "hostile": url("evil.example"),
        "look-alike": url("127.0.0.1"),
        "localhost": url("localhost"),
        "drive": "hyper://drive/",
    }


OUTSIDERS = ["hostile", "look-alike", "localhost", "drive"]
TARGETS = [
    "peersky://settings/",
    "peersky://settings/llm",
    "peersky://home/home.js",
    "peersky://assets/page.js",
    "peersky://p2p/ai-chat/main.js",
    "peersky://settings/api/settings",
]


@pytest.mark.parametrize("outsider", OUTSIDERS)
def test_fetch_reads_no_page_and_calls_no_api(fortress: Fortress, outsider: str) -> None:
    page = fortress.page(outsiders(fortress)[outsider])
    with fortress.siege() as seen:
        learnt = page.evaluate("return {...await tryApis(), ...await tryPages()}", 60)
    assert len(learnt) > 20
    assert successes(learnt) == {}
    assert {request.status for request in seen} == {403}


@pytest.mark.parametrize("outsider", OUTSIDERS)
@pytest.mark.parametrize("target", TARGETS)
def test_no_part_of_a_page_is_loaded_from_an_internal_one(fortress: Fortress, outsider: str, target: str) -> None:
    page = fortress.page(outsiders(fortress)[outsider])
    with fortress.siege():
        learnt = page.evaluate(f"return await tryElements('{target}')")
        clients = page.evaluate(f"return await tryOtherClients('{target}')")
    assert (learnt.pop("globals"), learnt.pop("rules")) == ([], 0)
    loaded = {kind: event for kind, event in learnt.items() if event != "error"}
    assert loaded == {}
    assert clients["stream"] == "error"
    assert clients["xhr"]["status"] in (0, 403)
    assert "temperature" not in clients["xhr"]["text"]
    assert clients["beacon"] in (False, "TypeError")


@pytest.mark.parametrize("outsider", OUTSIDERS)
def test_a_frame_of_an_internal_page_shows_nothing_to_its_parent(fortress: Fortress, outsider: str) -> None:
    page = fortress.page(outsiders(fortress)[outsider])
    with fortress.siege():
        for target in TARGETS:
            began = len(fortress.requests)
            page.evaluate(f"openFrames('{target}')")
            wait_until(lambda began=began: fortress.answered(began) >= 3, 10, "The frames did not ask.")  # type: ignore[misc]
        fortress.settle()
        assert set(page.evaluate("return lookIntoFrames()")) == {""}
    page.evaluate("openFrames('/attacks.js')")
    wait_until(lambda: "tryModel" in str(page.evaluate("return lookIntoFrames()")), 10, "The control shows nothing.")


def test_the_control_parts_of_a_page_load_where_they_may(fortress: Fortress) -> None:
    """The same elements find a script of the page's own host; and shared types are there for every trusted page."""
    for own in (fortress.sites.url("localhost"), "hyper://drive/"):
        page = fortress.page(own)
        learnt = page.evaluate("return await tryElements('/attacks.js')")
        assert (learnt["script"], learnt["module"], learnt["modulepreload"]) == ("load", "load", "load")
        assert page.evaluate("return (await request('peersky://p2p/peersky.d.ts', {mode: 'no-cors'})).status") == 200
    with fortress.siege():
        page = fortress.page(fortress.sites.url("evil.example"))
        assert page.evaluate("return (await request('peersky://p2p/peersky.d.ts', {mode: 'no-cors'})).status") == 403


# What the page of a host gets from the internal APIs; no other attempt succeeds, and the POSTs below change nothing.
OWN = {
    "home": {"read home/api/llm-status", "enable", "read home/api/llm-enable"},
    "settings": {"read settings/api/settings", "read settings/api/models", "settings", "change settings"},
}


@pytest.mark.parametrize("host", ["home", "settings", "p2p", "assets", "apps", "app-x1", "nowhere"])
def test_an_api_answers_the_page_of_its_own_host_alone(fortress: Fortress, host: str) -> None:
    """The page attacks without the policy that would hold its requests back: only the app's own check is left."""
    page = fortress.page(f"peersky://{host}{UNPROTECTED}")
    before = fortress.settings()
    learnt = page.evaluate("return await tryApis()", 60)
    fortress.settle()
    gained = {name.removesuffix(" cors").removesuffix(" no-cors").rstrip(" 01234") for name in successes(learnt)}
    assert gained == OWN.get(host, set())
    if host not in OWN:
        assert fortress.settings() == before
    fortress.runtime.settings.change({key: before[key] for key in before if key != "llm.enabled"})


@pytest.mark.parametrize("host", ["home", "settings", "p2p", "app-x1"])
def test_an_internal_page_reads_no_page_of_another_host(fortress: Fortress, host: str) -> None:
    learnt = fortress.page(f"peersky://{host}{UNPROTECTED}").evaluate("return await tryPages()")
    gained = {name.split("/")[0] for name in successes(learnt)}
    assert gained == ({host, "assets"} if host != "app-x1" else set())


@pytest.mark.parametrize("url", ["peersky://settings/", "peersky://settings/llm", "peersky://home/"])
def test_an_internal_pages_own_policy_holds_it_back_too(fortress: Fortress, url: str) -> None:
    page = fortress.arm(fortress.page(url))
    with fortress.siege(url.rpartition("/")[0]):
        learnt = page.evaluate("return await tryPages()")
    outside = {name: found for name, found in learnt.items() if url.split("/")[2] not in name}
    assert {found.get("threw") for found in outside.values()} == {"TypeError"}


@pytest.mark.parametrize("path", ["home/api/llm-enable", "settings/api/settings"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_get_changes_nothing(fortress: Fortress, path: str, method: str) -> None:
    """Not even for the page that may change it."""
    host = path.split("/")[0]
    page = fortress.arm(fortress.page(f"peersky://{host}/"))
    query = '?changes={"llm.enabled":true}&llm.enabled=true'
    with fortress.siege(f"peersky://{host}"):
        found = page.evaluate(f"return await request('peersky://{path}{query}', {{method: '{method}'}})")
    assert found["status"] == (405 if path.endswith("enable") else 200)
    assert not fortress.runtime.settings.flag("llm.enabled")


def test_the_control_post_from_the_own_page_changes_it(fortress: Fortress) -> None:
    page = fortress.arm(fortress.page("peersky://home/"))
    assert page.evaluate("return (await post('/api/llm-enable', '')).status") == 200
    assert fortress.runtime.settings.flag("llm.enabled")
    page = fortress.arm(fortress.page("peersky://settings/llm"))
    script = """return (await post('/api/settings', '{"changes": {"llm.enabled": false}}')).status"""
    assert page.evaluate(script) == 200
    assert not fortress.runtime.settings.flag("llm.enabled")


def test_a_typed_api_address_is_not_answered(fortress: Fortress) -> None:
    """Nor is the bridge: the user asks models through pages and the command line."""
    with fortress.siege() as seen:
        for url in ("peersky://settings/api/settings", "peersky://home/api/llm-enable", "llm://bridge/v1/status"):
            text = fortress.page(url).evaluate("return document.documentElement.textContent")
            assert "temperature" not in text
            assert '"model"' not in text
    assert [request.status for request in seen if request.path.startswith(("/api", "/v1"))] == [403, 403, 403]
