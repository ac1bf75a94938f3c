"""The pictures of docs/p2p.md: pages of peers, archive, settings and the dialog, over real nodes on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tools.screenshot_scenes import Scene

if TYPE_CHECKING:
    from peersky.qt.runtime import Runtime

ROOT: Final = Path(__file__).resolve().parent.parent
Z32: Final = "ybndrfg8ejkmcpqxot1uwisza345h769"
NOBODYS: Final = "hyper://" + "".join(Z32[byte % 32] for byte in hashlib.sha512(b"nobody").digest()[:52])
SIZE: Final = (800, 700)
FILES: Final = {
    "a word of welcome.md": 1_204,
    "bread-2.jpg": 482_113,
    "bread-10.jpg": 611_090,
    "Rezepte/Sauerteig für Anfänger 🍞.html": 8_330,
    "Rezepte/Roggenbrot.html": 6_120,
    "film of the oven.webm": 3_400_000,
}


@contextmanager
def folder() -> Iterator[Path]:
    """A folder without an index.html."""
    with tempfile.TemporaryDirectory() as place:
        made = Path(place) / "Bread of the valley"
        for name, size in FILES.items():
            file = made / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(bytes(size))
            os.utime(file, (1_790_000_000, 1_790_000_000 + size))
        yield made


@contextmanager
def dht() -> Iterator[dict[str, Any]]:
    """Settings of P2P with a DHT of our own, in which nobody has anything."""
    from peersky.p2p.install import BUNDLE, installed
    from peersky.p2p.program import node_binary

    script = ROOT / "tests" / "p2p" / "testnet.mjs"
    argv = [str(node_binary()), str(script), str(BUNDLE / "libraries")]
    environment = {**os.environ, "PEERSKY_NATIVES": str(installed())}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        yield {"hyper.bootstrap": json.loads(process.stdout.readline())}
        process.communicate()


def published(path: Path, to: Any, name: str) -> Callable[[Runtime], str]:
    """What publishes a path and gives its address."""

    def publish(runtime: Runtime) -> str:
        async def run() -> str:
            lines: AsyncGenerator[dict[str, Any], None] = runtime.services.p2p.publish(path, to, name)
            return str([line async for line in lines][-1]["url"])

        return str(runtime.call(run()).result(60))

    return publish


@contextmanager
def p2p_folder() -> Iterator[Scene]:
    with folder() as made:
        yield Scene({}, published(made, "hyper", made.name), size=SIZE)


@contextmanager
def p2p_nobody() -> Iterator[Scene]:
    with dht() as p2p:
        yield Scene({}, f"{NOBODYS}/", size=SIZE, p2p=p2p)


@contextmanager
def settings_p2p() -> Iterator[Scene]:
    with folder() as made, dht() as p2p:
        publish, publish_too = published(made, "hyper", made.name), published(made, "ipfs", made.name)

        def url(runtime: Runtime) -> str:
            publish(runtime)
            publish_too(runtime)
            return "peersky://settings/p2p"

        yield Scene({}, url, size=(1000, 1000), p2p=p2p)


@contextmanager
def archive() -> Iterator[Scene]:
    from peersky.p2p.ledger import Publication

    def record(runtime: Runtime, name: str, origin: str, **more: Any) -> None:
        letters = hashlib.sha512(name.encode()).digest()[:52]
        root = f"hyper://{''.join(Z32[byte % 32] for byte in letters)}/"
        runtime.call(runtime.services.p2p.ledger.record(Publication(root, root, name, origin, **more))).result(30)

    with folder() as made:
        publish = published(made, "ipfs", made.name)

        def url(runtime: Runtime) -> str:
            record(runtime, "Recipes", "https://agregore.mauve.moe", bytes=48_213, files=12)
            record(
                runtime, "Rye and wheat", "peersky://p2p", app="editor", model="qwen2.5-coder:3b", bytes=5_120, files=2
            )
            publish(runtime)
            return "peersky://archive/"

        yield Scene({}, url, size=(800, 960))


@contextmanager
def publish_dialog() -> Iterator[Scene]:
    def show(_runtime: Runtime) -> None:
        from PyQt6.QtWidgets import QApplication

        from peersky.qt.publish_dialog import PublishDialog
        from peersky.qt.window import BrowserWindow

        windows = [one for one in QApplication.topLevelWidgets() if isinstance(one, BrowserWindow)]
        windows[0].commands.publish_folder()
        dialog = next(one for one in QApplication.topLevelWidgets() if isinstance(one, PublishDialog))
        dialog.choose("~/Bread of the valley")

    yield Scene({}, "peersky://home/", [show], SIZE)


P2P_SCENES: Final[dict[str, Callable[[], AbstractContextManager[Scene]]]] = {
    "p2p-folder": p2p_folder,
    "p2p-nobody": p2p_nobody,
    "settings-p2p": settings_p2p,
    "archive": archive,
    "publish-dialog": publish_dialog,
}
