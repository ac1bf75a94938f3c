"""A hostile app that the user added: it has the model and its own files, and nothing of anybody else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from peersky.core.trust import Decision
from peersky.qt.driver import wait_until
from tests.asgi.app_world import zipped
from tests.e2e.trust.conftest import UNPROTECTED, successes
from tests.e2e.trust.sites import ATTACKS, PAGE, WORKER
from tests.e2e.trust.test_trust_navigation import WAYS, WINDOWS, shows_nothing
from tests.e2e.trust.test_trust_workers import KINDS, report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.trust.conftest import Fortress, Seen

pytestmark = pytest.mark.attack("Imported apps")

SECRET = "the sky is read"
FILES = {
    "index.html": PAGE.format(ATTACKS),
    "probe.html": PAGE.format(f"{ATTACKS}\nreportToTop();"),
    "attacks.js": ATTACKS,
    "worker.js": WORKER,
}
CHAT = "peersky://p2p/ai-chat/"

# Puts something into every store that a page has.
KEEP = f"""
    localStorage.setItem('secret', '{SECRET}');
    sessionStorage.setItem('secret', '{SECRET}');
    await new Promise((done) => {{
      const opening = indexedDB.open('secret');
      opening.onupgradeneeded = () => opening.result.createObjectStore('kept').put('{SECRET}', 1);
      opening.onsuccess = () => {{ opening.result.close(); done(); }};
    }});
    const entry = {{appId: 'ai-chat', sessionId: 'own', role: 'user', content: '{SECRET}'}};
    window.channel = new BroadcastChannel('secret');
    window.heard = [];
    channel.onmessage = ({{data}}) => heard.push(data);
    return (await llmMemory.add(entry)).ok;
"""
# All that a page finds in the same places, and what it learns of others' conversations by every question.
SEARCH = """
    const memory = 'llm://bridge/v1/memory';
    const forged = {Origin: 'peersky://p2p', 'X-Peersky-Stamp': 'secret main-frame peersky://p2p/ai-chat/'};
    const replies = {};
    const others = ['?app=ai-chat', '?app=ai-chat&appId=ai-chat', '?search=sky', '?origin=peersky://p2p'];
    for (const path of ['entries', 'sessions', ...others.flatMap((query) => [`entries${query}`, `sessions${query}`])]) {
      replies[path] = await request(`${memory}/${path}`, {headers: forged});
    }
    replies.clear = await post(`${memory}/clear?app=ai-chat`, '{"appId": "ai-chat"}', forged);
    replies.rename = await post(`${memory}/sessions?app=ai-chat`, JSON.stringify(
      {appId: 'ai-chat', sessionId: 'own', title: 'mine now'}));
    replies.internal = await request('peersky://settings/api/memory', {mode: 'no-cors'});
    new BroadcastChannel('secret').postMessage('from the app');
    return {
      stores: [{...localStorage}, {...sessionStorage}, await indexedDB.databases()],
      own: [await llmMemory.list(), await llmMemory.list({appId: 'ai-chat'}), await llmMemory.listSessions()],
      replies,
    };
"""


@dataclass
class Villain:
    """The app, and another one whose file it would like to read."""

    origin: str
    other: str

    @property
    def unprotected(self) -> str:
        """A page of the app without the policy that would hold it back."""
        return f"{self.origin}{UNPROTECTED}"


@pytest.fixture(scope="module")
def villain(fortress: Fortress) -> Iterator[Villain]:
    store = fortress.runtime.services.app_store
    origins = []
    for name, files in (
        ("villain", FILES),
        ("notes", {"index.html": f"<title>Notes</title>{SECRET}", "a.js": "var a"}),
    ):
        incoming = store.begin()
        incoming.zip_file.write_bytes(zipped({path: text.encode() for path, text in files.items()}))
        incoming.unpack()
        origins.append(store.install(incoming, name).origin)
    fortress.runtime.settings.change({"llm.memoryEnabled": True})
    yield Villain(*origins)
    fortress.runtime.settings.change({"llm.memoryEnabled": False})


def to_others(fortress: Fortress, villain: Villain, since: int) -> list[Seen]:
    """Requests of the app's pages for anything of ``peersky:`` that is not its own."""
    own = villain.origin.removeprefix("peersky://")
    found = [seen for seen in fortress.requests[since:] if seen.scheme == "peersky" and seen.host != own]
    return [seen for seen in found if str(seen.asker.origin) in (villain.origin, "null") and not seen.is_harmless]


