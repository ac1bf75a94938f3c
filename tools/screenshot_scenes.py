"""The pictures of docs/llm.md that need more than settings: servers on loopback, and something that happens.

The servers are those of the tests. Models are called in the pictures as they are in Ollama's library; they are made of
random numbers here, and come from this computer.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from peersky.core.model_names import ModelName
from tests.fakes.http_server import Hold
from tests.fakes.ollama_server import Model, OllamaServer
from tests.fakes.openai_server import OpenAIServer
from tests.fakes.registry_server import RegistryServer

if TYPE_CHECKING:
    from peersky.qt.runtime import Runtime

ROOT: Final = Path(__file__).resolve().parent.parent
MODEL_FILE: Final = ROOT / "tests" / ".cache" / "pictures.gguf"
SMALL: Final = ROOT / "src" / "peersky" / "assets" / "models" / "starter.gguf"
NAME: Final = "qwen3:0.6b"
SETTINGS: Final = "peersky://settings/llm"
BUILTIN: Final = {"enabled": True, "provider": "builtin", "model": "peersky-starter"}
Step = str | Callable[["Runtime"], None]


@dataclass
class Scene:
    """What is to be seen.

    Attributes:
        llm: the block of settings.
        url: of the page, or what makes it in the running browser.
        steps: bodies of async functions, run one after the other in the page; a function gets the browser's runtime.
        size: of the window, in pixels.
        p2p: further settings of the block ``p2p``. The node stays on loopback.
    """

    llm: dict[str, Any]
    url: str | Callable[[Runtime], str]
    steps: list[Step] = field(default_factory=list)
    size: tuple[int, int] = (800, 700)
    p2p: dict[str, Any] = field(default_factory=dict)


def until(condition: str) -> str:
    """A step that waits for an expression."""
    return f"while (!({condition})) await new Promise((done) => setTimeout(done, 50));"


READY: Final = until("document.getElementById('form').getAttribute('aria-busy') === 'false'")
LISTED: Final = until("document.querySelectorAll('#models input').length > 1")


def choose(preset: str, **fields: str) -> str:
    """A step that chooses who answers, fills fields in and waits for the list of models."""
    listed = "document.getElementById('models-state').textContent.startsWith('Asking')"
    lines = [f"document.querySelector('#presets input[value={preset}]').click();"]
    for name, value in fields.items():
        lines.append(f"{{ const f = document.getElementById('llm-{name}'); f.value = {value!r};")
        lines.append("f.dispatchEvent(new Event('input')); f.dispatchEvent(new Event('change')); }")
    return "\n".join([*lines, until(f"!{listed}")])


def show(selector: str) -> str:
    """A step that brings an element to the upper part of the window."""
    return f"document.querySelector({selector!r}).scrollIntoView({{block: 'start'}}); document.activeElement.blur();"


SAVE: Final = "document.querySelector('#form button[type=submit]').click();"
DOWNLOADS: Final = show("#downloads")


@contextmanager
def registry(weights: Path) -> Iterator[RegistryServer]:
    """A registry that Ollama's names lead to, in this process."""
    with RegistryServer() as server:
        server.add(NAME, {"model": weights.read_bytes(), "params": b'{"stop":["<|im_end|>"]}'})
        here = property(lambda name: f"{server.url}/v2/{name.namespace}/{name.model}")
        with patch.object(ModelName, "_base_url", here):
            yield server


def large() -> Path:
    """A file as large as the model whose name it has."""
    if not MODEL_FILE.exists():
        argv = [sys.executable, "-m", "tools.random_gguf", str(MODEL_FILE), "--preset", "half", "--type", "q8_0"]
        MODEL_FILE.parent.mkdir(exist_ok=True)
        subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return MODEL_FILE


def start_download(name: str = NAME) -> list[Step]:
    """Steps from the open page to a download that has begun."""
    return [READY, LISTED, choose("builtin", model=name), SAVE]


@contextmanager
def download_running() -> Iterator[Scene]:
    with registry(large()) as server:
        server.pause_s = 0.002
        wait = until("Number(document.querySelector('#download-list progress')?.value ?? 0) > 37")
        yield Scene(BUILTIN, SETTINGS, [*start_download(), wait, DOWNLOADS])


@contextmanager
def download_paused() -> Iterator[Scene]:
    with registry(large()) as server:
        server.pause_s = 0.001
        pause = "[...document.querySelectorAll('#download-list button')].find((b) => b.innerText === 'Pause').click();"
        wait = until("Number(document.querySelector('#download-list progress')?.value ?? 0) > 20")
        paused = until("document.querySelector('#download-list').innerText.includes('Paused.')")
        yield Scene(BUILTIN, SETTINGS, [*start_download(), wait, pause, paused, DOWNLOADS])


