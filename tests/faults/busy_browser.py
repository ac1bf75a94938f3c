"""The whole browser but for its window, writing into every store as fast as it can, until somebody kills it.

``python -m tests.faults.busy_browser PROFILE FIRST``: prints ``STORE NUMBER`` on standard output once a write is
acknowledged. FIRST is a JSON object with the first number of each store; from there they go up. A page writes settings
and memory, as pages do; the services write the rest.
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


def main(folder: Path, first: dict[str, int]) -> int:
    teach_chromium()
    application = create_application(headless=True, on_error=lambda text: say(f"failed {text!r}"))
    runtime = Runtime(open_profile(folder))
    page = runtime.new_page()
    page.console_message.connect(lambda _level, text, _line, _source: say(text))
    PageDriver(page).load("peersky://settings/")
    page.runJavaScript(f"const FIRST = {json.dumps(first)};{WRITE}")
    runtime.call(publish(runtime.services, first["ledger"]))
    runtime.call(decide(runtime.services, first["permissions"]))
    return int(application.exec())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
