"""The editor in the real QtWebEngine, with a scripted model and P2P in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.fakes.openai_server import OpenAIServer
from tests.fakes.p2p_memory import P2PMemory
from tests.qt.pages_lab import PagesLab, Tab

EDITOR: Final = "peersky://p2p/editor/"
MODEL: Final = "qwen2.5-coder:3b"
ANSWERS: Final = Path(__file__).parents[1] / "js" / "answers"


def answer(name: str) -> list[str]:
    """What a small model wrote (tests/js/answers/), in pieces as it came."""
    text = (ANSWERS / f"{name}.txt").read_text("utf-8")
    return [text[at : at + 40] for at in range(0, len(text), 40)]


class EditorLab:
    """Pages of the editor. ``answers`` are the model's next ones; without any it says NONE."""

    def __init__(self, folder: Path, world: Callable[..., Any]) -> None:
        self.p2p = P2PMemory()
        self.pages = PagesLab(folder, world, hyper=self.p2p, ipfs=self.p2p)
        self.server = OpenAIServer(models=[MODEL])
        self.server.__enter__()
        self.answers: list[list[Any]] = []
        self.server.script = lambda _body: self.answers.pop(0) if self.answers else ["NONE"]
        base = {"enabled": True, "provider": "openai", "baseURL": f"{self.server.url}/v1", "model": MODEL}
        self.pages.settings.change({f"llm.{key}": value for key, value in base.items()})

    def close(self) -> None:
        self.pages.close()
        self.server.__exit__(None, None, None)

    def open(self, width: int = 1200, height: int = 800) -> Tab:
        tab = self.pages.open(EDITOR, width=width, height=height)
        tab.until("document.body.dataset.ready")
        return tab

    def site(self, **files: str) -> str:
        """Publish a site as a stranger would; its address. ``_`` in a name is its dot."""
        root = f"hyper://{'y' * 51}{len(self.p2p.sites)}/".replace("0", "o")
        self.p2p.sites[root] = {name.replace("_", "."): text.encode() for name, text in files.items()}
        return root


def generate(tab: Tab, wish: str) -> None:
    """Ask the model, and wait until it has written."""
    tab.fill("#wish", wish)
    tab.click("#generate")
    tab.until("!document.getElementById('generate').hidden")


def code(tab: Tab, kind: str) -> str:
    """What stands in a pane."""
    root = f"document.getElementById('code-{kind}').shadowRoot"
    lines = f"[...{root}.querySelectorAll('.cm-line')].map((line) => line.textContent).join('\\n')"
    return str(tab.run(f"return {root}.querySelector('.cm-placeholder') ? '' : {lines}"))


def copy_site(tab: Tab, address: str) -> None:
    """Open a site as a copy."""
    tab.click("#open")
    tab.fill("#address", address)
    tab.click("#copy")
    tab.until("!document.getElementById('open-dialog').open")


def listen(tab: Tab) -> None:
    """Keep what frames say to the page from now on."""
    tab.run("window.heard = []; addEventListener('message', (event) => heard.push(event.data))")


def until_heard(tab: Tab, message: Any) -> None:
    tab.until(f"heard.some((one) => JSON.stringify(one) === {json.dumps(json.dumps(message, separators=(',', ':')))})")
