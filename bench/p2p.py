"""Publishing and reading through a page's ``fetch``, against the same libraries used directly in Node. On loopback.

Beside that: what the same files cost a page of Chromium alone, from an HTTP server that has them in memory.
"""

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
_BASES: Final = {"hyper": "await drive()", "ipfs": "'ipfs://bafyaabakaieac/'", "alone": "location.href"}
_NETWORKS: Final = ("hyper", "ipfs")
_NOTES: Final = {
    (
        "hyper",
        "write",
        "large",
    ): "the page's body is whole on the disk before the drive is touched; the libraries' is not",
    (
        "ipfs",
        "write",
        "large",
    ): "the page's body is whole on the disk before a block is made of it; the libraries' is not",
    (
        "ipfs",
        "read",
        "large",
    ): "each block from the disk is checked against its hash here; the libraries believe the disk",
    ("ipfs", "read", "small"): "a folder that was read stays in memory here; the libraries read it anew for each file",
}

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
    const reply = await fetch(window.where + (ALONE ? `?bytes=${MB * 1048576}` : ''));
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
        const reply = await fetch(`${window.where}f/${next++}.txt` + (ALONE ? '?bytes=BYTES' : ''));
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
    with (
        BrowserChild(world.profile({})) as browser,
        BrowserChild(world.folder, "--bare") as bare,
        _libraries(world) as (direct, port),
    ):
        page = browser.page(APP)
        alone = bare.page(f"http://127.0.0.1:{port}/")
        for scheme in _NETWORKS:  # The node starts, and both protocols in it; the libraries are warm as well.
            browser.run(page, _script("write small", scheme, {**asked, "files": 2}))
            direct({"do": f"{scheme} write small", **asked, "files": 2})
        for number in world.rounds(2 if world.quick else 4, 1):
            for size, verb in (("large", "write"), ("large", "read"), ("small", "write"), ("small", "read")):
                ms = float(bare.run(alone, _script(f"{verb} {size}", "alone", asked)))
                ours.setdefault(f"alone {verb} {size}", []).append(_speed(size, asked, ms))
            for scheme in _NETWORKS:
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
                if scheme == "alone":
                    did = "send" if verb == "write" else said
                    rows.append(Row(f"Chromium alone: {did} {what}, HTTP on loopback", unit, ours[name], kind="value"))
                    continue
                note = _NOTES.get((scheme, verb, size), "")
                against = "libraries in Node"
                rows.append(
                    Row(f"{scheme}: {said} {what}", unit, ours[name], base[name], against, least=_LEAST, note=note)
                )
    return rows


def _script(action: str, scheme: str, asked: dict[str, Any]) -> str:
    script = _SCRIPTS[action].replace("BASE", _BASES[scheme]).replace("ALONE", str(scheme == "alone").lower())
    for name in ("mb", "files", "bytes", "lanes"):
        script = script.replace(name.upper(), str(asked[name]))
    return script


def _speed(size: str, asked: dict[str, Any], ms: float) -> float:
    return float(asked["mb" if size == "large" else "files"]) * 1000 / ms


@contextlib.contextmanager
def _libraries(world: World) -> Iterator[tuple[Callable[[dict[str, Any]], float], int]]:
    """The libraries in a Node of their own: a function that does one thing and tells its time in ms; the HTTP port."""
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
        port = int(json.loads(process.stdout.readline())["port"])

        def do(what: dict[str, Any]) -> float:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(what).encode() + b"\n")
            process.stdin.flush()
            reply = json.loads(process.stdout.readline())
            if "error" in reply:
                raise RuntimeError(reply["error"])
            return float(reply["ms"])

        yield do, port
        process.stdin.close()
        process.wait(30)