def test_the_control_it_has_the_model_and_its_own_files(fortress: Fortress, villain: Villain) -> None:
    page = fortress.page(f"{villain.origin}/")
    found = page.evaluate("return await probe()", 60)
    assert (found["origin"], found["llm"], found["network"]) == (villain.origin, "object", True)
    # Whatever it says of itself changes nothing.
    assert {found["learnt"][f"{what} {n}"]["status"] for what in ("status", "chat") for n in range(5)} == {200}


def test_it_reads_nothing_that_built_in_apps_keep(fortress: Fortress, villain: Villain) -> None:
    chat = fortress.page(CHAT)
    assert chat.evaluate(KEEP) is True
    for url in (f"{villain.origin}/", villain.unprotected):
        found = fortress.page(url).evaluate(SEARCH, 60)
        assert found["stores"] == [{}, {}, []]
        assert found["own"] == [[], [], []]
        assert SECRET not in json.dumps(found)
    assert chat.evaluate("return (await llmMemory.list({appId: 'ai-chat'})).map(({content}) => content)") == [SECRET]
    sessions = chat.evaluate("return (await llmMemory.listSessions()).map(({title}) => title)")
    assert "mine now" not in sessions
    assert chat.evaluate("return [localStorage.secret, heard]") == [SECRET, []]


@pytest.mark.parametrize("protected", [True, False])
def test_it_reads_no_page_and_calls_no_api_of_the_browser(
    fortress: Fortress, villain: Villain, protected: bool
) -> None:
    page = fortress.page(f"{villain.origin}/" if protected else villain.unprotected)
    before, began = fortress.settings(), len(fortress.requests)
    learnt = page.evaluate("return {...await tryApis(), ...await tryPages()}", 60)
    assert len(learnt) > 20
    assert successes(learnt) == {}
    fortress.settle()
    assert fortress.settings() == before
    assert {seen.status for seen in to_others(fortress, villain, began)} <= {403}


@pytest.mark.parametrize("target", [CHAT, "peersky://settings/llm", "peersky://settings/api/settings", "OTHER"])
def test_it_loads_and_frames_nothing_of_others(fortress: Fortress, villain: Villain, target: str) -> None:
    target = f"{villain.other}/" if target == "OTHER" else target
    page = fortress.page(villain.unprotected)
    began = len(fortress.requests)
    learnt = page.evaluate(f"return await tryElements('{target}')")
    assert (learnt.pop("globals"), learnt.pop("rules")) == ([], 0)
    assert set(learnt.values()) == {"error"}
    asked = len(fortress.requests)
    page.evaluate(f"openFrames('{target}')")
    wait_until(lambda: fortress.answered(asked) >= 3, 10, "The frames did not ask.")
    fortress.settle()
    assert set(page.evaluate("return lookIntoFrames()")) == {""}
    seen = to_others(fortress, villain, began)
    assert len(seen) > 5
    assert {request.status for request in seen} == {403}


@pytest.mark.parametrize("way", ["location", "meta refresh", "post form", "frame"])
def test_it_sends_its_tab_to_no_page_of_the_browser(fortress: Fortress, villain: Villain, way: str) -> None:
    page = fortress.page(villain.unprotected)
    for target in ("peersky://settings/", "peersky://home/api/llm-enable", f"{villain.other}/", CHAT):
        page.load(villain.unprotected)
        before, began = fortress.settings(), len(fortress.requests)
        page.page.runJavaScript(f"{{const target = {json.dumps(target)}; {WAYS[way].replace('TARGET', 'target')}}}")
        wait_until(lambda began=began: fortress.answered(began) > 0, 10, "The attempt reached nobody.")  # type: ignore[misc]
        fortress.settle()
        assert shows_nothing(page)
        assert SECRET not in page.evaluate("return document.documentElement.textContent")
        assert {seen.status for seen in to_others(fortress, villain, began)} == {403}
        assert fortress.settings() == before


