"""The whole browser but for its window, writing into every store as fast as it can, until somebody kills it.

``python -m tests.faults.busy_browser PROFILE FIRST REGISTRY``: prints ``STORE NUMBER`` on standard output once a write
is acknowledged. FIRST is a JSON object with the first number of each store; from there they go up. Pages write
settings, memory and drafts, as pages do; the services write the rest. REGISTRY is where models are downloaded from:
that of the name :data:`MODEL` all the time, and others, which are not there.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from peersky.p2p.ledger import Publication
from peersky.qt.application import create_application
from peersky.qt.driver import PageDriver
from peersky.qt.runtime import Runtime
from peersky.system.paths import open_profile
from tests.web_names import teach_chromium

if TYPE_CHECKING:
    from peersky.web.compose import Services

WRITE = """
(async () => {
  const write = async (store, work) => {
    for (let number = FIRST[store]; ; number++) {
      await work(number);
      console.log(`${store} ${number}`);
    }
  };
  const settings = async (number) => {
    const changes = {'llm.maxTokens': number, 'browser.home': `peersky://home/?${number}`};
    const body = JSON.stringify({changes});
    const reply = await fetch('peersky://settings/api/settings', {method: 'POST', body});
    if (!reply.ok) throw new Error(await reply.text());
  };
  const memory = (number) => window.llmMemory.add({role: 'user', content: `${number}`, appId: 'a', sessionId: 's'});
  await Promise.all([write('settings', settings), write('memory', memory)]);
})().catch((error) => console.log(`failed ${error.message}`));
0
"""

# A draft is a number, over and over: half of one would be seen. What the last browser left is told first.
DRAFTS = """
(async () => {
  const md = new (await import('peersky://p2p/md/drafts.js')).Drafts();
  const editor = await new (await import('peersky://p2p/editor/drafts.js')).Drafts().open();
  const kept = (drafts) => {
    const numbers = drafts.flatMap(({ text }) => text.trim().split(' ').map(Number));
    if (new Set(numbers).size > 1) throw new Error('half of a draft');
    return numbers[0] ?? 0;
  };
  const found = [kept(await md.list()), kept(await editor.list())];
  console.log(`kept ${found.join(' ')}`);
  for (let number = Math.max(FIRST.drafts, ...found.map((last) => last + 1)); ; number++) {
    const draft = { id: 'd', text: `${number} `.repeat(2000), saved: Date.now() };
    await Promise.all([md.write(draft), editor.save(draft)]);
    console.log(`drafts ${number}`);
  }
})().catch((error) => console.log(`failed ${error.message}`));
0
"""

MODEL = "endless"


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


async def publish(services: Services, first: int) -> None:
    """What publishing writes into the ledger."""
    for number in itertools.count(first):
        root = f"hyper://drive-{number}/"
        await services.p2p.ledger.record(Publication(root, root, str(number), "user"))
        await services.p2p.ledger.set_owner(root, "user", str(number))
        say(f"ledger {number}")


async def decide(services: Services, first: int) -> None:
    """What the user decides about sites, and the apps that are kept as links."""
    for number in itertools.count(first):
        site = f"https://site-{number % 50}.example"
        await asyncio.to_thread(services.permissions.set_limits, site, {"number": number})
        say(f"permissions {number}")
        await asyncio.to_thread(services.app_store.put_link, f"hyper://{'y' * 52}/{number % 50}", f"{number}")
        say(f"links {number}")
        services.logbook.record("test.written", number=number)


async def download(services: Services, first: int, registry: str) -> None:
    """The list of downloads, while one of them runs."""
    downloads = services.downloads
    running = downloads.start("builtin", f"{registry}/library/{MODEL}:latest")
    for number in itertools.count(first):
        downloads.start("builtin", f"{registry}/library/absent:{number}")
        await downloads.saved()
        say(f"downloads {number}")
        for older in [one for one in downloads.list() if one.id != running.id][:-3]:
            downloads.cancel(older.id)


def main(folder: Path, first: dict[str, int], registry: str) -> int:
    teach_chromium()
    application = create_application(headless=True, on_error=lambda text: say(f"failed {text!r}"))
    runtime = Runtime(open_profile(folder))
    page = runtime.new_page()
    page.console_message.connect(lambda _level, text, _line, _source: say(text))
    PageDriver(page).load("peersky://settings/")
    page.runJavaScript(f"const FIRST = {json.dumps(first)};{WRITE}")
    drafts = runtime.new_page()
    drafts.console_message.connect(lambda _level, text, _line, _source: say(text))
    # Any file of the apps: it has their origin, and writes nothing of its own.
    PageDriver(drafts).load("peersky://p2p/md/mark.svg")
    drafts.runJavaScript(f"const FIRST = {json.dumps(first)};{DRAFTS}")
    runtime.call(download(runtime.services, first["downloads"], registry))
    runtime.call(publish(runtime.services, first["ledger"]))
    runtime.call(decide(runtime.services, first["permissions"]))
    return int(application.exec())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]))
