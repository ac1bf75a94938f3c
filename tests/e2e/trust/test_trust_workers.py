"""Workers: no kind of them has a stamp, so none has the model, whatever headers it makes up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.trust.conftest import successes

if TYPE_CHECKING:
    from peersky.qt.driver import PageDriver
    from tests.e2e.trust.conftest import Fortress

pytestmark = pytest.mark.attack("Workers")

# How to start each kind; `found` resolves with its report.
KINDS = {
    "dedicated": "const found = heard(new Worker('/worker.js'))",
    "dedicated module": "const found = heard(new Worker('/worker.js', {type: 'module'}))",
    "blob": "const found = heard(new Worker(URL.createObjectURL(new Blob([await source()]))))",
    "data": "const found = heard(new Worker('data:text/javascript;base64,' + btoa(await source())))",
    "nested": """
        const outer = `const inner = new Worker(${JSON.stringify(location.origin + '/worker.js')});
          inner.onmessage = ({data}) => postMessage(data);`;
        const found = heard(new Worker(URL.createObjectURL(new Blob([outer]))))
    """,
    "shared": """
        const {port} = new SharedWorker('/worker.js');
        port.start();
        const found = heard(port)
    """,
    "shared blob": """
        const {port} = new SharedWorker(URL.createObjectURL(new Blob([await source()])));
        port.start();
        const found = heard(port)
    """,
}
SERVICE = """
    const registration = await navigator.serviceWorker.register('/worker.js', {scope: '/nothing'});
    const worker = registration.installing ?? registration.waiting ?? registration.active;
    const {port1, port2} = new MessageChannel();
    port1.start();
    const found = heard(port1);
    worker.postMessage('go', [port2]);
    found.finally(() => registration.unregister())
"""


def report(page: PageDriver, start: str) -> dict[str, Any]:
    """What a worker learns that is started so."""
    script = f"""
        const heard = (target) => new Promise((done, failed) => {{
          target.addEventListener('message', ({{data}}) => done(data));
          target.addEventListener('error', (event) => failed(new Error(event.message ?? 'the worker did not start')));
        }});
        const source = async () => (await fetch('/worker.js')).text();
        {start};
        return await found;
    """
    found = page.evaluate(script)
    assert isinstance(found, dict), found
    return found


def assert_refused(found: dict[str, Any], code: str) -> None:
    """Each attempt came back with 403 in the header that tells the status, and an error object as its body."""
    assert (found["llm"], found["bridge"]) == ("undefined", "undefined")
    learnt = found["learnt"]
    assert successes(learnt) == {}
    for number in range(5):
        status = learnt[f"status {number}"]
        assert (status["status"], status["code"]) == (403, code)
        assert json.loads(status["text"])["error"]["name"] == "NotAllowedError"
        assert learnt[f"chat {number}"]["status"] == 403


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_of_a_trusted_web_page_has_no_model(fortress: Fortress, kind: str) -> None:
    page = fortress.page(fortress.sites.url("localhost"))
    with fortress.siege() as seen:
        found = report(page, KINDS[kind])
        assert_refused(found, "no_stamp")
    assert {request.asker.top for request in seen} == {None}
    assert len([request for request in seen if request.scheme == "llm"]) > 5
    # The control: the page that started it has it.
    assert page.evaluate("return (await post('llm://bridge/v1/chat/completions', QUESTION)).status") == 200


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_of_a_p2p_page_has_no_model(fortress: Fortress, kind: str) -> None:
    page = fortress.page("hyper://drive/")
    with fortress.siege():
        assert_refused(report(page, KINDS[kind]), "no_stamp")


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_of_a_hostile_page_has_nothing(fortress: Fortress, kind: str) -> None:
    page = fortress.page(fortress.sites.url("evil.example"))
    with fortress.siege():
        assert_refused(report(page, KINDS[kind]), "not_trusted")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_service_worker_does_not_even_reach_the_schemes(fortress: Fortress, host: str) -> None:
    """Trusted or not: Chromium gives service workers the web's schemes alone. P2P pages have none at all."""
    page = fortress.page(fortress.sites.url(host))
    with fortress.siege() as seen:
        found = report(page, SERVICE)
    assert found["network"], "the control: to its own site it can go"
    assert {one.get("threw") for one in found["learnt"].values()} == {"TypeError"}
    assert seen == []
    drive = fortress.page("hyper://drive/")
    register = "return await navigator.serviceWorker.register('/worker.js').then(() => 'registered', () => 'refused')"
    assert drive.evaluate(register) == "refused"


def test_a_worker_of_an_internal_page_cannot_call_its_api(fortress: Fortress) -> None:
    """The settings page starts no workers (its policy forbids it), and a frame of it cannot either."""
    page = fortress.arm(fortress.page("peersky://settings/"))
    script = "return (await request('/api/settings')).status"
    assert page.evaluate(script) == 200
    with fortress.siege():
        started = page.evaluate(
            """
            const worker = (url) => new Promise((done) => {
              try {
                const worker = new Worker(url);
                worker.onerror = () => done('refused');
                worker.onmessage = () => done('started');
              } catch {
                done('refused');
              }
            });
            return [
              await worker(URL.createObjectURL(new Blob(['postMessage(1)']))),
              await worker('data:text/javascript,postMessage(1)'),
            ];
            """
        )
    assert started == ["refused", "refused"]
