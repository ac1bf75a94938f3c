"""Where a key may be: in the request that it is for. Not in logs, files, arguments, environments, reports or pages."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from peersky.core.errors import PeerSkyError
from tests.e2e.conftest import Product
from tests.fakes.http_server import Refuse
from tests.fakes.openai_server import OpenAIServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PyQt6.QtWidgets import QApplication

pytestmark = pytest.mark.attack("Secrets")

KEY = "sk-attack-0123456789abcdefghijklmnop"
PAGES = ("peersky://settings/llm", "peersky://logs/", "peersky://about/", "peersky://home/", "peersky://p2p/ai-chat/")

PUBLISH = """
    const drive = (await (await fetch('hyper://localhost/?key=mine', {method: 'POST'})).text()).trim();
    const put = await fetch(`${drive}index.html`, {method: 'PUT', body: '<title>mine</title><h1>mine</h1>'});
    if (!put.ok) throw new Error(await put.text());
    // What the node refuses is told in its words, and stands in the log.
    await fetch(`${drive}gone.html`);
    return drive;
"""

# All that a page can get at: its own globals to some depth, and what the APIs of its host answer.
LOOK = """
    const texts = [document.documentElement.outerHTML];
    const seen = new Set();
    const walk = (thing, depth) => {
      if (thing === null || !['object', 'function'].includes(typeof thing) || seen.has(thing) || depth > 4) {
        texts.push(String(thing));
        return;
      }
      seen.add(thing);
      for (const name of Reflect.ownKeys(thing)) {
        try { walk(thing[name], depth + 1); } catch { /* not to be read */ }
        texts.push(String(name));
      }
    };
    for (const name of ['llm', 'llmMemory', '_llmBridge', 'peersky', 'localStorage', 'history', 'name']) {
      walk(self[name], 0);
    }
    const urls = ['/api/settings', '/api/llm-status', '/api/models', '/api/doctor', '/api/about', '/api/logs',
      '/api/sites', '/api/p2p', 'llm://bridge/v1/status', 'llm://bridge/v1/models', location.href];
    for (const url of urls) {
      for (const method of ['GET', 'POST']) {
        if (url === '/api/logs' && method === 'GET') continue;
        try {
          const reply = await fetch(url, {method, body: method === 'POST' ? '{}' : undefined});
          texts.push(JSON.stringify([...reply.headers]), await reply.text());
        } catch { /* there is no such API here */ }
      }
    }
    return texts.join('\\n');
"""


class UsedProduct(Product):
    """Adds the address of a drive that was published."""

    drive = ""


@pytest.fixture(scope="module")
def used(qt_application: QApplication, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UsedProduct]:
    """A browser that asked a service with its key, well and badly, and the engine and the P2P node with theirs."""
    with OpenAIServer(models=["gpt-x"], key=KEY) as server:
        llm = {"enabled": True, "provider": "openai", "baseURL": f"{server.url}/v1", "model": "gpt-x"}
        product = UsedProduct(tmp_path_factory.mktemp("secrets"), {"llm": llm})
        product.runtime.settings.change({"llm.apiKey": KEY})
        page = product.page("peersky://p2p/ai-chat/")
        assert page.evaluate("return await llm.complete('Hello')", 30)
        # A service that sends the key back in its error.
        server.refusals.append(Refuse(401, {"error": {"message": f"Incorrect API key provided: {KEY}."}}))
        shown = page.evaluate("return await llm.complete('Hello').catch((error) => String(error.message))", 30)
        assert "key" in shown
        assert KEY not in shown
        product.runtime.settings.change({"llm.provider": "builtin", "llm.model": str(tiny), "llm.contextLength": 512})
        assert isinstance(page.evaluate("return await llm.complete('Hello', {maxTokens: 2})", 60), str)
        assert any(KEY in str(request.headers) for request in server.requests), "the control: the service got it"
        product.drive = str(page.evaluate(PUBLISH, 60))
        assert product.drive.startswith("hyper://")
        yield product
        product.close()


def secrets(product: Product) -> dict[str, str]:
    """Every secret of the session by what it is."""
    services = product.runtime.services
    engine = services.builtin._chat_seat.engine
    assert engine is not None
    found = {
        "API key": KEY,
        "stamp": product.runtime.web._interceptor._secret,
        "engine's key": engine._key,
        "P2P node's token": services.p2p.node._token,
    }
    assert all(len(secret) > 20 for secret in found.values())
    return found


def found_in(product: Product, text: str) -> list[str]:
    return [name for name, secret in secrets(product).items() if secret in text]


def test_no_file_of_the_profile_holds_a_secret_but_that_for_secrets(used: UsedProduct) -> None:
    files = [file for file in used.profile.root.rglob("*") if file.is_file() and not file.is_socket()]
    assert used.profile.log_file in files
    holding = {file: found_in(used, file.read_bytes().decode("utf-8", "replace")) for file in files}
    assert {file for file, names in holding.items() if names} == {used.profile.secrets_file}
    assert holding[used.profile.secrets_file] == ["API key"]
    assert used.profile.secrets_file.stat().st_mode & 0o077 == 0


def test_no_log_entry_and_no_crash_report_holds_a_secret(used: UsedProduct) -> None:
    """Not even an entry of a fault whose text holds it, as a report of an exception does."""
    for name, secret in secrets(used).items():
        if name == "API key":
            logging.getLogger("peersky").error("a request failed: Authorization: Bearer %s", secret)
            used.runtime.services.logbook.record("fault", text=f"Traceback: key={secret}", error=PeerSkyError(secret))
    assert found_in(used, str(used.runtime.services.logbook.recent(10_000))) == []
    assert found_in(used, used.profile.log_file.read_text("utf-8")) == []


def test_no_process_shows_a_secret_in_its_arguments_or_environment(used: UsedProduct) -> None:
    me = psutil.Process()
    children = me.children(recursive=True)
    node = used.runtime.services.p2p.node.port
    # The control: engine and node are among them.
    assert len([child for child in children if "engine_child" in str(child.cmdline())]) == 1
    listening = [child for child in children if node in [each.laddr.port for each in child.net_connections("inet")]]
    assert len(listening) == 1
    for process in [me, *children]:
        try:
            shown = f"{process.cmdline()} {process.environ()}"
        except psutil.Error:  # It has just ended.
            continue
        assert found_in(used, shown) == [], process.name()


def test_doctor_tells_no_secret(used: UsedProduct) -> None:
    for words in (["doctor"], ["doctor", "--json"]):
        command = [sys.executable, "-m", "peersky", *words, "--profile", str(used.profile.root)]
        told = subprocess.run(command, capture_output=True, text=True, timeout=110)
        assert told.stdout
        assert found_in(used, told.stdout + told.stderr) == []


@pytest.mark.parametrize("url", [*PAGES, ""], ids=lambda url: url or "a P2P page")
def test_no_page_gets_at_a_secret(used: UsedProduct, url: str) -> None:
    told: Any = used.page(url or used.drive).evaluate(LOOK, 30)
    assert len(told) > 1000
    assert found_in(used, told) == []