@contextmanager
def download_failed() -> Iterator[Scene]:
    with registry(SMALL):
        failed = until("document.querySelector('#download-list .bad')")
        yield Scene(BUILTIN, SETTINGS, [*start_download("qwen3:0.7b"), failed, DOWNLOADS])


@contextmanager
def download_done() -> Iterator[Scene]:
    with registry(SMALL):
        done = until("document.querySelector('#download-list')?.innerText.includes('Downloaded.')")
        answers = until("document.querySelector('#state').innerText.includes('qwen3')")
        yield Scene(BUILTIN, SETTINGS, [*start_download(), done, answers])


CLOUD_MODELS: Final = [
    {
        "id": "anthropic/claude-4.5-sonnet",
        "name": "Claude 4.5 Sonnet",
        "context_length": 1_000_000,
        "pricing": {"prompt": "0.000003", "completion": "0.000015"},
        "architecture": {"input_modalities": ["text", "image"]},
        "supported_parameters": ["tools", "reasoning", "structured_outputs"],
    },
    {
        "id": "meta-llama/llama-3.3-70b-instruct:free",
        "name": "Llama 3.3 70B Instruct (free)",
        "context_length": 65_536,
        "pricing": {"prompt": "0", "completion": "0"},
        "supported_parameters": ["tools"],
    },
    {
        "id": "qwen/qwen3-30b-a3b",
        "name": "Qwen3 30B A3B",
        "context_length": 40_960,
        "pricing": {"prompt": "0.00000006", "completion": "0.00000022"},
        "supported_parameters": ["tools", "reasoning"],
    },
]
KEY: Final = "sk-for-the-picture"


HOST: Final = "litellm.lan"
TEST: Final = "document.getElementById('test').click();"


@contextmanager
def cloud() -> Iterator[dict[str, Any]]:
    """A service that seems to be on another computer, and the documented block of settings with it."""
    real = socket.getaddrinfo

    def lookup(host: Any, *more: Any, **options: Any) -> Any:
        return real("127.0.0.1" if host in (HOST, HOST.encode()) else host, *more, **options)

    with patch.object(socket, "getaddrinfo", lookup), OpenAIServer(CLOUD_MODELS, key=KEY) as server:
        url = f"{server.url}/v1/".replace("127.0.0.1", HOST)
        block = {"enabled": True, "baseURL": url, "apiKey": KEY, "model": CLOUD_MODELS[0]["id"]}
        yield {**block, "provider": "openai"}


@contextmanager
def settings_cloud() -> Iterator[Scene]:
    with cloud() as llm:
        tested = until("document.getElementById('test-result').classList.contains('good')")
        yield Scene(llm, SETTINGS, [READY, LISTED, TEST, tested, show("#connection")])


@contextmanager
def settings_key_refused() -> Iterator[Scene]:
    with cloud() as llm:
        tested = until("document.getElementById('test-result').classList.contains('bad')")
        fields = choose("custom", baseURL=llm["baseURL"], apiKey="sk-mistyped")
        yield Scene(BUILTIN, SETTINGS, [READY, LISTED, fields, TEST, tested, show("#connection")])


@contextmanager
def settings_models() -> Iterator[Scene]:
    models = [
        Model("qwen2.5-coder:3b", ("completion", "tools", "insert"), 32_768, 1_929_912_432),
        Model("llama3.2:3b", ("completion", "tools"), 131_072, 2_019_393_189),
        Model("qwen3-vl:4b", ("completion", "vision", "tools", "thinking"), 262_144, 3_297_000_000),
        Model("nomic-embed-text:latest", ("embedding",), 2_048, 274_302_450),
    ]
    with OllamaServer(models) as server:
        llm = {"enabled": True, "provider": "ollama", "baseURL": server.url, "model": "qwen2.5-coder:3b"}
        yield Scene(llm, SETTINGS, [READY, LISTED, show("[aria-labelledby=model-title]")])


@contextmanager
def cloud_consent() -> Iterator[Scene]:
    page = b"<!doctype html><title>Notes</title><h1>My notes</h1><p>An app on this computer's web server.</p>"

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
            """Quiet."""

    site = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = Thread(target=site.serve_forever, daemon=True)
    thread.start()
    try:
        with cloud() as llm:
            ask = "window.llm.complete('hi').catch(() => 0); await new Promise((done) => setTimeout(done, 800));"
            yield Scene(llm, f"http://localhost:{site.server_address[1]}/", [ask])
    finally:
        site.shutdown()
        site.server_close()
        thread.join()


