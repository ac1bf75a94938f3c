"""``peersky:`` without Qt: each page with its headers, who is refused, the JSON APIs, and what the files promise."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import peersky
from peersky.core.origins import BROWSER, OPAQUE, Origin, parse_origin
from peersky.core.settings_schema import SETTINGS, STARTER_MODEL
from peersky.core.trust import Policy
from peersky.llm.bridge import Bridge
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from peersky.web.asker import COMMAND_LINE, NOBODY, Asker
from peersky.web.error_page import render_error_page
from peersky.web.page_template import PAGES as PAGE_ENTRIES
from peersky.web.page_template import Page
from peersky.web.pages_app import make_pages_app
from peersky.web.requests import MAX_API_BODY_BYTES
from tests.asgi.client import AsgiClient
from tests.fakes.scripted_provider import Log, ScriptedProvider

ASSETS = Path(peersky.__file__).parent / "assets"
PAGES = [
    "peersky://home/",
    "peersky://settings/",
    "peersky://settings/llm",
    "peersky://settings/llm/",
    "peersky://settings/memory",
    "peersky://settings/sites",
    "peersky://activity/",
    "peersky://logs/",
    "peersky://p2p/",
    "peersky://p2p/ai-chat/",
    "peersky://p2p/llm-lab/",
    "peersky://p2p/md/",
    "peersky://p2p/upload/",
]
SETTINGS_API = "peersky://settings/api/settings"
TYPED = Asker(BROWSER, BROWSER, "main-frame")


def fetched_by(origin: str, top: str | None = None, resource: str = "xhr") -> Asker:
    return Asker(parse_origin(origin), parse_origin(top or origin), resource)


def opened_by(origin: str) -> Asker:
    return fetched_by(origin, resource="main-frame")


HOME, OWN_SETTINGS = fetched_by("peersky://home"), fetched_by("peersky://settings")


class World:
    """The app over a real bridge and real settings."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "settings.json"
        self.settings = SettingsStore(self.file, SecretStore(folder / "secrets.json"))
        self.provider = ScriptedProvider()
        self.bridge = Bridge(self.settings, {"builtin": self.provider}, Log())
        self.policy = Policy()
        self.client = AsgiClient(make_pages_app(self.settings, self.bridge, lambda: self.policy, ASSETS), TYPED)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# --- pages and their headers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", PAGES)
async def test_each_page_comes_with_its_policy(world: World, url: str) -> None:
    reply = await world.client.get(url)
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    policy = reply.headers["content-security-policy"]
    # Chromium lower-cases header values of custom schemes: what must keep its case cannot stand here.
    assert policy == policy.lower()
    rules = {part.split()[0]: part.split()[1:] for part in policy.split(";")}
    assert rules["default-src"] == ["'none'"]
    assert rules["script-src"] == ["'self'", "peersky://assets"]
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == ["'none'"]
    assert "unsafe" not in policy
    assert rules["connect-src"] == (["'self'", "llm:", "hyper:", "ipfs:", "ipns:"] if "//p2p/" in url else ["'self'"])


