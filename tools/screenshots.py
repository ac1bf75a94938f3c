"""Takes the pictures in docs/images/: the window with each page, light and dark, 800 and 1600 pixels wide.

    .venv/bin/python -m tools.screenshots              # all
    .venv/bin/python -m tools.screenshots light home   # one

Looks at the real program on a profile of its own: the real window, the real pages, an answer of the starter model.
What needs servers or peers is in screenshot_scenes.py and screenshot_p2p.py, and taken in one width alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tools.screenshot_p2p import P2P_SCENES
from tools.screenshot_scenes import SCENES, Scene

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
SIZES = {800: 700, 1600: 1000}
OFF: dict[str, object] = {}
# Nothing listens at this port.
OLLAMA_DOWN: dict[str, object] = {"enabled": True, "provider": "ollama", "baseURL": "http://127.0.0.1:9/"}
ON: dict[str, object] = {"enabled": True, "provider": "builtin", "model": "peersky-starter"}

# Picture -> settings of the llm block, address, and what is done there first (the body of an async function).
PICTURES: dict[str, tuple[dict[str, object], str, str]] = {
    "window": (OFF, "peersky://home/", ""),
    "home": (ON, "peersky://home/", ""),
    "settings-llm": (ON, "peersky://settings/llm", ""),
    "settings-ollama": (OLLAMA_DOWN, "peersky://settings/llm", ""),
    "settings-memory": ({**ON, "memoryEnabled": True}, "peersky://settings/memory", ""),
    "ollama-unreachable": (
        OLLAMA_DOWN,
        "peersky://p2p/ai-chat/",
        "await window.llm.complete('hi').catch(() => 0); await new Promise((done) => setTimeout(done, 500));",
    ),
    "about": (OFF, "peersky://about/", ""),
    "logs": (
        ON,
        "peersky://logs/",
        """
        for (const prompt of ['What is PeerSky?', 'Hello', 'List three fruits']) await window.llm.complete(prompt);
        await new Promise((done) => setTimeout(done, 500));
        """,
    ),
    "ai-chat": (
        ON,
        "peersky://p2p/ai-chat/",
        """
        while (document.getElementById('model').hidden) await new Promise((done) => setTimeout(done, 50));
        for (const question of ['What is PeerSky?', 'How do I choose another model?']) {
          const prompt = document.getElementById('prompt');
          prompt.value = question;
          prompt.dispatchEvent(new Event('input', {bubbles: true}));
          document.getElementById('composer').requestSubmit();
          await new Promise((done) => setTimeout(done, 200));
          while (!document.getElementById('stop').hidden) await new Promise((done) => setTimeout(done, 50));
        }
        document.activeElement.blur();
        """,
    ),
    "llm-lab": (
        ON,
        "peersky://p2p/llm-lab/#chat",
        """
        while (document.getElementById('model').textContent !== 'peersky-starter')
          await new Promise((done) => setTimeout(done, 50));
        document.getElementById('run').click();
        while (!document.getElementById('stop').hidden) await new Promise((done) => setTimeout(done, 50));
        """,
    ),
    "md": (
        ON,
        "peersky://p2p/md/",
        r"""
        while (document.getElementById('main').inert || document.querySelector('[data-task=improve]').disabled)
          await new Promise((done) => setTimeout(done, 50));
        const content = document.getElementById('writer').shadowRoot.querySelector('.cm-content');
        const clipboardData = new DataTransfer();
        clipboardData.setData('text/plain', [
          '# Clouds over the sea', 'A *cloud* is water that **floats**.',
          '| Kind | Height |\n|---|---|\n| Cirrus | 6 km |',
          'A round one covers $A = \\pi r^2$.', '```js\nconst sky = await fetch("hyper://localhost/?key=sky");\n```',
          '> Models make mistakes.', '---', '## Second slide', '- one\n- two',
        ].join('\n\n'));
        content.dispatchEvent(new ClipboardEvent('paste', {clipboardData, bubbles: true, cancelable: true}));
        while (!document.querySelector('#preview h1')) await new Promise((done) => setTimeout(done, 50));
        """,
    ),
    "upload": (
        ON,
        "peersky://p2p/upload/",
        """
        const canvas = Object.assign(document.createElement('canvas'), {width: 300, height: 200});
        const paint = canvas.getContext('2d');
        paint.fillStyle = 'skyblue';
        paint.fillRect(0, 0, 300, 200);
        paint.fillStyle = 'gold';
        paint.arc(200, 80, 40, 0, 7);
        paint.fill();
        const dataTransfer = new DataTransfer();
        const add = (content, name) => dataTransfer.items.add(new File([content], name));
        add('Notes about clouds.', 'readme.md');
        add(await new Promise((done) => canvas.toBlob(done)), 'evening.png');
        add(new Uint8Array(9e6), 'waves.wav');
        document.getElementById('drop').dispatchEvent(new DragEvent('drop', {dataTransfer, bubbles: true}));
        while (document.querySelectorAll('#files li').length < 3) await new Promise((done) => setTimeout(done, 50));
        document.getElementById('describe').open = true;
        document.getElementById('title').value = 'Clouds over the sea';
        document.getElementById('alt-0').value = 'The sun stands over a calm sea.';
        """,
    ),
}
EVERY_SCENE = {**SCENES, **P2P_SCENES}
# What still loads says so, and Chromium hands its picture over a little later.
SETTLED = """
    await document.fonts.ready;
    for (let i = 0; i < 100 && document.querySelector('[aria-busy=true]'); i++)
      await new Promise((done) => setTimeout(done, 50));
    for (let i = 0; i < 5; i++) await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)));
