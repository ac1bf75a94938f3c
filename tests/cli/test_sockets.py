"""A record of every socket of `peersky ask`: nothing leaves the machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

RECORDER = '''
"""Loaded by every Python of the command, the engine's included: writes down who connects and binds where."""
import json, os, sys

def record(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        address = arguments[0] if event.startswith("socket.get") else arguments[1]
        line = json.dumps([os.getpid(), event, repr(address)]) + "\\n"
        file = os.open(os.environ["SOCKET_RECORD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line.encode())
        os.close(file)

sys.addaudithook(record)
'''

WATCHER = '''
"""Samples the Internet sockets of the engine, whose server is no Python: run by the recorder in the command itself."""
import os, threading, psutil

record = os.open(os.environ["SOCKET_RECORD"] + ".inet", os.O_WRONLY | os.O_CREAT)

def sample():
    seen = set()
    while True:
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            try:
                for connection in process.net_connections("inet"):
                    for end in (connection.laddr, connection.raddr):
                        if end and end.ip not in seen:
                            seen.add(end.ip)
                            os.write(record, end.ip.encode() + b"\\n")
            except psutil.Error:
                pass
        done.wait(0.01)

done = threading.Event()
threading.Thread(target=sample, daemon=True).start()
'''


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's table of sockets")
@pytest.mark.parametrize("enabled", [True, False])
def test_only_loopback_and_unix_sockets(cli: Cli, tiny_model: str, tmp_path: Path, enabled: bool) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    start_watcher = "if '-m' in sys.orig_argv and 'ask' in sys.orig_argv:\n    import socket_watcher\n"
    (hooks / "sitecustomize.py").write_text(RECORDER + start_watcher)
    (hooks / "socket_watcher.py").write_text(WATCHER)
    if enabled:
        cli.run("settings set", "llm.enabled", "true")
    record = tmp_path / "record"
    cli.environment |= {
        "PYTHONPATH": f"{hooks}:{cli.environment['PYTHONPATH']}",
        "SOCKET_RECORD": str(record),
        # Somebody's proxy must not get to see what is meant for this machine.
        "HTTP_PROXY": "http://192.0.2.1:3128",
        "ALL_PROXY": "http://192.0.2.1:3128",
    }
    assert cli.run("ask", "--model", tiny_model, "--max-tokens", "400", "hello").code in (0, 3)

    events = [json.loads(line) for line in record.read_text().splitlines()]
    addresses = {address for _, _, address in events}
    assert any("control.sock" in address for address in addresses)
    for address in addresses:
        assert address.startswith(("'/", "('127.0.0.1',", "'127.0.0.1'")), addresses
    assert inet_record(tmp_path) == ["127.0.0.1"], "the engine's own sockets were not seen, or are elsewhere"


CHAT = """
    const options = {messages: [{role: 'user', content: 'hello'}], maxTokens: 400};
    let text = '';
    for await (const {content} of window.llm.chat(options)) text += content;
    return text.length > 0;
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's table of sockets")
def test_a_chat_in_a_page_is_loopback_alone(cli: Cli, tiny_model: str, tmp_path: Path) -> None:
    """Chromium's own processes included."""
    for key, value in {"llm.enabled": "true", "llm.provider": "builtin", "llm.model": tiny_model}.items():
        assert cli.run("settings set", key, value).code == 0
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text("import sys\nif 'eval' in sys.orig_argv:\n    import socket_watcher\n")
    (hooks / "socket_watcher.py").write_text(WATCHER)
    cli.environment |= {
        "PYTHONPATH": f"{hooks}:{cli.environment['PYTHONPATH']}",
        "SOCKET_RECORD": str(tmp_path / "record"),
    }
    done = cli.run("eval", "peersky://p2p/ai-chat/", CHAT)
    assert (done.code, done.out) == (0, "true\n"), done.err
    assert inet_record(tmp_path) == ["127.0.0.1"]


def inet_record(folder: Path) -> list[str]:
    """The Internet addresses that a process of the command had a socket at."""
    return (folder / "record.inet").read_text().splitlines()