def test_a_window_that_it_opens_is_closed_to_it(fortress: Fortress, villain: Villain) -> None:
    page = fortress.page(villain.unprotected)
    for way in ("open", "blank, then there"):
        count = len(fortress.windows)
        page.page.runJavaScript(f"{{const target = {json.dumps(CHAT)}; {WINDOWS[way].replace('TARGET', 'target')}}}")
        wait_until(lambda count=count: len(fortress.windows) > count, 5, "No window opened.")  # type: ignore[misc]
        fortress.settle()
        assert shows_nothing(fortress.windows[-1])
    # The one page that it may open, since an app without a model needs that link, it cannot look into.
    page.evaluate("self.opened = open('peersky://settings/llm')")
    wait_until(lambda: bool(fortress.windows[-1].page.title()), 10, "The settings did not load.")
    assert (
        page.evaluate("try { return opened.document.title; } catch (error) { return error.name; }") == "SecurityError"
    )


@pytest.mark.parametrize("kind", ["dedicated", "blob", "shared"])
def test_its_workers_have_no_model_and_no_api(fortress: Fortress, villain: Villain, kind: str) -> None:
    page = fortress.page(f"{villain.origin}/")
    with fortress.siege(villain.origin):
        learnt = report(page, KINDS[kind])["learnt"]
    assert len(learnt) > 20
    assert successes(learnt) == {}


def test_nobody_frames_it(fortress: Fortress, villain: Villain) -> None:
    hear = "self.reports = []; self.addEventListener('message', ({data}) => reports.push(data));"
    frame = f"{hear} addFrame({{src: '{villain.origin}/probe.html'}})"
    own = villain.origin.removeprefix("peersky://")
    for url in (fortress.sites.url("evil.example"), fortress.sites.url("localhost"), "hyper://drive/"):
        page, began = fortress.page(url), len(fortress.requests)
        page.evaluate(frame)
        wait_until(lambda began=began: fortress.answered(began) > 0, 10, "The frame did not ask.")  # type: ignore[misc]
        fortress.settle()
        assert {seen.status for seen in fortress.requests[began:] if seen.host == own} == {403}
        assert page.evaluate("return reports") == []
    page = fortress.page(f"{villain.origin}/")
    page.evaluate(frame)
    wait_until(lambda: page.evaluate("return reports.length") == 1, 60, "The control does not report.")
    (control,) = page.evaluate("return reports")
    assert (control["origin"], control["llm"]) == (villain.origin, "object")


def test_its_policy_lets_nothing_out_to_the_web(fortress: Fortress, villain: Villain) -> None:
    page = fortress.page(f"{villain.origin}/")
    began = len(fortress.sites.seen)
    for host in ("evil.example", "localhost"):
        url = fortress.sites.url(host, "/attacks.js")
        learnt = page.evaluate(f"return await tryElements('{url}')")
        assert (learnt.pop("globals"), learnt.pop("rules")) == ([], 0)
        assert set(learnt.values()) == {"error"}
        assert page.evaluate(f"return await request('{url}', {{mode: 'no-cors'}})") == {"threw": "TypeError"}
        assert page.evaluate(f"return (await tryOtherClients('{url}')).stream") == "error"
        socket = f"new WebSocket('{url.replace('http', 'ws')}')"
        script = f"return await new Promise((done) => {{ {socket}.onerror = () => done('error'); }})"
        assert page.evaluate(script) == "error"
        page.evaluate(f"addFrame({{src: '{url}'}})")
    fortress.settle()
    assert fortress.sites.seen[began:] == []


def test_what_it_may_ends_when_the_user_says_so(fortress: Fortress, villain: Villain) -> None:
    permissions = fortress.runtime.services.permissions
    page = fortress.page(f"{villain.origin}/")

    def decide(do: Callable[[], None]) -> None:
        async def work() -> None:
            do()

        fortress.runtime.call(work()).result(10)

    decide(lambda: permissions.decide(villain.origin, "llm", Decision.BLOCK))
    try:
        with fortress.siege(villain.origin):
            learnt = page.evaluate("return await tryModel()", 60)
        assert {found["status"] for name, found in learnt.items() if name.startswith("chat")} == {403}
    finally:
        decide(lambda: permissions.forget(villain.origin))
    assert page.evaluate("return (await post('llm://bridge/v1/chat/completions', QUESTION)).status") == 200
