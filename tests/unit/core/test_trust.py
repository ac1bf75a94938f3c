"""The trust table of docs/architecture.md, one test per cell, and everything that only looks like a trusted origin."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peersky.core.origins import BROWSER, OPAQUE, USER, Origin, parse_origin
from peersky.core.trust import (
    DEFAULT_POLICY,
    INTERNAL_APIS,
    Answer,
    CallInternal,
    Capability,
    Decision,
    OpenInternal,
    Policy,
    Publish,
    ReadInternal,
    ReadP2P,
    SendToService,
    UseMemory,
    UseModel,
    is_trusted,
    may,
)

YES, ASK, NO = Answer.YES, Answer.ASK, Answer.NO

ROWS: Final = {
    "internal": ["peersky://home", "peersky://settings", "peersky://p2p", "peersky://apps", "peersky://assets"],
    "imported": ["peersky://app-x1", "peersky://app-0123456789abcdef"],
    "p2p": ["hyper://blog.mauve.moe", "hyper://yyy", "ipfs://bafybeigdyrzt", "ipns://k51qzi5uqu5d"],
    "listed": ["http://localhost", "http://localhost:3000", "http://localhost:1", "https://agregore.mauve.moe"],
    "user-listed": ["https://notes.example", "https://notes.example:8443", "http://127.0.0.1:8000"],
    "else": [
        "null",
        "",
        "https://evil.example",
        "https://agregore.mauve.moe.evil.example",
        "https://evil.example/?agregore.mauve.moe",
        "https://evil.example/agregore.mauve.moe",
        "https://evilagregore.mauve.moe",
        "https://sub.agregore.mauve.moe",
        "https://mauve.moe",
        "https://agregore.mauve.moe.",
        "http://agregore.mauve.moe",
        "http://agregore.mauve.moe:443",
        "https://agregore.mauve.moe:8443",
        "https://agregore.mauve.moe:0",
        "https://agregore.mauve.moe@evil.example",
        "https://xn--gregore-5fg.mauve.moe",
        "https://аgregore.mauve.moe",
        "https://agregore.mauve.moе",
        "https://localhost",
        "https://localhost:3000",
        "http://localhost.",
        "http://localhost.:3000",
        "http://localhost.evil.example",
        "http://sub.localhost",
        "http://localhosts",
        "http://localhost@evil.example",
        "http://user@localhost",
        "http://xn--lcalhost-9fh",
        "http://127.0.0.1",
        "http://127.0.0.1:3000",
        "http://[::1]",
        "http://0.0.0.0:3000",
        "http://2130706433",
        "https://notes.example:444",
        "http://notes.example",
        "https://127.0.0.1:8000",
        "http://127.0.0.1:8001",
        "ws://localhost",
        "ftp://localhost",
        "file:///",
        "file://localhost/",
        "data:text/html,x",
        "blob:http://localhost/1",
        "blob:peersky://settings/1",
        "filesystem:http://localhost/1",
        "javascript:1",
        "about:blank",
        "about:srcdoc",
        "chrome://settings",
        "devtools://devtools",
        "llm://bridge",
        "view-source:peersky://settings",
        "peersky:settings",
        "peersky://settings:80",
        "peersky://settings@p2p",
        "hyperx://key",
        "hyper://",
        "hypers://key",
    ],
}
POLICY: Final = Policy(DEFAULT_POLICY.allowlist | set(ROWS["user-listed"]))

COMPONENT = ReadInternal("p2p", "/components/llm-history.js")
TYPES = ReadInternal("p2p", "/peersky.d.ts")

# Each column with what the rows internal, imported, p2p, listed (user-listed is the same) and else get.
COLUMNS: Final[dict[str, tuple[Capability, tuple[Answer, Answer, Answer, Answer, Answer]]]] = {
    "window.llm": (UseModel(), (YES, YES, YES, YES, NO)),
    "memory": (UseMemory(), (YES, YES, YES, YES, NO)),
    "publish": (Publish(), (YES, ASK, ASK, ASK, NO)),
    "publish-own": (Publish(own=True), (YES, ASK, YES, ASK, NO)),
    "cloud": (SendToService("https://openrouter.ai"), (YES, ASK, ASK, ASK, NO)),
    "read-components": (COMPONENT, (YES, YES, YES, YES, NO)),
    "read-types": (TYPES, (YES, YES, YES, YES, NO)),
    "read-history-page": (ReadInternal("history", "/"), (NO, NO, NO, NO, NO)),
    "read-chat-app": (ReadInternal("p2p", "/ai-chat/"), (NO, NO, NO, NO, NO)),
    "read-not-quite-components": (ReadInternal("p2p", "/componentsx/a.js"), (NO, NO, NO, NO, NO)),
    "read-not-quite-types": (ReadInternal("p2p", "/peersky.d.ts/x"), (NO, NO, NO, NO, NO)),
    "read-components-of-another-host": (ReadInternal("logs", "/components/a.js"), (NO, NO, NO, NO, NO)),
    "read-assets": (ReadInternal("assets", "/page.css"), (YES, NO, NO, NO, NO)),
    "read-p2p": (ReadP2P(), (YES, YES, YES, YES, NO)),
    "open-p2p-page": (ReadP2P(navigation=True), (YES, YES, YES, YES, YES)),
    "open-llm-settings": (OpenInternal("settings", "/llm"), (YES, YES, YES, YES, NO)),
    "open-settings": (OpenInternal("settings", "/"), (YES, NO, NO, NO, NO)),
    "open-other-settings": (OpenInternal("settings", "/llm/../general"), (YES, NO, NO, NO, NO)),
    "open-llm-of-another-host": (OpenInternal("home", "/llm"), (YES, NO, NO, NO, NO)),
    "open-an-imported-app": (OpenInternal("app-another", "/"), (YES, NO, NO, NO, NO)),
    "read-an-imported-app": (ReadInternal("app-another", "/"), (NO, NO, NO, NO, NO)),
    "api-of-nobody": (CallInternal("assets", "settings"), (NO, NO, NO, NO, NO)),
}
PLACE: Final = {"internal": 0, "imported": 1, "p2p": 2, "listed": 3, "user-listed": 3, "else": 4}

CELLS: Final = [
    pytest.param(origin, capability, answers[PLACE[row]], id=f"{column}:{row}:{origin or 'empty'}")
    for column, (capability, answers) in COLUMNS.items()
    for row, origins in ROWS.items()
    for origin in origins
    # The one page of the row that owns what the column names.
    if not (origin == "peersky://p2p" and isinstance(capability, ReadInternal))
]


@pytest.mark.parametrize(("text", "capability", "answer"), CELLS)
def test_a_cell_of_the_table(text: str, capability: Capability, answer: Answer) -> None:
    origin = parse_origin(text)
    assert may(origin, capability, origin, POLICY) is answer


TRUSTED: Final = [origin for row in ROWS if row != "else" for origin in ROWS[row]]
GUARDED: Final[dict[str, Capability]] = {
    "window.llm": UseModel(),
    "memory": UseMemory(),
    "publish": Publish(),
    "publish-own": Publish(own=True),
    "cloud": SendToService("https://openrouter.ai"),
}


@pytest.mark.parametrize("top", ROWS["else"], ids=lambda top: top or "empty")
@pytest.mark.parametrize("capability", [*GUARDED.values(), COMPONENT, TYPES, ReadP2P()], ids=repr)
def test_a_trusted_frame_in_an_untrusted_top_page_has_nothing(top: str, capability: Capability) -> None:
    for origin in map(parse_origin, TRUSTED):
        assert may(origin, capability, parse_origin(top), POLICY) is NO


@pytest.mark.parametrize("text", ROWS["else"], ids=lambda text: text or "empty")
@pytest.mark.parametrize("capability", [*GUARDED.values(), COMPONENT, TYPES, ReadP2P()], ids=repr)
def test_an_untrusted_frame_in_a_trusted_top_page_has_nothing(text: str, capability: Capability) -> None:
    for top in map(parse_origin, TRUSTED):
        assert may(parse_origin(text), capability, top, POLICY) is NO


@pytest.mark.parametrize("text", TRUSTED)
def test_a_trusted_frame_in_another_trusted_page_has_its_own_rights(text: str) -> None:
    assert may(parse_origin(text), UseModel(), parse_origin("http://localhost:9"), POLICY) is YES


@pytest.mark.parametrize("capability", GUARDED.values(), ids=GUARDED)
@pytest.mark.parametrize("text", TRUSTED)
def test_without_a_stamp_there_is_no_model_no_memory_and_no_write(text: str, capability: Capability) -> None:
    assert may(parse_origin(text), capability, None, POLICY) is NO


@pytest.mark.parametrize("text", TRUSTED)
def test_a_worker_of_a_trusted_page_may_read_what_its_page_may_read(text: str) -> None:
    worker = parse_origin(text)
    for capability in (COMPONENT, TYPES, ReadP2P()):
        assert may(worker, capability, None, POLICY) is YES


@pytest.mark.parametrize("text", ROWS["else"], ids=lambda text: text or "empty")
def test_a_worker_of_an_untrusted_page_may_read_nothing(text: str) -> None:
    for capability in (COMPONENT, TYPES, ReadP2P()):
        assert may(parse_origin(text), capability, None, POLICY) is NO


def test_an_imported_app_leads_to_its_own_pages_and_to_no_other() -> None:
    app = parse_origin("peersky://app-x1")
    assert may(app, OpenInternal("app-x1", "/second.html"), app) is YES
    for host in ("app-x2", "app-x", "apps", "p2p", "home"):
        assert may(app, OpenInternal(host, "/"), app) is NO


PEERSKY_HOSTS: Final = sorted({*INTERNAL_APIS, "p2p", "assets", "app-x1", "components", "unknown"})
API_NAMES: Final = sorted({name for names in INTERNAL_APIS.values() for name in names} | {"", "unknown"})
APIS_OF_EACH_HOST: Final = {
    "settings": {
        "settings",
        "models",
        "models-remove",
        "p2p",
        "llm-status",
        "llm-save",
        "llm-test",
        "llm-key",
        "downloads",
        "sites",
        "memory",
        "memory-export",
    },
    "home": {"llm-status", "llm-enable", "downloads", "pinned", "app-icon"},
    "apps": {"apps", "app-icon", "app-files", "app-zip", "app-export", "app-publish"},
    "about": {"about", "doctor", "licence", "docs", "doc", "doc-image"},
    "archive": {"ledger", "ledger-export", "ledger-qr"},
    "activity": {"activity", "activity-export"},
    "logs": {"logs"},
}


@pytest.mark.parametrize("host", PEERSKY_HOSTS)
@pytest.mark.parametrize("name", API_NAMES)
def test_an_internal_api_is_for_the_page_of_its_own_host(host: str, name: str) -> None:
    api = CallInternal(host, name)
    own = Origin("peersky", host)
    assert may(own, api, own) is (YES if name in APIS_OF_EACH_HOST.get(host, set()) else NO)
    for other in [*map(parse_origin, TRUSTED), OPAQUE, BROWSER, *(Origin("peersky", one) for one in PEERSKY_HOSTS)]:
        if other != own:
            assert may(other, api, other, POLICY) is NO
            # Framed by another page, or framing one: neither lends the rights of its own.
            assert may(own, api, other, POLICY) is NO
            assert may(other, api, own, POLICY) is NO
    assert may(own, api, None) is NO


@pytest.mark.parametrize("host", PEERSKY_HOSTS)
def test_a_page_reads_its_own_host_and_its_worker_too(host: str) -> None:
    own = Origin("peersky", host)
    assert may(own, ReadInternal(host, "/any/file.js"), own) is YES
    assert may(own, ReadInternal(host, "/any/file.js"), None) is YES
    assert may(own, ReadInternal(host, "/any/file.js"), parse_origin("https://evil.example")) is NO


@pytest.mark.parametrize("host", PEERSKY_HOSTS)
def test_no_page_reads_the_page_of_another_internal_host(host: str) -> None:
    for other in PEERSKY_HOSTS:
        if other not in (host, "assets"):
            reader = Origin("peersky", other)
            assert may(reader, ReadInternal(host, "/"), reader) is (
                YES if host == "assets" and other != "app-x1" else NO
            )


def test_the_user_types_any_address_and_may_do_anything_at_the_command_line() -> None:
    assert may(BROWSER, OpenInternal("settings", "/"), BROWSER) is YES
    assert may(BROWSER, ReadInternal("settings", "/"), BROWSER) is YES
    assert may(BROWSER, ReadP2P(navigation=True), BROWSER) is YES
    for capability, _ in COLUMNS.values():
        assert may(USER, capability, USER) is YES


@pytest.mark.parametrize("capability", [*GUARDED.values(), CallInternal("home", "llm-enable")], ids=repr)
def test_a_typed_address_is_no_page_and_has_no_model(capability: Capability) -> None:
    assert may(BROWSER, capability, BROWSER) is NO


@pytest.mark.parametrize("text", TRUSTED)
def test_a_blocked_origin_has_no_model_neither_as_frame_nor_as_top_page(text: str) -> None:
    blocked, friend = parse_origin(text), parse_origin("http://localhost:4711")
    policy = Policy(POLICY.allowlist, frozenset({text}))
    for capability in GUARDED.values():
        assert may(blocked, capability, blocked, policy) is NO
        assert may(blocked, capability, friend, policy) is NO
        assert may(friend, capability, blocked, policy) is NO
        assert may(friend, capability, friend, policy) is not NO


NAMES: Final = {
    "window.llm": "llm",
    "memory": "memory",
    "publish": "publish",
    "publish-own": "publish",
    "cloud": "cloud",
}
ANSWERS: Final = {Decision.ALLOW: YES, Decision.ASK: ASK, Decision.BLOCK: NO}


@pytest.mark.parametrize("decision", Decision)
@pytest.mark.parametrize("column", GUARDED)
@pytest.mark.parametrize("text", TRUSTED)
def test_what_the_user_decided_takes_the_place_of_one_cell(text: str, column: str, decision: Decision) -> None:
    origin, friend = parse_origin(text), parse_origin("http://localhost:4711")
    policy = Policy(POLICY.allowlist, decisions={(text, NAMES[column], ""): decision})
    for name, capability in GUARDED.items():
        expected = ANSWERS[decision] if NAMES[name] == NAMES[column] else may(origin, capability, origin, POLICY)
        assert may(origin, capability, origin, policy) is expected
        # A page that may not do something cannot have a frame do it, whose own rights are no more than before.
        blocked = NAMES[name] == NAMES[column] and decision is Decision.BLOCK
        assert may(friend, capability, origin, policy) is (NO if blocked else may(friend, capability, origin, POLICY))
        assert may(origin, capability, None, policy) is NO


@pytest.mark.parametrize("text", ROWS["else"], ids=lambda text: text or "empty")
def test_no_decision_lets_anybody_in_whom_the_table_does_not(text: str) -> None:
    policy = Policy(POLICY.allowlist, decisions={(text, name, ""): Decision.ALLOW for name in NAMES.values()})
    origin = parse_origin(text)
    assert all(may(origin, capability, origin, policy) is NO for capability in GUARDED.values())


def test_a_decision_about_one_service_goes_before_that_about_all() -> None:
    site, near, far = parse_origin("hyper://abc"), "https://near.example", "https://far.example"
    decisions = {("hyper://abc", "cloud", ""): Decision.BLOCK, ("hyper://abc", "cloud", near): Decision.ALLOW}
    assert may(site, SendToService(near), site, Policy(decisions=decisions)) is YES
    assert may(site, SendToService(far), site, Policy(decisions=decisions)) is NO
    assert may(site, SendToService(near), site, Policy(frozenset(), frozenset({"hyper://abc"}), decisions)) is NO


def test_what_the_user_takes_off_the_allowlist_is_off() -> None:
    agregore = parse_origin("https://agregore.mauve.moe")
    assert may(agregore, UseModel(), agregore, Policy(frozenset())) is NO
    localhost = parse_origin("http://localhost:3000")
    assert may(localhost, UseModel(), localhost, Policy(frozenset())) is YES


@pytest.mark.parametrize("entry", ["", "null", "*", "https://*", "file://", "data:", "blob:", "localhost", "http://"])
def test_no_broken_entry_of_the_allowlist_lets_anybody_in(entry: str) -> None:
    policy = Policy(frozenset({entry}))
    assert not any(is_trusted(parse_origin(text), policy) for text in ROWS["else"])
    assert not is_trusted(OPAQUE, policy)


HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,12}[a-z0-9])?", fullmatch=True)
ORIGINS = st.builds(
    Origin,
    st.sampled_from(["http", "https", "ws", "file", "data", "blob", "llm", "about", "", "chrome"]),
    HOSTS | st.sampled_from(["localhost", "agregore.mauve.moe", "null", "browser", "settings", "home"]),
    st.none() | st.sampled_from([80, 443, 3000]),
)


@given(ORIGINS, ORIGINS | st.none(), st.sampled_from([capability for capability, _ in COLUMNS.values()]))
def test_whoever_is_in_no_row_gets_nothing_but_a_navigation_to_p2p(
    origin: Origin, top: Origin | None, capability: Capability
) -> None:
    listed = (origin.scheme == "http" and origin.host == "localhost") or str(origin) == "https://agregore.mauve.moe"
    if not listed and origin != BROWSER and capability != ReadP2P(navigation=True):
        assert may(origin, capability, top) is NO
