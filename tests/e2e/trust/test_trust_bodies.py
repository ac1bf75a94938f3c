"""Request bodies of those who may send none: not read, not kept, and no upload session for them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from peersky.qt import asgi_scheme
from tests.e2e.trust.conftest import successes

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tests.e2e.trust.conftest import Fortress, Seen

pytestmark = pytest.mark.attack("Bodies and uploads")


@pytest.fixture(autouse=True)
def _nothing_received_yet(fortress: Fortress) -> None:
    fortress.drive.body_bytes.clear()


URLS = ["hyper://drive/file", "llm://bridge/v1/chat/completions", "peersky://settings/api/settings"]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the bodies that the main thread reads; it reads them all the same."""
    sizes: list[int] = []
    read: Callable[[Any], bytes] = asgi_scheme._read_body

    def note(job: Any) -> bytes:
        body = read(job)
        sizes.append(len(body))
        return body

    monkeypatch.setattr(asgi_scheme, "_read_body", note)
    return sizes


def writes(seen: list[Seen]) -> list[Seen]:
    return [request for request in seen if request.method not in ("GET", "HEAD")]


SEND = """
    const learnt = {};
    for (const url of URLS) {
      for (const method of ['POST', 'PUT', 'DELETE']) {
        const body = new Blob([new Uint8Array(SIZE)]);
        learnt[`${method} ${url}`] = await request(url, {method, body});
      }
    }
    return learnt;
"""


@pytest.mark.parametrize("megabytes", [1, 64])
def test_a_hostile_pages_body_is_refused_unread(fortress: Fortress, reads: list[int], megabytes: int) -> None:
    script = SEND.replace("URLS", repr(URLS)).replace("SIZE", f"{megabytes} * 1e6")
    with fortress.siege() as seen:
        learnt = fortress.page(fortress.sites.url("evil.example")).evaluate(script, 60)
    assert len(learnt) == 9
    assert successes(learnt) == {}
    assert writes(seen) == []
    assert (reads, fortress.drive.body_bytes) == ([], [])


def test_a_trusted_page_in_a_hostile_one_sends_nothing_either(fortress: Fortress, reads: list[int]) -> None:
    send = SEND.replace("URLS", repr(URLS)).replace("SIZE", "1e6")
    body = f"<script>ATTACKS</script><script>(async () => {{ {send} }})().then((x) => top.postMessage(x, '*'))</script>"
    frame = f"hyper://drive/serve?body={quote(body, safe='')}"
    with fortress.siege() as seen:
        page = fortress.page(fortress.sites.url("evil.example"))
        (learnt,) = page.evaluate(f"return await reportsOf(1, () => addFrame({{src: `{frame}`}}))")
    assert successes(learnt) == {}
    assert writes(seen) == []
    assert (reads, fortress.drive.body_bytes) == ([], [])


def test_a_worker_of_a_trusted_page_sends_nothing(fortress: Fortress, reads: list[int]) -> None:
    with fortress.siege() as seen:
        page = fortress.page("hyper://drive/")
        attack = f"(async () => {{ {SEND.replace('URLS', repr(URLS)).replace('SIZE', '1e6')} }})().then(postMessage)"
        learnt = page.evaluate(
            f"""
            const source = await (await fetch('/attacks.js')).text();
            const worker = new Worker(URL.createObjectURL(new Blob([source, {json.dumps(attack)}])));
            return await new Promise((done) => {{ worker.onmessage = ({{data}}) => done(data); }});
            """
        )
    assert successes(learnt) == {}
    assert writes(seen) == []
    assert (reads, fortress.drive.body_bytes) == ([], [])


def test_the_control_a_trusted_pages_body_arrives(fortress: Fortress, reads: list[int]) -> None:
    page = fortress.page(fortress.sites.url("localhost"))
    for size in (1_000_000, 9_000_000):
        script = f"return (await request('hyper://drive/file', {{method: 'PUT', body: new Uint8Array({size})}})).status"
        assert page.evaluate(script) == 200
    assert fortress.drive.body_bytes == [1_000_000, 9_000_000]
    assert sum(reads) == 10_000_000
    assert max(reads) <= 4 * 1024 * 1024


UPLOAD = """
    const learnt = {};
    for (const [number, method] of ['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'OPTIONS'].entries()) {
      const id = String(number).repeat(32);
      const body = ['GET', 'HEAD'].includes(method) ? undefined : 'x';
      for (const step of ['offset=0', 'commit=0', 'commit=1']) {
        const headers = {'X-Peersky-Upload': `${id}; ${step}`};
        learnt[`${method} ${step}`] = await request('hyper://drive/file', {method, headers, body});
      }
    }
    return learnt;
"""


def test_a_hostile_page_opens_no_upload_session(fortress: Fortress) -> None:
    with fortress.siege() as seen:
        learnt = fortress.page(fortress.sites.url("evil.example")).evaluate(UPLOAD)
    assert {name: found for name, found in learnt.items() if found.get("status") in (200, 202)} == {}
    assert [request for request in seen if request.path == "/file"] == []
    assert fortress.drive.body_bytes == []


def test_a_hostile_page_cannot_use_up_the_upload_sessions(fortress: Fortress) -> None:
    hostile = fortress.page(fortress.sites.url("evil.example"))
    hostile.evaluate(
        """
        for (let n = 100; n < 200; n += 1) {
          const headers = {'X-Peersky-Upload': `${n}${'0'.repeat(29)}; offset=0`};
          await request('hyper://drive/file', {method: n % 2 ? 'GET' : 'PUT', headers});
        }
        """
    )
    page = fortress.page("hyper://drive/")
    script = "return (await request('/file', {method: 'PUT', body: new Uint8Array(5e6)})).status"
    assert page.evaluate(script) == 200
    fortress.runtime.call(asyncio.sleep(0)).result(5)
    assert fortress.drive.body_bytes == [5_000_000]
