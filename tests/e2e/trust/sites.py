"""Web sites of the tests: one set of pages on several loopback ports, with and without TLS, under any host name."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

from tests.web_names import HTTPS, PUBLIC

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

ATTACKS = Path(__file__).with_name("attacks.js").read_text(encoding="utf-8")
WORKER = f"{ATTACKS}\nreportFromWorker();\n"
PAGE = "<!doctype html><meta charset=utf-8><title>site</title><script>{}</script><body>site</body>"
HTML = "text/html; charset=utf-8"
JS = "text/javascript; charset=utf-8"


def page_of(path: str, query: dict[str, list[str]]) -> tuple[int, dict[str, str], str] | None:
    """Status, headers and body of a page; the same ones on every site, and at ``hyper:``.

    ``/`` can attack, ``/probe`` does so and tells the top page, ``/to?url=…&code=…`` redirects, ``/worker.js`` is the
    attack of a worker, ``/serve?body=…&header=Name:value`` is whatever the test says.
    """
    headers = {"content-type": HTML}
    match path:
        case "/":
            return 200, headers, PAGE.format(ATTACKS)
        case "/probe":
            return 200, headers, PAGE.format(f"{ATTACKS}\nreportToTop();")
        case "/worker.js":
            return 200, {"content-type": JS, "service-worker-allowed": "/"}, WORKER
        case "/attacks.js":
            return 200, {"content-type": JS}, ATTACKS
        case "/to":
            return int(query.get("code", ["302"])[0]), {"location": query["url"][0]}, ""
        case "/serve":
            headers |= dict(line.split(":", 1) for line in query.get("header", ()))
            return 200, headers, query.get("body", [""])[0].replace("ATTACKS", ATTACKS)
        case _:
            return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = urlsplit(self.path)
        found = page_of(parts.path, parse_qs(parts.query))
        status, headers, body = found or (404, {"content-type": "text/plain"}, "not here")
        assert isinstance(self.server, Server)
        self.server.seen.append((self.command, self.path, {name.lower(): self.headers[name] for name in self.headers}))
        data = body.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_OPTIONS = do_HEAD = _answer

    def log_message(self, *_: object) -> None:
        """The test's own record is enough."""


class Server(ThreadingHTTPServer):
    """A site.

    Attributes:
        seen: method, path and headers of every request.
    """

    daemon_threads = True

    def __init__(self, bound: socket.socket | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=bound is None)
        if bound is not None:
            self.socket.close()
            self.socket = bound.dup()
            self.server_activate()
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="site")

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that closes a connection early is no fault."""


@dataclass
class Sites:
    """The servers, from :meth:`start` to :meth:`stop`.

    Attributes:
        port: plain HTTP.
        public_port: the same for sites that Chromium takes to be on the public internet.
        tls_port: HTTPS; 0 where there is no ``openssl`` to make a certificate with.
    """

    port: int = 0
    public_port: int = 0
    tls_port: int = 0
    _servers: list[Server] = field(default_factory=list)

    def start(self, directory: Path) -> None:
        plain = Server()
        self.port = plain.port
        public = Server(PUBLIC)
        self.public_port = public.port
        self._servers += [plain, public]
        if context := _certificate(directory):
            other, default = Server(), Server(HTTPS)
            self.tls_port = other.port
            for server in (other, default):
                server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
                self._servers.append(server)
        for server in self._servers:
            server.thread.start()

    def stop(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.thread.join()
            server.server_close()

    @property
    def seen(self) -> list[tuple[str, str, dict[str, str]]]:
        """Method, path and headers of every request."""
        return [request for server in self._servers for request in server.seen]

    def url(self, host: str, path: str = "/") -> str:
        """A plain address; of a made-up name on the public internet, else of this machine."""
        port = self.public_port if host.endswith(".example") else self.port
        return f"http://{host}:{port}{path}"

    def redirect(self, host: str, url: str, code: int = 302) -> str:
        return self.url(host, f"/to?code={code}&url={quote(url, safe='')}")

    def serving(self, host: str, body: str, *headers: str) -> str:
        """The address of a page with this body."""
        extra = "".join(f"&header={quote(header, safe='')}" for header in headers)
        return self.url(host, f"/serve?body={quote(body, safe='')}{extra}")


@contextmanager
def serve() -> Iterator[Server]:
    """One more server of this machine, with the same pages."""
    server = Server()
    server.thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.thread.join()
        server.server_close()


def _certificate(directory: Path) -> ssl.SSLContext | None:
    openssl = shutil.which("openssl")
    if openssl is None:
        return None
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=test", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