"""


def main(arguments: list[str]) -> int:
    """Take all pictures, or (``SCHEME PICTURE``) one, which needs a process of its own."""
    if arguments:
        take(arguments[0], arguments[1])
        return 0
    IMAGES.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        for picture in (*PICTURES, *EVERY_SCENE):
            subprocess.run([sys.executable, "-m", "tools.screenshots", scheme, picture], check=True, cwd=ROOT)
            print(f"{picture}, {scheme}")
    return 0


@contextmanager
def scene_of(picture: str) -> Iterator[tuple[Scene, dict[int, int]]]:
    """What one picture shows, and its sizes."""
    if picture in EVERY_SCENE:
        with EVERY_SCENE[picture]() as scene:
            yield scene, dict([scene.size])
    else:
        llm, url, script = PICTURES[picture]
        yield Scene(llm, url, [script] if script else []), SIZES


def take(scheme: str, picture: str) -> None:
    """Take one picture in each of its widths."""
    with scene_of(picture) as (scene, sizes):
        _take(scheme, picture, scene, sizes)


def _take(scheme: str, picture: str, scene: Scene, sizes: dict[int, int]) -> None:
    from PyQt6.QtGui import QPainter
    from PyQt6.QtWidgets import QDialog

    from peersky.qt.application import create_application
    from peersky.qt.driver import PageDriver, wait_until
    from peersky.qt.notifier import DesktopNotifier
    from peersky.qt.page import PeerSkyPage
    from peersky.qt.runtime import Runtime
    from peersky.qt.window import Browser, WindowPrompts
    from peersky.system.paths import open_profile

    application = create_application(headless=True, on_error=print, dark=scheme == "dark")
    with tempfile.TemporaryDirectory() as folder:
        profile = open_profile(Path(folder))
        p2p = {"listen": "loopback", "lookupSeconds": 2, **scene.p2p}
        settings = {"llm": scene.llm, "browser": {"colorScheme": scheme}, "p2p": p2p}
        profile.settings_file.write_text(json.dumps(settings), encoding="utf-8")
        prompts, notifier = WindowPrompts(), DesktopNotifier([])
        runtime = Runtime(profile, prompts, notifier)
        browser = Browser(runtime, prompts)
        notifier.banner = browser.show_notice
        window = browser.new_window()
        tab = window.open_tab("about:blank")
        assert isinstance(tab.page, PeerSkyPage)
        driver = PageDriver(tab.page)
        window.resize(*next(iter(sizes.items())))
        driver.load(scene.url if isinstance(scene.url, str) else scene.url(runtime))
        for step in scene.steps:
            if isinstance(step, str):
                driver.evaluate(step, 120)
            else:
                step(runtime)
        for width, height in sizes.items():
            window.resize(width, height)
            driver.evaluate(SETTLED, 30)
            wait_until(lambda: False, 0.3, None)
            image = window.grab()
            # A dialog is a window of its own; it stands in the middle of the one that it belongs to.
            dialogs = [w for w in application.topLevelWidgets() if isinstance(w, QDialog) and w.isVisible()]
            painter = QPainter(image)
            for dialog in dialogs:
                shown = dialog.grab()
                painter.drawPixmap((width - shown.width()) // 2, (height - shown.height()) // 2, shown)
            painter.end()
            image.save(str(IMAGES / f"{picture}-{scheme}-{width}.png"), "PNG", 0)
        browser.dispose()
        runtime.close()
    del application


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