@contextmanager
def logs_live() -> Iterator[Scene]:
    """A download and an answer under way."""
    with registry(large()) as hub, OllamaServer(["llama3.2:3b"]) as server:
        hub.pause_s = 0.002
        llm = {"enabled": True, "provider": "ollama", "baseURL": server.url, "model": "llama3.2:3b"}
        server.script = ["A peer is an equal."]

        def download_and_write_at_length(runtime: Runtime) -> None:
            async def start() -> None:
                runtime.services.downloads.start("builtin", NAME)

            runtime.call(start()).result()
            server.script = ["Once upon a time ", Hold()]

        yield Scene(
            llm,
            "peersky://logs/",
            [
                "for (const prompt of ['What is a peer?', 'Hello']) await window.llm.complete(prompt);",
                download_and_write_at_length,
                "window.llm.complete('Tell me a story.').catch(() => 0);",
                until("document.getElementById('rows').innerText.split('running').length > 2"),
            ],
            (1200, 700),
        )


@contextmanager
def editor() -> Iterator[Scene]:
    """A page that the model wrote, and a change that it proposes."""
    page = """```html
<!doctype html>
<html lang="en">
<head>
  <title>Bread of the valley</title>
</head>
<body>
  <header class="hero">
    <h1>Bread of the valley</h1>
    <p>Two loaves, one oven, every Saturday.</p>
  </header>
  <main>
    <section class="loaf"><h2>Rye</h2><p>Dark and dense, keeps a week.</p></section>
    <section class="loaf"><h2>Wheat</h2><p>Light, with a crust that sings.</p></section>
  </main>
</body>
</html>
```"""
    style = """```css
body { margin: 0; font-family: Georgia, serif; background: #fdf6ec; color: #3b2413; }
.hero { padding: 3rem 1.5rem; background: #7a4a21; color: #ffffff; }
main { display: grid; gap: 1rem; padding: 1.5rem; }
.loaf { padding: 1rem 1.5rem; border-radius: 1rem; background: #ffffff; }
```"""
    answers = [page, style, "NONE", '{"title": "Bread", "files": ["style.css"]}', style.replace("#7a4a21", "#1f4f8a")]
    written = until(
        "!document.getElementById('accept').disabled && document.getElementById('proposal').checkVisibility()"
    )
    ask = (
        "document.getElementById('wish').value = {!r};"
        "document.getElementById('wish').dispatchEvent(new Event('input', {{bubbles: true}}));"
        "document.getElementById('generate').click();"
    )
    with OpenAIServer(models=["qwen2.5-coder:3b"]) as server:
        server.script = lambda _body: [answers.pop(0)]
        llm = {"enabled": True, "provider": "openai", "baseURL": f"{server.url}/v1", "model": "qwen2.5-coder:3b"}
        steps: list[Step] = [
            until("document.body.dataset.ready"),
            ask.format("A page about the bread of our valley"),
            written + "document.getElementById('accept').click();",
            ask.format("Make the header blue"),
            written + "await new Promise((done) => setTimeout(done, 1500));",
        ]
        yield Scene(llm, "peersky://p2p/editor/", steps, (1400, 900))


@contextmanager
def apps() -> Iterator[Scene]:
    """Two apps of one's own, one of them pinned and published, and a link."""
    icon = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40"><rect width="40" height="40" rx="10" fill="{}"/>'
        '<path d="M12 28c0-10 6-16 16-16 0 10-6 16-16 16zm0 0 8-8" stroke="#fff" stroke-width="3" fill="none"/></svg>'
    )

    def add(runtime: Runtime) -> str:
        store = runtime.services.app_store
        for name, words, colour in (
            ("Field notes", "Plants and birds of our valley.", "#2f7d4f"),
            ("Shopping list", "What we need, on every computer of the house.", "#8a4fb0"),
        ):
            incoming = store.begin()
            with zipfile.ZipFile(incoming.zip_file, "w") as archive:
                archive.writestr("index.html", f"<title>{name}</title><h1>{name}</h1>")
                archive.writestr("icon.svg", icon.format(colour))
                archive.writestr("manifest.json", json.dumps({"name": name, "description": words, "icon": "icon.svg"}))
            incoming.unpack()
            store.install(incoming, name.lower().replace(" ", "-"))
        app = store.all()[-1]
        store.pin(app.id, True)
        store.note_published(app.id, "hyper", f"hyper://{'k17zx7jek1fc5dndesb9978amks5dimsnb5ochhcuf77tbyf7wko'}/")
        store.put_link("hyper://blog.mauve.moe/", "Mauve's blog", pinned=False)
        return "peersky://apps/"

    listed = until("document.querySelectorAll('.app h3').length === 3")
    yield Scene(BUILTIN, add, [listed], (1200, 1000))


SCENES: Final = {
    "apps": apps,
    "editor": editor,
    "download-running": download_running,
    "download-paused": download_paused,
    "download-failed": download_failed,
    "download-done": download_done,
    "settings-cloud": settings_cloud,
    "settings-key-refused": settings_key_refused,
    "settings-models": settings_models,
    "cloud-consent": cloud_consent,
    "logs-live": logs_live,
}
