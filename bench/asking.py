"""The same question on every way that PeerSky has to a model, with the times at which the answer's pieces arrived."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench import direct
from bench.direct import Answer
from bench.world import NO_KEYRING, PROMPT, ROOT, BrowserChild, Port

ALONE: Final = "Chromium alone"
"""A page that asks the engine's port itself, without PeerSky: what is left of a difference is PeerSky's."""

# The page's clock may go before the system's. A clock of whole milliseconds is right at the moment when it jumps.
_NOW: Final = """
    const now = () => performance.timeOrigin + performance.now();
    const ahead = () => {
      const found = [];
      for (let i = 0; i < 30; i++) {
        const before = Date.now();
        let after = Date.now();
        while (after === before) after = Date.now();
        found.push(now() - after);
      }
      return found.sort((a, b) => a - b)[15];
    };
    const told = (asked, times, rest) => {
      const by = ahead();
      return {asked: asked - by, times: times.map((time) => time - by), ...rest};
    };
"""

# Each notes only when bytes came; what they say is read afterwards, as for the plain socket.
FETCH: Final = (
    _NOW
    + """
    const body = JSON.stringify(BODY), came = [], decoder = new TextDecoder();
    const asked = now();
    const response = await fetch(URL, {method: 'POST', body, headers: HEADERS});
    const reader = response.body.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) came.push([now(), part.value]);
    let rest = '', usage = {};
    const times = [], texts = [];
    for (const [time, bytes] of came) {
      rest += decoder.decode(bytes, {stream: true});
      const events = rest.split('\\n\\n');
      rest = events.pop();
      for (const event of events) {
        if (event.endsWith('[DONE]')) continue;
        const value = JSON.parse(event.slice(6));
        if (value.error) throw new Error(value.error.message);
        usage = value.usage ?? usage;
        const text = value.choices[0]?.delta.content;
        if (text) { times.push(time); texts.push(text); }
      }
    }
    return told(asked, times, {texts, usage});
"""
)
WINDOW_LLM: Final = (
    _NOW
    + """
    const {messages, max_tokens: maxTokens, temperature, seed} = BODY;
    const times = [], texts = [];
    let usage = {};
    const asked = now();
    for await (const delta of window.llm.chat({messages, maxTokens, temperature, seed})) {
      if (delta.content) { times.push(now()); texts.push(delta.content); }
      if (delta.usage) usage = {completion_tokens: delta.usage.outputTokens};
    }
    return told(asked, times, {texts, usage});
"""
)

_BRIDGE: Final = "llm://bridge/v1/chat/completions"


def in_page(
    browser: BrowserChild,
    page: int,
    script: str,
    body: Mapping[str, Any],
    url: str = _BRIDGE,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Ask in a page, by :data:`FETCH` or :data:`WINDOW_LLM`."""
    for name, value in (("URL", url), ("HEADERS", headers or {}), ("BODY", body)):
        script = script.replace(name, json.dumps(value))
    return answer_of(browser.run(page, script))


def without_peersky(bare: BrowserChild, port: Port) -> Callable[[Mapping[str, Any]], Answer]:
    """Chromium alone asks the engine's port, from a page of that port."""
    origin = f"http://127.0.0.1:{port.port}"
    page = bare.page(f"{origin}/health")
    headers = {"Authorization": f"Bearer {port.key}", "Content-Type": "application/json"}
    return lambda body: in_page(bare, page, FETCH, body, f"{origin}/v1/chat/completions", headers)


def answer_of(said: Mapping[str, Any]) -> Answer:
    """What a page said about an answer."""
    return Answer(said["asked"], said["times"], said["texts"], said["usage"])


def on_command_line(profile: Path, max_tokens: int) -> Answer:
    """``peersky ask``, whose services are those of the browser that runs. The start of the command is included."""
    environment = {**os.environ, "PYTHON_KEYRING_BACKEND": NO_KEYRING}
    command = [sys.executable, "-m", "peersky", "ask", "--profile", str(profile), "--temperature", "0"]
    asked_ms = time.time() * 1000
    came: list[tuple[float, bytes]] = []
    with subprocess.Popen(
        [*command, "--max-tokens", str(max_tokens), PROMPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        while data := os.read(process.stdout.fileno(), 1 << 16):
            came.append((time.time() * 1000, data))
    texts = [data.decode("utf-8", "replace") for _, data in came]
    return Answer(asked_ms, [time_ms for time_ms, _ in came], texts, {"completion_tokens": max_tokens})


def ways(
    browser: BrowserChild, page: int, body: Mapping[str, Any], bare: BrowserChild | None = None
) -> dict[str, Callable[[], Answer]]:
    """Each way by its name; ``direct`` is the engine itself, asked by a plain socket."""
    port = browser.engine()
    alone = {} if bare is None else {ALONE: partial(without_peersky(bare, port), body)}
    return {
        "direct": lambda: direct.ask(port, body),
        **alone,
        "fetch": lambda: in_page(browser, page, FETCH, body),
        "window.llm": lambda: in_page(browser, page, WINDOW_LLM, body),
        "peersky ask": lambda: on_command_line(browser.profile, body["max_tokens"]),
    }
