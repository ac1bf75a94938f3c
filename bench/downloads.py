"""A model pulled from a registry on loopback, against curl of the same file with its checksum."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import os
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psutil

from bench.rows import Row
from bench.world import ROOT, BrowserChild, World, half_model
from peersky.system.paths import open_profile
from peersky.system.private_socket import read_address
from peersky.web.control_client import ControlClient

BUDGET_S: Final = {True: 40.0, False: 120.0}
_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
_LAYER: Final = "application/vnd.ollama.image.model"
_MOST_CORES: Final = 1.0


def measure(world: World) -> list[Row]:
    """All rows of the section."""
    if shutil.which("curl") is None or shutil.which("sha256sum") is None:
        return []
    model = half_model()
    digest = _digest(model)
    ours: list[float] = []
    base: list[float] = []
    cores: list[float] = []
    with _registry(model, digest) as port, BrowserChild(world.profile({})) as browser:
        browser.page()
        address = read_address(open_profile(browser.profile))
        assert address is not None
        client = ControlClient(address)
        holder = psutil.Process(browser.pid)
        for number in world.rounds(1 if world.quick else 5, 1):
            for side in ("pull", "curl") if number % 2 else ("curl", "pull"):
                if side == "curl":
                    base.append(model.stat().st_size / 1e6 / _curl_s(world, port, digest))
                    continue
                before_s, began_s = sum(holder.cpu_times()[:2]), time.monotonic()
                _pull(client, f"127.0.0.1:{port}/library/bench:latest")
                took_s = time.monotonic() - began_s
                ours.append(model.stat().st_size / 1e6 / took_s)
                cores.append((sum(holder.cpu_times()[:2]) - before_s) / took_s)
                client.remove_model(f"127.0.0.1:{port}/library/bench:latest")
        client.close()
    note = "528 MB from a server on loopback to the disk; curl, then sync, then sha256sum"
    return [
        Row("pull of a model", "MB/s", ours, base, "curl and sha256sum", least=0.95, note=note),
        Row("processor cores while pulling", "cores", cores, kind="value", most=_MOST_CORES),
    ]


def _digest(model: Path) -> str:
    with model.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _curl_s(world: World, port: int, digest: str) -> float:
    target = world.folder / "curled"
    url = f"http://127.0.0.1:{port}/v2/library/bench/blobs/sha256:{digest}"
    began_s = time.monotonic()
    subprocess.run(["curl", "-sf", "-o", str(target), url], check=True)
    with target.open("rb") as stream:
        os.fsync(stream.fileno())
    said = subprocess.run(["sha256sum", str(target)], check=True, capture_output=True, text=True).stdout
    took_s = time.monotonic() - began_s
    assert said.startswith(digest)
    target.unlink()
    return took_s


def _pull(client: ControlClient, name: str) -> None:
    download, _ = client.start_download("builtin", name)
    with client.follow_download(download["id"]) as states:
        for state in states:
            if state["state"] in ("done", "failed", "paused", "removed"):
                assert state["state"] == "done", state["message"]
                return


@contextlib.contextmanager
def _registry(model: Path, digest: str) -> Iterator[int]:
    """The registry, in a process of its own so that it takes nothing from whoever downloads."""
    command = [sys.executable, "-m", "bench.downloads", str(model), digest]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.communicate()


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


def _serve(model: Path, digest: str) -> None:
    size = model.stat().st_size
    config = b'{"model_format":"gguf"}'
    config_digest = hashlib.sha256(config).hexdigest()
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "digest": f"sha256:{config_digest}",
            "size": len(config),
        },
        "layers": [{"mediaType": _LAYER, "digest": f"sha256:{digest}", "size": size}],
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
            """Quiet."""

        def do_GET(self) -> None:
            if "/manifests/" in self.path:
                self._small(json.dumps(manifest).encode())
            elif self.path.endswith(config_digest):
                self._small(config)
            else:
                self._large()

        def _small(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _large(self) -> None:
            asked = self.headers.get("Range")
            start, end = 0, size
            if asked:
                first, _, last = asked.removeprefix("bytes=").partition("-")
                start, end = int(first), min(int(last or size - 1) + 1, size)
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(end - start))
            self.send_header("ETag", f'"{digest[:20]}"')
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            self.end_headers()
            with contextlib.suppress(OSError), model.open("rb") as stream:
                self.connection.sendfile(stream, start, end - start)

    server = _Server(("127.0.0.1", 0), Handler)
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.buffer.read()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2])
