"""A download that is saved in the settings, and what becomes of it when the browser is quit or killed in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from peersky.qt.driver import wait_until
from tests.fakes.registry_server import Fault, RegistryServer

if TYPE_CHECKING:
    from PyQt6.QtWidgets import QApplication

    from tests.e2e.conftest import OrdinaryUser

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="becomes another user")

STARTER = Path(__file__).parents[2] / "src/peersky/assets/models/starter.gguf"
TIMEOUT_S = 60
MIB = 1024 * 1024
UNTIL = "const until = async (f) => { while (!f()) await new Promise((done) => setTimeout(done, 20)); };"
SAVE = """
    const form = document.getElementById('form');
    await until(() => form.getAttribute('aria-busy') === 'false' && document.querySelector('#models input'));
    document.getElementById('llm-model').value = NAME;
    form.requestSubmit();
    await until(() => document.querySelector('#download-list progress')?.value > 50);
    return document.getElementById('pending').innerText;
"""
OFFERED = """
    await until(() => document.getElementById('ai-download').innerText.includes('interrupted'));
    return document.getElementById('ai-download').innerText;
"""
RESUME = """
    const resume = () => [...document.querySelectorAll('#download-list button')].find((b) => b.innerText === 'Resume');
    await until(() => resume()?.checkVisibility());
    const offered = document.getElementById('download-list').innerText;
    resume().click();
    await until(() => document.getElementById('state').innerText.includes(`${NAME} answers on this computer`));
    return [offered, await window.llm.complete('What is PeerSky?', {temperature: 0, maxTokens: 60})];
"""


@pytest.mark.fault("The whole browser quit, then killed, during a download")
def test_quit_killed_and_gone_on_with(qt_application: QApplication, as_ordinary_user: OrdinaryUser) -> None:
    weights = STARTER.read_bytes()
    as_ordinary_user.write_settings(enabled=True, provider="builtin", model="peersky-starter")
    with RegistryServer() as registry:
        name = registry.add("real:1b", {"model": weights})

        # Quit while the rest does not come.
        registry.always = Fault("stall", after=MIB + 200_000)
        pending = run(as_ordinary_user, "peersky://settings/llm", SAVE, name)
        assert pending == f"As soon as {name} is here, it answers. Until then nothing changes."
        registry.release.set()

        # The window goes on with it when it is told to, and is killed.
        registry.release.clear()
        registry.stalled.clear()
        registry.always = Fault("stall", after=100_000)
        browser = start(as_ordinary_user, "run")
        try:
            control = as_ordinary_user.profile / "run" / "control.json"
            wait_until(control.exists, TIMEOUT_S, "The browser does not start.")
            pull = start(as_ordinary_user, "models pull", name)
            assert registry.stalled.wait(TIMEOUT_S)
            assert int(registry.ranges()[-1].removeprefix("bytes=").partition("-")[0]) >= MIB, "what was here is kept"
        finally:
            browser.send_signal(signal.SIGKILL)
            browser.communicate(timeout=TIMEOUT_S)
        _, told = pull.communicate(timeout=TIMEOUT_S)
        assert (pull.returncode, "The same command goes on." in told) == (1, True), told
        registry.release.set()

        # The next start offers the rest, on the home page and in the settings; then the model answers.
        registry.always = None
        offered = run(as_ordinary_user, "peersky://home/", OFFERED, name)
        assert offered == f"The download of {name} was interrupted; you can go on with it in the settings."
        before = registry.sent_bytes
        row, answer = run(as_ordinary_user, "peersky://settings/llm", RESUME, name)
        assert "Was interrupted when PeerSky closed." in row
        assert registry.sent_bytes - before <= len(weights) - MIB
        assert "browser" in answer.lower()
    settings = json.loads((as_ordinary_user.profile / "settings.json").read_text())
    assert settings["llm"]["model"] == name
    assert not (as_ordinary_user.profile / "downloads.json").exists()


def start(user: OrdinaryUser, command: str, *arguments: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    environment = {**user.environment, "QT_QPA_PLATFORM": "offscreen"}
    return subprocess.Popen(user.argv(command, *arguments), env=environment, stdout=pipe, stderr=pipe, text=True)


def run(user: OrdinaryUser, url: str, script: str, name: str) -> Any:
    """A whole run of the browser: from its start over a script in a page to its end."""
    source = f"const NAME = {json.dumps(name)};\n{UNTIL}\n{script}"
    with start(user, "eval", url, source) as process:
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, err
    return json.loads(out)
