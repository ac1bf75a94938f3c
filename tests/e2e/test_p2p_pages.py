"""Two real browsers with real nodes: a page made in one opens in the other, as a web app of its own origin."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from peersky.qt.driver import wait_until
from tests.e2e.conftest import Product
from tests.p2p.conftest import bootstrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from PyQt6.QtWidgets import QApplication

__all__ = ["bootstrap"]

APP = "peersky://p2p/"
PAGE = "<!doctype html><title>Made elsewhere</title><script src=app.js></script><h1>Hello</h1>"

PUBLISH = """
    const drive = (await (await fetch('hyper://localhost/?key=site', {method: 'POST'})).text()).trim();
    const form = new FormData();
    form.append('file', new File([PAGE], 'index.html', {type: 'text/html'}));
    form.append('file', new File(['window.appRan = true'], 'app.js'));
    form.append('file', new File([new Uint8Array(5e6)], 'zeros.bin'));
    const put = await fetch(drive, {method: 'PUT', body: form});
    const folder = await fetch('ipfs://bafyaabakaieac/', {method: 'PUT', body: form});
    return {drive, status: [put.status, folder.status], cid: (await folder.text()).trim()};
"""
LOOK = """
    const part = await fetch('zeros.bin', {headers: {Range: 'bytes=4999990-'}});
    const write = await fetch('mine.html', {method: 'PUT', body: 'x'});
    const missing = await fetch('nothing.txt');
    localStorage.setItem('seen', 'yes');
    return {
      origin: location.origin, title: document.title, ran: window.appRan, secure: isSecureContext,
      answer: typeof await llm.complete('What is PeerSky?', {maxTokens: 20}),
      part: [part.status, (await part.arrayBuffer()).byteLength],
      write: write.status, missing: [missing.status, await missing.text()], kept: localStorage.getItem('seen'),
    };
"""


@pytest.fixture
def browsers(qt_application: QApplication, tmp_path: Path, bootstrap: list[str]) -> Iterator[Callable[..., Product]]:
    """Starts browsers whose nodes meet on loopback; further settings are those of the block ``p2p``."""
    running: list[Product] = []

    def start(**settings: object) -> Product:
        block = {"listen": "loopback", "lookupSeconds": 5, "hyper.bootstrap": bootstrap, **settings}
        llm = {"enabled": True, "provider": "builtin", "model": "peersky-starter"}
        running.append(Product(tmp_path / f"profile-{len(running)}", {"p2p": block, "llm": llm}))
        return running[-1]

    yield start
    for one in running:
        one.close()


def ipfs_address(product: Product) -> str:
    node = product.runtime.services.p2p.node
    status = product.runtime.call(node.json("POST", "/node/start", {"protocols": ["ipfs"]})).result(30)
    return str(status["ipfs"]["addresses"][0])


def test_a_page_made_in_one_browser_opens_in_the_other(browsers: Callable[..., Product]) -> None:
    ours = browsers()
    made = ours.page(APP).evaluate(PUBLISH.replace("PAGE", repr(PAGE)))
    assert made["status"] == [201, 201]
    theirs = browsers(**{"ipfs.peers": [ipfs_address(ours)]})
    for url, write in ((made["drive"], 403), (made["cid"], 403)):
        seen = theirs.page(url).evaluate(LOOK)
        missing = seen.pop("missing")
        assert seen == {
            "origin": url.rstrip("/"),
            "title": "Made elsewhere",
            "ran": True,
            "secure": True,
            "answer": "string",
            "part": [206, 10],
            "write": write,
            "kept": "yes",
        }
        assert missing[0] == 404
        assert missing[1].endswith(".")
    own = ours.page(made["drive"])
    assert own.evaluate("return (await fetch('more.html', {method: 'PUT', body: 'by itself'})).status") == 201
    assert theirs.page(f"{made['drive']}more.html").evaluate("return document.body.innerText") == "by itself"


SOUND = """
    // A WAV of 2,000 seconds: 8,000 samples a second, one byte each, and the header.
    const length = 8000 * 2000, head = new DataView(new ArrayBuffer(44));
    const text = (at, word) => [...word].forEach((char, i) => head.setUint8(at + i, char.charCodeAt(0)));
    text(0, 'RIFF'); head.setUint32(4, 36 + length, true); text(8, 'WAVEfmt '); head.setUint32(16, 16, true);
    head.setUint16(20, 1, true); head.setUint16(22, 1, true); head.setUint32(24, 8000, true);
    head.setUint32(28, 8000, true); head.setUint16(32, 1, true); head.setUint16(34, 8, true);
    text(36, 'data'); head.setUint32(40, length, true);
    const drive = (await (await fetch('hyper://localhost/?key=sound', {method: 'POST'})).text()).trim();
    const body = new Blob([head, new Uint8Array(length).fill(128)]);
    await fetch(`${drive}index.html`, {method: 'PUT', body: '<h1>Sound</h1>'});
    const put = await fetch(`${drive}sound.wav`, {method: 'PUT', body});
    return [drive, put.status];
"""
SEEK = """
    const audio = new Audio('sound.wav');
    const event = (name) => new Promise((resolve, reject) => {
      audio.addEventListener(name, resolve, {once: true});
      audio.addEventListener('error', () => reject(audio.error), {once: true});
    });
    await event('loadedmetadata');
    const seeked = event('seeked');
    audio.currentTime = 1900;
    await seeked;
    return [Math.round(audio.duration), Math.round(audio.currentTime)];