class _Markup(HTMLParser):
    """What a page refers to, and what its policy forbids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.inline: list[str] = []
        self._script_without_source = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.inline += [name for name in named if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in named):
            self.inline.append(tag)
        if tag == "a":
            self.links.append(named.get("href", ""))
        elif "src" in named or tag == "link":
            self.loads.append(named.get("src") or named["href"])


@pytest.mark.parametrize("url", [url for url in PAGES if url != "peersky://settings/llm/"])
async def test_pages_hold_nothing_inline_and_everything_they_load_is_there(world: World, url: str) -> None:
    markup = _Markup((await world.client.get(url)).text)
    assert markup.inline == []
    own = url.split("/")[2]
    folder = url if url.endswith("/") else url.rpartition("/")[0] + "/"
    asker = fetched_by(f"peersky://{own}", resource="script")
    for name in markup.loads:
        address = name if ":" in name else f"peersky://{own}{name}" if name.startswith("/") else folder + name
        reply = await world.client.get(address, asker=asker)
        assert (reply.status, address) == (200, address)
    for link in markup.links:
        if link.startswith("peersky:"):
            assert (await world.client.get(link, asker=opened_by(f"peersky://{own}"))).status == 200, link


@pytest.mark.parametrize("page", PAGE_ENTRIES, ids=lambda page: f"{page.host}{page.path}")
async def test_a_page_is_its_fragment_in_the_frame_that_all_have(world: World, page: Page) -> None:
    url = f"peersky://{page.host}{page.path}"
    text = (await world.client.get(url)).text
    assert (ASSETS / page.fragment).read_text("utf-8").rstrip() in text
    assert not re.search(r"\$\w|\n\n", text)
    assert re.findall("<title>.*PeerSky", text)
    for part in ('href="#main">Skip to content<', '<main id="main"', '<header class="bar">', '<nav aria-label="Main">'):
        assert text.count(part) == 1, part
    here = re.findall('aria-current="page">([^<]*)</a></li>', text)
    assert here == ([page.title] if page.host == "settings" else [])
    head = await world.client.request("HEAD", url)
    assert (head.body, head.headers["content-length"]) == (b"", str(len(text.encode())))


async def test_a_fragment_is_no_page(world: World) -> None:
    for page in PAGE_ENTRIES:
        name = page.fragment.rpartition("/")[2]
        assert (await world.client.get(f"peersky://{page.host}/{name}")).status == 404


async def test_scripts_and_styles_refer_to_files_that_exist(world: World) -> None:
    for file in [*ASSETS.glob("pages/**/*.js"), *ASSETS.glob("apps/**/*.js")]:
        if "vendor" not in file.parts:
            for name in re.findall(r'from "(\.[^"]+)"', file.read_text("utf-8")):
                assert (file.parent / name).is_file(), (file, name)
    for file in [*ASSETS.glob("pages/**/*.css"), *ASSETS.glob("apps/**/*.css"), *ASSETS.glob("shared/*.css")]:
        for name in re.findall(r'url\("([^"]+)"\)', file.read_text("utf-8")):
            assert (file.parent / name).is_file(), (file, name)


@pytest.mark.parametrize(
    "app", sorted(page.parent for page in ASSETS.glob("apps/*/index.html")), ids=lambda app: app.name
)
def test_an_app_brings_everything_along(app: Path) -> None:
    """It is published as a folder: nothing in it may point out of it, and its copies must be the shared ones."""
    loads = _Markup((app / "index.html").read_text("utf-8")).loads
    assert loads
    assert not [name for name in loads if ":" in name or name.startswith(("/", ".."))]
    assert (app / "tokens.css").read_bytes() == (ASSETS / "shared" / "tokens.css").read_bytes()
    assert (app / "mark.svg").read_bytes() == (ASSETS / "shared" / "mark.svg").read_bytes()
    for script in app.glob("*.js"):
        assert not re.findall(r'from "(?!\./)', script.read_text("utf-8")), script


async def test_blobs_run_in_the_frame_of_the_playground_alone(world: World) -> None:
    runner = await world.client.get("peersky://p2p/llm-lab/run.html", asker=fetched_by("peersky://p2p"))
    rules = {part.split()[0]: part.split()[1:] for part in runner.headers["content-security-policy"].split(";")}
    assert runner.status == 200
    assert rules["default-src"] == ["'none'"]
    assert rules["script-src"] == ["'self'", "blob:"]
    assert rules["connect-src"] == ["'self'", "llm:", "hyper:", "ipfs:", "ipns:"]
    assert rules["frame-ancestors"] == ["'self'"]
    for path in ("llm-lab/", "llm-lab/run.html/", "md/llm-lab/run.html", "upload/"):
        other = await world.client.get(f"peersky://p2p/{path}", asker=fetched_by("peersky://p2p"))
        assert "script-src 'self' peersky://assets" in other.headers["content-security-policy"], path


async def test_a_preview_is_a_frame_that_reaches_nothing(world: World) -> None:
    """What apps run there was written by others: no origin, no network, no frame of another page than the app."""
    reply = await world.client.get("peersky://p2p/editor/preview.html", asker=fetched_by("peersky://p2p"))
    rules = {part.split()[0]: part.split()[1:] for part in reply.headers["content-security-policy"].split(";")}
    assert rules.pop("sandbox") == ["allow-scripts", "allow-forms"]
    assert rules.pop("frame-ancestors") == ["'self'"]
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == ["'none'"]
    assert set().union(*rules.values()) <= {"'none'", "'unsafe-inline'", "'unsafe-eval'", "data:", "blob:"}
    app = await world.client.get("peersky://p2p/editor/")
    assert "frame-src 'self';" in app.headers["content-security-policy"]
    home = await world.client.get("peersky://home/")
    assert "frame-src 'none';" in home.headers["content-security-policy"]


async def test_a_folder_without_its_slash_leads_to_the_one_with_it(world: World) -> None:
    reply = await world.client.get("peersky://p2p/ai-chat?q=1")
    assert reply.status == 404
    assert _Markup(reply.text).links == ["peersky://p2p/ai-chat/?q=1"]


async def test_the_declarations_are_readable_by_every_trusted_page(world: World) -> None:
    for origin in ("hyper://abc", "http://localhost:3000", "https://agregore.mauve.moe", "peersky://app-1"):
        reply = await world.client.get("peersky://p2p/peersky.d.ts", asker=fetched_by(origin))
        assert reply.status == 200
        assert "interface PeerSkyLLM" in reply.text
    refused = await world.client.get("peersky://p2p/peersky.d.ts", asker=fetched_by("https://evil.example"))
    assert refused.status == 403


async def test_ranges_and_head(world: World) -> None:
    url, own = "peersky://assets/peersky.css", fetched_by("peersky://home", resource="style")
    whole = await world.client.get(url, asker=own)
    part = await world.client.get(url, asker=own, headers={"range": "bytes=2-5"})
    assert (part.status, part.body) == (206, whole.body[2:6])
    past = await world.client.get(url, asker=own, headers={"range": "bytes=9999999-"})
    assert (past.status, past.headers["content-range"]) == (416, f"bytes */{len(whole.body)}")
    head = await world.client.request("HEAD", url, asker=own)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(whole.body)))


# --- what is not there ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "peersky://nowhere/",
        "peersky://home/missing.html",
        "peersky://home/home",
        "peersky://p2p/components/missing.js",
        "peersky://p2p/missing/",
        "peersky://app-1/",
    ],
)
async def test_a_missing_page_is_a_page(world: World, url: str) -> None:
    reply = await world.client.get(url)
    assert reply.status == 404
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "No such page" in reply.text
    assert url in reply.text
    assert "content-security-policy" in reply.headers
    assert _Markup(reply.text).inline == []


async def test_a_missing_part_of_a_page_is_a_status_and_a_sentence(world: World) -> None:
    asker = fetched_by("peersky://home", resource="script")
    reply = await world.client.get("peersky://home/missing.js", asker=asker)
    assert (reply.status, reply.text) == (404, "There is nothing at this address.")
    assert reply.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "path",
    [
        "/../shared/peersky.css",
        "/%2e%2e/shared/peersky.css",
        "/..%2fshared/peersky.css",
        "/%2e%2e%2f%2e%2e%2fweb/pages_app.py",
        "/..%5c..%5cweb%5cpages_app.py",
        "//etc/passwd",
        "/home.css%00",
        "/.%2e/.%2e/__init__.py",
    ],
)
async def test_no_way_out_of_the_folder(world: World, path: str) -> None:
    reply = await world.client.get(f"peersky://home{path}", asker=HOME)
    assert reply.status == 404


async def test_an_address_is_shown_as_text(world: World) -> None:
    reply = await world.client.get("peersky://home/%3Cscript%3Ealert(1)%3C%2Fscript%3E%22")
    assert reply.status == 404
    assert "<script" not in reply.text


# --- who is refused -------------------------------------------------------------------------------------------------

READS = [*PAGES, "peersky://home/home.js", "peersky://assets/peersky.css", "peersky://p2p/ai-chat/main.js"]


@pytest.mark.parametrize(
    "asker",
    [
        NOBODY,
        Asker(OPAQUE, BROWSER, "sub-frame"),
        fetched_by("https://evil.example"),
        fetched_by("https://evil.example", resource="sub-frame"),
        fetched_by("https://evil.example", resource="image"),
        fetched_by("https://evil.example", resource="script"),
        fetched_by("https://evil.example", resource="main-frame"),
        fetched_by("http://agregore.mauve.moe"),
        fetched_by("https://agregore.mauve.moe.evil.example"),
        fetched_by("hyper://abc"),
        fetched_by("http://localhost:3000"),
        fetched_by("peersky://app-1"),
        fetched_by("peersky://app-1", resource="main-frame"),
        fetched_by("peersky://home", top="https://evil.example"),
        fetched_by("peersky://settings", top="https://evil.example", resource="sub-frame"),
    ],
    ids=lambda asker: f"{asker.origin}|{asker.top}|{asker.resource}",
)
async def test_foreign_pages_read_nothing(world: World, asker: Asker) -> None:
    for url in READS:
        if asker.is_navigation and asker.origin.is_imported_app and url.startswith("peersky://settings/llm"):
            continue
        reply = await world.client.get(url, asker=asker)
        assert (reply.status, url) == (403, url)
        assert reply.text
        assert ("<html" in reply.text) == (asker.resource in ("main-frame", "sub-frame"))
        assert "content-security-policy" in reply.headers


async def test_internal_pages_read_their_own_host_and_the_assets(world: World) -> None:
    cases = {
        "peersky://home/home.js": 200,
        "peersky://assets/peersky.css": 200,
        "peersky://settings/llm.js": 403,
        "peersky://p2p/ai-chat/main.js": 403,
    }
    for url, status in cases.items():
        assert (await world.client.get(url, asker=HOME)).status == status, url


async def test_trusted_pages_may_open_the_settings_of_local_ai_and_no_other_page(world: World) -> None:
    for origin in ("hyper://abc", "ipfs://abc", "http://localhost:3000", "peersky://app-1"):
        for url in PAGES:
            allowed = url.startswith("peersky://settings/llm")
            status = (await world.client.get(url, asker=opened_by(origin))).status
            assert status == (200 if allowed else 403), (origin, url)
    for url in PAGES:
        assert (await world.client.get(url, asker=opened_by("peersky://home"))).status == 200


@pytest.mark.parametrize(
    "asker",
    [
        NOBODY,
        TYPED,
        Asker(parse_origin("peersky://settings"), None, "xhr"),
        Asker(parse_origin("peersky://settings"), None, ""),
        HOME,
        fetched_by("peersky://p2p"),
        fetched_by("peersky://app-1"),
        fetched_by("hyper://abc"),
        fetched_by("http://localhost:3000"),
        fetched_by("https://evil.example"),
        fetched_by("peersky://settings", top="https://evil.example"),
        fetched_by("peersky://settings", top="peersky://p2p"),
    ],
    ids=lambda asker: f"{asker.origin}|{asker.top}|{asker.resource}",
)
async def test_the_settings_api_is_for_the_settings_page_alone(world: World, asker: Asker) -> None:
    for method, url in [
        ("GET", SETTINGS_API),
        ("POST", SETTINGS_API),
        ("GET", "peersky://settings/api/models"),
        ("GET", "peersky://settings/api/llm-status"),
    ]:
        options = {"json": {"changes": {"llm.enabled": True}}} if method == "POST" else {}
        reply = await world.client.request(method, url, asker=asker, **options)
        assert reply.status == 403
        assert reply.json["error"]["name"] == "NotAllowedError"
        assert reply.json["error"]["code"] == "not_trusted"
    assert world.settings.flag("llm.enabled") is False


@pytest.mark.parametrize(
    "asker", [TYPED, OWN_SETTINGS, fetched_by("peersky://p2p"), fetched_by("peersky://home", top="hyper://abc"), NOBODY]
)
async def test_the_one_click_is_for_the_home_page_alone(world: World, asker: Asker) -> None:
    reply = await world.client.post("peersky://home/api/llm-enable", asker=asker)
    assert reply.status == 403
    assert world.settings.flag("llm.enabled") is False


@pytest.mark.parametrize("name", ["", "unknown", "settings", "models", "../settings"])
async def test_other_names_below_api_are_closed(world: World, name: str) -> None:
    assert (await world.client.get(f"peersky://home/api/{name}", asker=HOME)).status == 403


async def test_the_user_in_person_may_everything(world: World) -> None:
    for url in [*PAGES, SETTINGS_API, "peersky://home/api/llm-status"]:
        assert (await world.client.get(url, asker=COMMAND_LINE)).status == 200


# --- APIs -----------------------------------------------------------------------------------------------------------


async def test_one_click_turns_local_ai_on_with_the_starter_model(world: World) -> None:
    before = await world.client.get("peersky://home/api/llm-status", asker=HOME)
    assert (before.json["enabled"], before.json["supported"]) == (False, False)
    reply = await world.client.post("peersky://home/api/llm-enable", asker=HOME)
    assert reply.status == 200
    expected = {"enabled": True, "supported": True, "provider": "builtin", "model": STARTER_MODEL, "isLocal": True}
    assert expected.items() <= reply.json.items()
    stored = json.loads(world.file.read_text("utf-8"))["llm"]
    assert (stored["enabled"], stored["provider"], stored["model"]) == (True, "builtin", STARTER_MODEL)


async def test_one_click_keeps_a_built_in_model_that_the_user_chose(world: World) -> None:
    world.settings.change({"llm.provider": "builtin", "llm.model": "other"})
    reply = await world.client.post("peersky://home/api/llm-enable", asker=HOME)
    assert (reply.json["enabled"], reply.json["model"]) == (True, "other")


@pytest.mark.parametrize("host", ["home", "settings"])
async def test_a_crashed_engine_is_told_and_started_again_by_a_person(world: World, host: str) -> None:
    asker = fetched_by(f"peersky://{host}")
    world.provider.now = ("crash_loop", "The engine ended three times.")
    world.settings.change({"llm.provider": "builtin"})
    url = f"peersky://{host}/api/llm-status"
    told = await world.client.get(url, asker=asker)
    assert told.json["backEnd"] == {"state": "crash_loop", "sentence": "The engine ended three times."}
    reply = await world.client.post(url, asker=asker)
    assert reply.json["backEnd"]["state"] == "stopped"
    assert world.provider.now[0] == "stopped"


async def test_get_changes_nothing(world: World) -> None:
    reply = await world.client.get("peersky://home/api/llm-enable", asker=HOME)
    assert reply.status == 405
    assert reply.headers["allow"] == "POST"
    assert reply.json["error"]["code"] == "method_not_allowed"
    assert world.settings.flag("llm.enabled") is False


async def test_all_declared_settings_are_listed_and_no_secret_is(world: World) -> None:
    world.settings.change({"llm.apiKey": "sk-very-secret", "llm.temperature": 0.2})
    reply = await world.client.get(SETTINGS_API, asker=OWN_SETTINGS)
    listed = {entry["key"]: entry for entry in reply.json["settings"]}
    assert listed.keys() == SETTINGS.keys()
    assert "sk-very-secret" not in reply.text
    assert listed["llm.apiKey"] == {
        "key": "llm.apiKey",
        "description": SETTINGS["llm.apiKey"].description,
        "type": "secret",
        "set": True,
    }
    assert listed["llm.temperature"] == {
        "key": "llm.temperature",
        "description": SETTINGS["llm.temperature"].description,
        "type": "float",
        "value": 0.2,
        "default": 0.7,
        "stored": True,
        "minimum": 0,
        "maximum": 2,
        "unit": "",
        "choices": [],
        "form": "",
    }
    assert listed["browser.colorScheme"]["choices"] == ["system", "light", "dark"]


async def test_changes_are_stored_and_answered_with_the_new_state(world: World) -> None:
    changes = {"llm.temperature": 1, "trust.allowlist": ["https://example.org/"], "llm.apiKey": "sk-new"}
    reply = await world.client.post(SETTINGS_API, asker=OWN_SETTINGS, json={"changes": changes})
    assert reply.status == 200
    listed = {entry["key"]: entry for entry in reply.json["settings"]}
    assert listed["llm.temperature"]["value"] == 1.0
    assert listed["trust.allowlist"]["value"] == ["https://example.org"]
    assert listed["llm.apiKey"]["set"] is True
    assert world.settings.secret("llm.apiKey") == "sk-new"
    assert "sk-new" not in reply.text


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"llm.temperature": 3}, "llm.temperature"),
        ({"llm.temperature": "warm"}, "llm.temperature"),
        ({"llm.enabled": "yes"}, "llm.enabled"),
        ({"trust.allowlist": ["http://example.org"]}, "trust.allowlist"),
        ({"browser.searchURL": "javascript:alert(1)"}, "browser.searchURL"),
        ({"llm.unknown": 1}, "llm.unknown"),
        ({"llm.temperature": 0.1, "llm.maxTokens": 0}, "llm.maxTokens"),
    ],
)
async def test_refused_changes_name_the_setting_and_change_nothing(
    world: World, changes: dict[str, Any], param: str
) -> None:
    before = world.settings.number("llm.temperature")
    reply = await world.client.post(SETTINGS_API, asker=OWN_SETTINGS, json={"changes": changes})
    assert reply.status == 400
    assert reply.json["error"]["param"] == param
    assert reply.json["error"]["message"].endswith(".")
    assert world.settings.number("llm.temperature") == before


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"{}", b'{"changes": []}', b"[" * 100_000])
async def test_a_malformed_body_is_an_error_object(world: World, body: bytes) -> None:
    reply = await world.client.post(SETTINGS_API, asker=OWN_SETTINGS, content=body)
    assert reply.status == 400
    assert reply.json["error"]["name"] == "TypeError"


async def test_a_body_that_is_too_large_is_refused_before_it_has_arrived(world: World) -> None:
    piece = b" " * (MAX_API_BODY_BYTES // 2)
    reply = await world.client.post(SETTINGS_API, asker=OWN_SETTINGS, content=[piece] * 8)
    assert reply.status == 413
    assert reply.json["error"]["code"] == "body_too_large"
    assert reply.json["error"]["requested"] < 2 * MAX_API_BODY_BYTES


async def test_models_are_listed_while_local_ai_is_off(world: World) -> None:
    reply = await world.client.get("peersky://settings/api/models", asker=OWN_SETTINGS)
    assert [model["id"] for model in reply.json["models"]] == [STARTER_MODEL, "other"]
    assert reply.json["models"][0]["note"]


async def test_a_fault_in_the_program_is_told_without_its_inside(world: World) -> None:
    def broken() -> Any:
        raise ZeroDivisionError("inside")

    world.provider.models = broken  # type: ignore[method-assign]
    reply = world.client.send("GET", "peersky://settings/api/models", asker=OWN_SETTINGS)
    with pytest.raises(ZeroDivisionError):
        await reply.read()
    assert reply.status == 500
    assert reply.json["error"]["code"] == "internal_error"
    assert "inside" not in reply.text


# --- error page -----------------------------------------------------------------------------------------------------


def test_error_page_escapes_everything() -> None:
    nasty = "<b>&\"'$x</b>"
    page = render_error_page(
        ASSETS, title=nasty, sentence=nasty, advice=nasty, address=nasty, link=("peersky://home/", nasty)
    )
    assert "<b>" not in page
    assert page.count("&lt;b&gt;&amp;&quot;&#x27;$x&lt;/b&gt;") == 6
    assert _Markup(page).links == ["peersky://home/"]


def test_origins_of_the_tests_are_what_they_look_like() -> None:
    assert parse_origin("peersky://app-1").is_imported_app
    assert parse_origin("peersky://home") == Origin("peersky", "home")
