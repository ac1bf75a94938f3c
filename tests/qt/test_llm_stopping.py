"""``window.llm`` in the real QtWebEngine: lazy, one generation for all who read it, and stopped from any side."""

from __future__ import annotations

import pytest
from PyQt6.QtWebEngineCore import QWebEnginePage

from peersky.core.chat import ChatChunk
from peersky.core.origins import parse_origin
from tests.fakes.scripted_provider import END, Hold
from tests.qt.llm_lab import HI, Lab, chat, error_of

# --- lazy, and one generation for all who read it


def test_nothing_is_sent_before_it_is_awaited_or_iterated(lab: Lab) -> None:
    lab.run(HI + f"window.a = {chat()}; window.b = a[Symbol.asyncIterator](); window.c = llm.complete('x');")
    # What had been sent before this would have arrived before its reply.
    assert lab.run("return await llm.isSupported();") is True
    assert lab.provider.requests == []
    lab.run("await window.a;")
    assert len(lab.provider.requests) == 1


def test_what_changes_before_the_first_await_is_not_sent(lab: Lab) -> None:
    lab.run(HI + f"const p = {chat()}; messages[0].content = 'changed'; messages.push({{}}); await p;")
    assert lab.asked.messages == ({"role": "user", "content": "Hi"},)


def test_asking_twice_sends_once(lab: Lab) -> None:
    assert lab.run(HI + f"const p = {chat()}; return (await p) === (await p);") is True
    assert len(lab.provider.requests) == 1


def test_iterating_and_awaiting_share_one_generation(lab: Lab) -> None:
    collect = "const all = async (p) => { let text = ''; for await (const d of p) text += d.content; return text; };"
    one_after_the_other = f"{HI} {collect} const p = {chat()}; return [await all(p), (await p).content, await all(p)];"
    assert lab.run(one_after_the_other) == ["Héllo 🙂"] * 3
    assert len(lab.provider.requests) == 1
    at_once = (
        f"{HI} {collect} const p = {chat()}; return await Promise.all([p.then((m) => m.content), all(p), all(p)]);"
    )
    assert lab.run(at_once) == ["Héllo 🙂"] * 3
    assert len(lab.provider.requests) == 2


def test_chunks_arrive_one_by_one(lab: Lab) -> None:
    hold = Hold()
    lab.provider.script = [ChatChunk(content="a"), hold, ChatChunk(content="b"), END]
    lab.run(HI + f"window.i = {chat()}[Symbol.asyncIterator](); return (await i.next()).value;")
    lab.reach(hold)
    lab.release(hold)
    assert lab.run("return (await window.i.next()).value.content;") == "b"


# --- stopping


STOPS = {
    "break": "for await (const d of p) break;",
    "throw in the loop": "try { for await (const d of p) throw new Error('x'); } catch { /* expected */ }",
    "return of the iterator": "await i.next(); await i.return();",
    "return while a next waits": "await i.next(); const n = i.next(); await i.return(); window.over = (await n).done;",
    "signal": "await i.next(); c.abort();",
    "iteratorReturn": """
        const id = await _llmBridge.chatStream({messages});
        await _llmBridge.iteratorNext(id);
        await _llmBridge.iteratorReturn(id);
    """,
    "navigation": "await i.next(); location.href = 'peersky://p2p/next';",
    "frame removed": """
        const frame = document.createElement('iframe');
        frame.src = 'peersky://p2p/frame';
        document.body.append(frame);
        await new Promise((resolve) => { frame.onload = resolve; });
        await frame.contentWindow.llm.chat({messages})[Symbol.asyncIterator]().next();
        frame.remove();
    """,
}


@pytest.mark.parametrize("how", STOPS)
def test_stopping(lab: Lab, how: str) -> None:
    hold = Hold()
    lab.provider.script = [ChatChunk(content="a"), hold, END]
    lab.fire(
        f"{HI} const c = new AbortController(); const p = {chat('{messages, signal: c.signal}')};"
        f"const i = p[Symbol.asyncIterator](); {STOPS[how]}"
    )
    lab.reach(hold)
    lab.until_cut()
    if how == "return while a next waits":
        assert lab.run("return window.over;") is True


@pytest.mark.parametrize("how", ["signal", "return", "navigation", "reload", "tab"])
def test_stopping_before_the_first_word(lab: Lab, how: str) -> None:
    hold = Hold()
    lab.provider.script = [hold, END]
    lab.start(
        f"{HI} window.c = new AbortController(); const p = {chat('{messages, signal: c.signal}')};"
        "window.i = p[Symbol.asyncIterator](); return await i.next();"
    )
    lab.reach(hold)
    match how:
        case "signal":
            lab.fire("c.abort();")
        case "return":
            lab.fire("i.return();")
        case "navigation":
            lab.fire("location.href = 'peersky://p2p/next';")
        case "reload":
            lab.page.page.triggerAction(QWebEnginePage.WebAction.Reload)
        case "tab":
            lab.page.page.deleteLater()
    lab.until_cut()
    if how == "signal":
        assert lab.result()["error"] == "AbortError"
    if how == "return":
        assert lab.result() == {"value": {"done": True}}


def test_abort_is_an_abort_error(lab: Lab) -> None:
    hold = Hold()
    lab.provider.script = [ChatChunk(content="a"), hold]
    lab.start(HI + f"window.c = new AbortController(); return await {chat('{messages, signal: c.signal}')};")
    lab.reach(hold)
    lab.run("c.abort();")
    assert lab.result() == {"error": "AbortError", "reason": "aborted", "message": "The question was withdrawn."}


def test_a_signal_that_is_aborted_already_sends_nothing(lab: Lab) -> None:
    script = error_of(f"await {chat('{messages, signal: AbortSignal.abort(7)}')};", "[e.name, e.reason, e.cause]")
    assert lab.run(script) == ["AbortError", "aborted", 7]
    assert lab.provider.requests == []


def test_the_users_stop_button_is_an_abort_error(lab: Lab) -> None:
    hold = Hold()
    lab.provider.script = [ChatChunk(content="a"), hold]
    lab.start(HI + f"return await {chat()};")
    lab.reach(hold)
    assert lab.on_service_thread(lambda: lab.bridge.stop(parse_origin("peersky://p2p"))) == 1
    assert lab.result()["reason"] == "stopped"
    assert lab.result()["error"] == "AbortError"


def test_breaking_out_leaves_the_answer_to_those_who_await_it(lab: Lab) -> None:
    hold = Hold()
    lab.provider.script = [ChatChunk(content="a"), hold, ChatChunk(content="b"), END]
    lab.start(
        HI + f"const p = {chat()}; const whole = p.then((m) => m.content); for await (const d of p) break;"
        "return await whole;"
    )
    lab.reach(hold)
    lab.release(hold)
    assert lab.result() == {"value": "ab"}


def test_awaiting_after_a_break_rejects(lab: Lab) -> None:
    lab.provider.script = [ChatChunk(content="a"), Hold()]
    script = f"const p = {chat()}; for await (const d of p) break; await p;"
    assert lab.run(error_of(script)) == ["AbortError", "aborted", True]