"""


def test_a_long_sound_seeks_and_an_event_stream_carries_messages(browsers: Callable[..., Product]) -> None:
    ours, theirs = browsers(), browsers()
    drive, status = ours.page(APP).evaluate(SOUND)
    assert status == 201
    writer, reader = ours.page(drive), theirs.page(drive)
    assert reader.evaluate(SEEK) == [2000, 1900]
    reader.evaluate(
        "window.got = []; window.source = new EventSource('/$/extensions/chat');"
        "source.onmessage = (event) => got.push(event.data);"
        "for (const name of ['peer-open', 'chat']) source.addEventListener(name, (event) => got.push(event.data));"
        "await new Promise((resolve) => { source.onopen = resolve; });"
    )
    says = "return (await fetch('/$/extensions/chat', {method: 'POST', body: 'hello peers'})).status"

    def heard() -> bool:
        assert writer.evaluate(says) == 200
        return any("hello peers" in str(text) for text in reader.evaluate("return got"))

    wait_until(heard, 20, "no message arrived", poll_ms=200)
    reader.evaluate("source.close()")


FILM = """
    // A second of red and then of blue, and noise, so that it is no tiny file.
    const tick = () => new Promise((next) => {
      const {port1, port2} = new MessageChannel();  // timers are slow in a page that nobody sees
      port1.onmessage = next;
      port2.postMessage(0);
    });
    const canvas = Object.assign(document.createElement('canvas'), {width: 320, height: 240});
    const paint = canvas.getContext('2d');
    const stream = canvas.captureStream(0);
    const recorder = new MediaRecorder(stream, {mimeType: 'video/webm;codecs=vp8', videoBitsPerSecond: 8e6});
    const parts = [];
    recorder.ondataavailable = ({data}) => parts.push(data);
    const ended = new Promise((resolve) => { recorder.onstop = resolve; });
    recorder.start();
    for (let frame = 0; frame < 20; frame++) {
      const picture = paint.createImageData(320, 240);
      for (let at = 0; at < picture.data.length; at += 4) {
        const shade = Math.random() * 100;
        picture.data.set(frame < 10 ? [155 + shade, shade, 0, 255] : [0, shade, 155 + shade, 255], at);
      }
      paint.putImageData(picture, 0, 0);
      stream.getVideoTracks()[0].requestFrame();
      const end = performance.now() + 100;
      while (performance.now() < end) await tick();
    }
    recorder.stop();
    await ended;
    const body = new Blob(parts, {type: 'video/webm'});
    const drive = (await (await fetch('hyper://localhost/?key=film', {method: 'POST'})).text()).trim();
    await fetch(`${drive}index.html`, {method: 'PUT', body: '<h1>Film</h1>'});
    const put = await fetch(`${drive}film.webm`, {method: 'PUT', body});
    return [drive, put.status, body.size];
"""
WATCH = """
    const video = Object.assign(document.createElement('video'), {src: 'film.webm', muted: true, preload: 'metadata'});
    const event = (name) => new Promise((resolve, reject) => {
      video.addEventListener(name, resolve, {once: true});
      video.addEventListener('error', () => reject(new Error(video.error.message)), {once: true});
    });
    await event('loadeddata');
    const canvas = Object.assign(document.createElement('canvas'), {width: 1, height: 1});
    const paint = canvas.getContext('2d');
    const colours = [];
    // A recording does not say how long it is: whoever seeks past its end learns that, too.
    for (const part of [1e6, 0.1, 0.9, 0.2]) {
      const seeked = event('seeked');
      video.currentTime = part * (Number.isFinite(video.duration) ? video.duration : 1);
      await seeked;
      paint.drawImage(video, 0, 0, 1, 1);
      const [red, , blue] = paint.getImageData(0, 0, 1, 1).data;
      colours.push(red > blue ? 'red' : 'blue');
    }
    return [colours, Number.isFinite(video.duration)];
"""


def test_a_film_that_one_browser_recorded_seeks_in_the_other(browsers: Callable[..., Product]) -> None:
    ours, theirs = browsers(), browsers()
    drive, status, size = ours.page(APP).evaluate(FILM, 60)
    assert (status, size > 100_000) == (201, True)
    assert theirs.page(drive).evaluate(WATCH, 60) == [["blue", "red", "blue", "red"], True]


def test_shot_and_eval_load_peer_to_peer_pages(tmp_path: Path) -> None:
    """As commands: what the services of one command published, the browser of the next one shows."""
    site, profile = tmp_path / "site", tmp_path / "p"
    site.mkdir()
    profile.mkdir()
    (site / "index.html").write_text(PAGE, encoding="utf-8")
    (profile / "settings.json").write_text('{"p2p": {"listen": "loopback", "lookupSeconds": 2}}', encoding="utf-8")

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "peersky", words[0], "--profile", str(profile), *words[1:]]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()

    url = run("publish", str(site))
    assert run("eval", url, "return document.title") == '"Made elsewhere"'
    assert "504" in run("eval", "hyper://" + "y" * 52, "return document.body.innerText")
