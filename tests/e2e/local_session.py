"""A session of local use that records every socket, as a program: its switches must stand before Chromium starts.

``python -m tests.e2e.local_session DIRECTORY`` opens the window and uses it as somebody does who is not online:
home and settings, the chat with the built-in engine, a page published to and read from the own node. It prints one JSON
object: by ``python`` what this process connected to, bound or looked up (all of it, by Python's audit events), by
``children`` the sockets that the engine and the P2P node had open, seen after each step. Chromium writes all of its own
into ``DIRECTORY/net-log.json``, which :func:`chromium_log` reads.
"""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

import psutil

from peersky.system.paths import open_profile
from tests.e2e.conftest import local_server

_AUDITED: Final = frozenset(
    {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"}
)
PUBLISH: Final = """
    const drive = (await (await fetch('hyper://localhost/?key=site', {method: 'POST'})).text()).trim();
    const put = await fetch(drive, {method: 'PUT', body: (() => {
      const form = new FormData();
      form.append('file', new File(['<title>mine</title>'], 'index.html', {type: 'text/html'}));
      return form;
    })()});
    return [put.status, drive];
"""


class Record:
    """Where sockets led to, by who had them."""

    def __init__(self) -> None:
        self.python: set[str] = set()
        self.children: set[str] = set()
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _AUDITED:
            return
        address = arguments[0] if event.startswith("socket.get") else arguments[1]
        if isinstance(address, tuple):  # Others are Unix sockets.
            address = address[0]
        elif not event.startswith("socket.get"):
            return
        if address:
            self.python.add(address if isinstance(address, str) else address.decode())

    def look_at_children(self) -> None:
        for process in psutil.Process().children(recursive=True):
            try:
                for one in process.net_connections("inet"):
                    ends = {end.ip for end in (one.laddr, one.raddr) if end}
                    self.children |= {f"{process.name()} {ip}" for ip in ends}
            except psutil.Error:  # It has just ended.
                continue


def session(directory: Path, record: Record) -> dict[str, Any]:
    """Use the browser; what its pages were told."""
    from PyQt6.QtCore import QUrl

    from peersky.qt.application import create_application
    from peersky.qt.driver import PageDriver, wait_until
    from peersky.qt.prompts import WindowPrompts
    from peersky.qt.runtime import Runtime
    from peersky.qt.window import Browser

    application = create_application(headless=True, on_error=lambda text: print(text, file=sys.stderr))
    profile = open_profile(directory / "profile")
    llm = {"enabled": True, "provider": "builtin", "model": "peersky-starter"}
    profile.settings_file.write_text(json.dumps({"llm": llm, "p2p": {"listen": "loopback"}}))
    prompts = WindowPrompts()
    runtime = Runtime(profile, prompts)
    browser = Browser(runtime, prompts)
    window = browser.new_window("peersky://home/")
    told: dict[str, Any] = {}
    for url in ("peersky://settings/", "peersky://settings/llm", "peersky://settings/p2p", "peersky://p2p/ai-chat/"):
        tab = window.open_tab(url)
        wait_until(lambda tab=tab: bool(tab.page.title()) and not tab.loading, 30, f"{url} did not load.")  # type: ignore[misc]
        record.look_at_children()
    page = PageDriver(runtime.new_page())
    page.load("peersky://p2p/ai-chat/")
    told["answer"] = len(page.evaluate("return await llm.complete('Hello', {maxTokens: 20})", 60))
    record.look_at_children()
    told["published"], drive = page.evaluate(PUBLISH, 60)
    record.look_at_children()
    page.load(drive, 60)
    told["title"] = page.page.title()
    # The control: a server of this machine, which has to be on Chromium's list.
    with local_server(BaseHTTPRequestHandler) as port:
        page.page.load(QUrl(f"http://localhost:{port}/"))
        ended: list[bool] = []
        page.page.loadFinished.connect(ended.append)
        wait_until(lambda: bool(ended), 30, "The server of this machine was not asked.")
    page.page.deleteLater()
    browser.dispose()
    application.processEvents()
    runtime.close()
    return told


def chromium_log(file: Path) -> list[str]:
    """Addresses that Chromium connected to, and names that it looked up."""
    text = file.read_text("utf-8")
    # Chromium closes the list only when it ends in good order.
    log = json.loads(text if text.rstrip().endswith("}") and "polledData" in text else text.rstrip().rstrip(",") + "]}")
    names = {number: name for name, number in log["constants"]["logEventTypes"].items()}
    found: set[str] = set()
    # Connecting a UDP socket sends nothing; Chromium asks the system in that way whether there is a route by IPv6.
    peers: dict[int, str] = {}
    for event in log["events"]:
        name, source, parameters = names[event["type"]], event["source"]["id"], event.get("params", {})
        if name == "UDP_CONNECT" and "address" in parameters:
            peers[source] = parameters["address"]
        elif name == "TCP_CONNECT_ATTEMPT" and "address" in parameters:
            found.add(host_of(parameters["address"]))
        elif name == "UDP_BYTES_SENT":
            found.add(host_of(parameters.get("address") or peers[source]))
        elif name.startswith("HOST_RESOLVER") and "host" in parameters:
            found.add(parameters["host"])
    return sorted(found)


def host_of(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def main() -> None:
    directory = Path(sys.argv[1])
    log = directory / "net-log.json"
    os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = f"--log-net-log={log} --net-log-capture-mode=Everything"
    record = Record()
    told = session(directory, record)
    result = {"told": told, "python": sorted(record.python), "children": sorted(record.children)}
    print(json.dumps(result), flush=True)
    # Chromium ends with the process, and its log with it: a program of its own reads that.


if __name__ == "__main__":
    main()
