"""A stand-in for the P2P node: a child process that keeps the node's rules, with content in memory, and faults.

Run as a program. Paths that mean something wherever they stand: ``/slow`` never answers, ``/hang`` sends a head and
half a body, ``/die`` ends the process in mid-body, ``/die-first`` before it, ``/refuse-STATUS-REASON`` refuses, and
what is written to ``/late`` is acknowledged after ``GET /test/acknowledge`` only.
``GET /test/seen`` tells what came, in order (``?gone=N``: once N clients have gone away in mid-reply; ``?late=N``: once
N writes wait to be acknowledged), and ``GET /test/config`` the first line.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

CONFIG: dict[str, Any] = {}
CONTENT: dict[str, bytes] = {}
SEEN: list[dict[str, Any]] = []
LOCK = threading.Condition()
ACKNOWLEDGED = threading.Event()
Z32 = "ybndrfg8ejkmcpqxot1uwisza345h769"


def key_of(scheme: str, origin: str, name: str) -> str:
    """The host of a drive or name that an origin made."""
    number = int.from_bytes(hashlib.sha256(f"{scheme} {origin} {name}".encode()).digest(), "big")
    letters = "".join(Z32[number >> 5 * index & 31] for index in range(52))
    return letters if scheme == "hyper" else "k2k4r8" + letters.translate(str.maketrans("", "", "89"))


def has_seen(what: str, count: int) -> bool:
    """Whether so many requests carry that note."""
    return sum(what in one for one in SEEN) >= count


class Node(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        return

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def serve(self) -> None:
        if self.headers["authorization"] != f"Bearer {CONFIG['token']}":
            self.reply(401, b"no token")
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen: dict[str, Any] = {"method": self.command, "path": self.path, "headers": headers}
        with LOCK:
            SEEN.append(seen)
        try:
            body = self.body()
        except ConnectionError:
            body = None
        with LOCK:
            seen["bytes"] = None if body is None else len(body)
            LOCK.notify_all()
        if body is None:
            self.close_connection = True
            return
        path = urlsplit(self.path).path
        special: dict[str, Callable[[], None]] = {
            "slow": lambda: self.slow(seen),
            "hang": lambda: self.hang(seen),
            "die": self.die,
            "die-first": lambda: os._exit(9),
            "events": lambda: self.events(seen),
            "listing": self.listing,
            "strange": self.strange,
        }
        last = path.rpartition("/")[2]
        if last in special:
            special[last]()
        elif last.startswith("refuse-"):
            _, status, reason = last.split("-")
            self.reply(int(status), b"It is refused.", {"x-peersky-reason": reason, "allow": "GET, HEAD"})
        elif path.startswith("/node/"):
            self.admin(path.removeprefix("/node/"), json.loads(body or b"null"), seen)
        elif path == "/test/seen":
            with LOCK:
                for what, (count,) in parse_qs(urlsplit(self.path).query).items():
                    LOCK.wait_for(partial(has_seen, what, int(count)), 10)
                self.reply(200, json.dumps(SEEN).encode())
        elif path == "/test/acknowledge":
            ACKNOWLEDGED.set()
            self.reply(200, b"null")
        elif path == "/test/config":
            self.reply(200, json.dumps(CONFIG).encode())
        else:
            if last == "late":
                with LOCK:
                    seen["late"] = True
                    LOCK.notify_all()
                ACKNOWLEDGED.wait(10)
            self.content(path, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve

    def content(self, path: str, body: bytes) -> None:
        _, scheme, host, *rest = path.split("/")
        origin, name = self.headers["x-peersky-origin"], (parse_qs(urlsplit(self.path).query).get("key") or [""])[0]
        root = f"{scheme}://{host}/"
        headers = {"x-peersky-url": root + "/".join(rest), "x-peersky-root": root, "x-peersky-files": "1"}
        headers["x-peersky-bytes"] = str(len(body))
        if host == "localhost":
            root = f"{scheme}://{key_of(scheme, origin, name)}/"
            known = f"made {root}" in CONTENT
            if self.command == "GET" and not known:
                self.reply(404, b"You have no drive of this name.", {"x-peersky-reason": "no_such_key"})
                return
            CONTENT[f"made {root}"] = b""
            self.reply(200, root.encode(), {"x-peersky-root": root, "location": root})
        elif scheme == "ipfs" and self.command in ("PUT", "POST"):
            digest = b"\x01\x55\x12\x20" + hashlib.sha256(body).digest()
            cid = "b" + base64.b32encode(digest).decode().rstrip("=").lower()
            CONTENT[f"/ipfs/{cid}/{'/'.join(rest)}"] = body
            headers |= {"x-peersky-url": f"ipfs://{cid}/{'/'.join(rest)}", "x-peersky-root": f"ipfs://{cid}/"}
            self.reply(201, headers["x-peersky-url"].encode(), {**headers, "location": headers["x-peersky-url"]})
        elif self.command in ("PUT", "POST"):
            CONTENT[path] = body
            self.reply(201, b"", headers)
        elif self.command == "DELETE":
            CONTENT.pop(path, None)
            self.reply(200, b"", headers)
        elif path in CONTENT:
            self.ranged(CONTENT[path])
        else:
            self.reply(404, b"There is no such file.", {"x-peersky-reason": "no_such_path"})

    def ranged(self, data: bytes) -> None:
        asked = self.headers["range"]
        headers = {"etag": '"Ab7"', "content-type": "text/plain; charset=utf-8", "accept-ranges": "bytes"}
        if not asked:
            self.reply(200, data, headers)
            return
        first, last = (int(part) for part in asked.removeprefix("bytes=").split("-"))
        self.reply(206, data[first : last + 1], {**headers, "content-range": f"bytes {first}-{last}/{len(data)}"})

    def admin(self, name: str, value: Any, seen: dict[str, Any]) -> None:
        match name:
            case "publish" if value["name"] == "refused":
                line = {"error": "The disk is full.", "reason": "disk_full", "status": 507}
                self.reply(200, json.dumps({"done": 0, "total": 1}).encode() + b"\n" + json.dumps(line).encode())
            case "publish" if value["name"] == "endless":
                self.head(200, {"content-type": "application/x-ndjson"})
                self.piece(b'{"done": 1, "total": 4, "files": 0, "totalFiles": 1, "file": "a"}\n')
                self.until_gone(seen)
            case "publish":
                size = Path(value["path"]).stat().st_size
                root = f"{value['to']}://{key_of('hyper', value['origin'], value['name'])}/"
                steps: list[dict[str, Any]] = [
                    {"done": done, "total": size, "files": 0, "totalFiles": 1, "file": "a.txt"} for done in (0, size)
                ]
                steps.append({"url": root, "root": root, "bytes": size, "files": 1, "skipped": 2})
                self.reply(200, b"\n".join(json.dumps(step).encode() for step in steps))
            case "start":
                state = {protocol: {"error": None} for protocol in ("hyper", "ipfs")}
                self.reply(200, json.dumps(state).encode())
            case "gc":
                self.reply(200, b'{"freedBytes": 0}')
            case _:
                self.reply(200, json.dumps({"told": name, "value": value}).encode())

    def slow(self, seen: dict[str, Any]) -> None:
        self.until_gone(seen)

    def hang(self, seen: dict[str, Any]) -> None:
        self.head(200, {"content-type": "text/plain", "content-length": "10"})
        self.wfile.write(b"half ")
        self.until_gone(seen)

    def die(self) -> None:
        self.head(200, {"content-type": "text/plain", "content-length": "10"})
        self.wfile.write(b"half ")
        self.wfile.flush()
        os._exit(9)

    def events(self, seen: dict[str, Any]) -> None:
        self.head(200, {"content-type": "text/event-stream"})
        self.piece(b"data: one\n\n")
        self.until_gone(seen)

    def listing(self) -> None:
        if self.headers["accept"] == "application/vnd.peersky.listing+json":
            entries = [{"name": "a <b>.txt", "type": "file", "size": 3, "modified": None}]
            self.reply(200, json.dumps(entries).encode(), {"content-type": self.headers["accept"]})
        else:
            self.reply(200, b'["a <b>.txt"]', {"content-type": "application/json"})

    def strange(self) -> None:
        self.reply(
            302,
            b"",
            {"location": "peersky://settings/", "set-cookie": "a=b", "x-peersky-secret": "s", "x-own": "Kept"},
        )

    # --- HTTP

    def body(self) -> bytes | None:
        if self.headers["transfer-encoding"] == "chunked":
            whole = b""
            while size := int(self.rfile.readline() or b"-1", 16):
                piece = self.rfile.read(size) if size > 0 else b""
                if len(piece) < size or size < 0:
                    return None
                whole += piece
                self.rfile.readline()
            self.rfile.readline()
            return whole
        length = int(self.headers["content-length"] or 0)
        data = self.rfile.read(length)
        return data if len(data) == length else None

    def head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        self._chunked = "content-length" not in headers
        if self._chunked:
            headers = {**headers, "transfer-encoding": "chunked"}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def piece(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.head(status, {**(headers or {}), "content-length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)

    def until_gone(self, seen: dict[str, Any]) -> None:
        """Say no more until the client goes away, and note that it did."""
        self.wfile.flush()
        try:
            self.connection.recv(1)
        except ConnectionError:
            self.close_connection = True
        self.close_connection = True
        with LOCK:
            seen["gone"] = True
            LOCK.notify_all()


def main() -> None:
    CONFIG.update(json.loads(sys.stdin.readline()))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Node)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"ready": True, "port": server.server_port}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
