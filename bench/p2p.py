"""Publishing and reading through a page's ``fetch``, against the same libraries used directly in Node. On loopback."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from bench.rows import Row
from bench.world import APP, BrowserChild, World
from peersky.p2p.install import BUNDLE, installed
from peersky.p2p.program import node_binary

BUDGET_S: Final = {True: 60.0, False: 240.0}
LANES: Final = 6
"""Files read at once on both sides: a browser's own number of connections."""

_LEAST: Final = 0.9
_SMALL_BYTES: Final = 1000
_BASES: Final = {"hyper": "await drive()", "ipfs": "'ipfs://bafyaabakaieac/'"}

# Bytes are made before the clock runs, as on the other side. getRandomValues gives 64 KiB at most.
_MAKE: Final = """
    const random = (size) => {
      const bytes = new Uint8Array(size);
      for (let at = 0; at < size; at += 65536) crypto.getRandomValues(bytes.subarray(at, Math.min(at + 65536, size)));
      return bytes;
    };
    const drive = async () => {
      const made = await fetch(`hyper://localhost/?key=${crypto.randomUUID()}`, {method: 'POST'});
      return (await made.text()).trim().replace(/\\/?$/, '/');
    };
"""
_WRITE_LARGE: Final = (
    _MAKE
    + """
    const body = new Blob(Array.from({length: MB}, () => random(1048576)));
    const base = BASE;
    const began = performance.now();
    const put = await fetch(base + 'large.bin', {method: 'PUT', body});
    const ms = performance.now() - began;
    if (put.status !== 201) throw new Error(await put.text());
    window.where = put.headers.get('location');
    return ms;
"""
)
_READ_LARGE: Final = """
    const began = performance.now();
    const reply = await fetch(window.where);
    let size = 0;
    for await (const part of reply.body) size += part.length;
    if (size !== MB * 1048576) throw new Error(`${reply.status}, ${size} bytes`);
    return performance.now() - began;
"""
_WRITE_SMALL: Final = (
    _MAKE
    + """
    const form = new FormData();
    for (let i = 0; i < FILES; i++) form.append('file', new File([random(BYTES)], `f/${i}.txt`));
    const base = BASE;
    const began = performance.now();
    const put = await fetch(base, {method: 'PUT', body: form});
    const ms = performance.now() - began;
    if (put.status !== 201) throw new Error(await put.text());
    window.where = put.headers.get('location').replace(/\\/?$/, '/');
    return ms;
"""
)
_READ_SMALL: Final = """
    const began = performance.now();
    let next = 0;
    const lane = async () => {
      while (next < FILES) {
        const reply = await fetch(`${window.where}f/${next++}.txt`);
        if ((await reply.arrayBuffer()).byteLength !== BYTES) throw new Error(`${reply.status} for a file`);
      }
    };
    await Promise.all(Array.from({length: LANES}, lane));
    return performance.now() - began;
"""
_SCRIPTS: Final = {
    "write large": _WRITE_LARGE,
    "read large": _READ_LARGE,
    "write small": _WRITE_SMALL,
    "read small": _READ_SMALL,
}


def measure(world: World) -> list[Row]:
    """Rows for both networks: large and small, publish and read."""
    mb, files = (20, 500) if world.quick else (100, 5000)
    asked = {"mb": mb, "files": files, "bytes": _SMALL_BYTES, "lanes": LANES}
    ours: dict[str, list[float]] = {}
    base: dict[str, list[float]] = {}
    with BrowserChild(world.profile({})) as browser, _libraries(world) as direct:
        page = browser.page(APP)
        for scheme in _BASES:  # The node starts, and both protocols in it.
            browser.run(page, _script("write small", scheme, {**asked, "files": 2}))
        for number in world.rounds(2 if world.quick else 4, 1):
            for scheme in _BASES:
                for size in ("large", "small"):
                    sides = ("page", "direct") if number % 2 else ("direct", "page")
                    for side in sides:
                        for verb in ("write", "read"):
                            name = f"{scheme} {verb} {size}"
                            if side == "page":
                                ms = float(browser.run(page, _script(f"{verb} {size}", scheme, asked)))
                                ours.setdefault(name, []).append(_speed(size, asked, ms))
                            else:
                                base.setdefault(name, []).append(_speed(size, asked, direct({"do": name, **asked})))
    rows = []
    for scheme in _BASES:
        for size, what in (("large", f"a file of {mb} MB"), ("small", f"{files:,} files of 1 kB")):
            for verb, said in (("write", "publish"), ("read", "read")):
                name = f"{scheme} {verb} {size}"
                unit = "MB/s" if size == "large" else "files/s"
                rows.append(
                    Row(f"{scheme}: {said} {what}", unit, ours[name], base[name], "libraries in Node", least=_LEAST)
                )
    return rows


def _script(action: str, scheme: str, asked: dict[str, Any]) -> str:
    script = _SCRIPTS[action].replace("BASE", _BASES[scheme])
    for name in ("mb", "files", "bytes", "lanes"):
        script = script.replace(name.upper(), str(asked[name]))
    return script


def _speed(size: str, asked: dict[str, Any], ms: float) -> float:
    return float(asked["mb" if size == "large" else "files"]) * 1000 / ms


@contextlib.contextmanager
def _libraries(world: World) -> Iterator[Callable[[dict[str, Any]], float]]:
    """The libraries in a Node of their own; a function that does one thing and tells the milliseconds."""
    storage = world.folder / "direct"
    storage.mkdir()
    script = Path(__file__).with_name("p2p_direct.mjs")
    with subprocess.Popen(
        [str(node_binary()), str(script), str(BUNDLE / "libraries"), str(storage)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PEERSKY_NATIVES": str(installed())},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()

        def do(what: dict[str, Any]) -> float:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(what).encode() + b"\n")
            process.stdin.flush()
            reply = json.loads(process.stdout.readline())
            if "error" in reply:
                raise RuntimeError(reply["error"])
            return float(reply["ms"])

        yield do
        process.stdin.close()
        process.wait(30)
