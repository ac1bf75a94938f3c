"""No request leaves this machine that the user did not cause."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT
from tests.e2e.local_session import chromium_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Product

pytestmark = pytest.mark.attack("Privacy")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    directory = tmp_path_factory.mktemp("session")
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.e2e.local_session", str(directory)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "chromium": chromium_log(directory / "net-log.json")}


def is_here(place: str) -> bool:
    host = place.rpartition("//")[2].partition(":")[0] if "//" in place else place
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def test_a_session_of_local_use_connects_to_this_machine_alone(recorded: dict[str, Any]) -> None:
    """Every socket of the browser, the engine and the P2P node, and every name that is looked up."""
    assert recorded["told"]["answer"] > 0
    assert (recorded["told"]["published"], recorded["told"]["title"]) == (201, "mine")
    assert [place for place in recorded["python"] if not is_here(place)] == []
    assert [place for place in recorded["chromium"] if not is_here(place)] == []
    assert [place for place in recorded["children"] if not is_here(place.rpartition(" ")[2])] == []


def test_the_record_sees_what_there_is(recorded: dict[str, Any]) -> None:
    """The control: each of the three lists holds what the session did on this machine."""
    assert "127.0.0.1" in recorded["python"]
    assert {"127.0.0.1", "::1"} & set(recorded["chromium"])
    assert [name for name in recorded["chromium"] if name.startswith("http://localhost:")]
    # The engine and the P2P node.
    assert len(recorded["children"]) >= 2, recorded["children"]


CANDIDATES = """
    const peer = new RTCPeerConnection();
    const found = [];
    peer.onicecandidate = ({candidate}) => { if (candidate) found.push(candidate.candidate); };
    peer.createDataChannel('x');
    await peer.setLocalDescription(await peer.createOffer());
    await new Promise((done) => {
      peer.onicegatheringstatechange = () => { if (peer.iceGatheringState === 'complete') done(); };
    });
    const {sdp} = peer.localDescription;
    peer.close();
    return {found, sdp};
"""


def test_a_page_learns_no_address_of_this_machine_by_webrtc(product: Callable[..., Product]) -> None:
    """Neither a site of the web nor a P2P page, nor a page of the machine itself."""
    one = product()

    async def page(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/html; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"<!doctype html><title>drive</title>"})

    one.runtime.web.serve("hyper", page)
    for url in ("hyper://drive/", "peersky://p2p/ai-chat/"):
        told = one.page(url).evaluate(CANDIDATES, 30)
        assert told["found"] == []
        assert "c=IN IP4 0.0.0.0" in told["sdp"]
