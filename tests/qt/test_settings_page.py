"""``peersky://settings/llm`` in the real QtWebEngine: every control and error, the keyboard alone, two tabs at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PyQt6.QtCore import Qt

from peersky.core.errors import QuotaExceeded
from peersky.core.settings_schema import STARTER_MODEL
from peersky.qt.driver import wait_until
from tests.fakes.ollama_server import OllamaServer
from tests.fakes.openai_server import OpenAIServer
from tests.qt.pages_lab import PagesLab, Tab

PAGE = "peersky://settings/llm"
ON = {"llm.enabled": True, "llm.provider": "builtin", "llm.model": "other"}
READY = "document.getElementById('form').getAttribute('aria-busy') === 'false'"


@pytest.fixture
def lab(tmp_path: Path, world: Callable[..., Any]) -> Iterator[PagesLab]:
    lab = PagesLab(tmp_path, world)
    yield lab
    lab.close()


def opened(lab: PagesLab, **options: int) -> Tab:
    tab = lab.open(PAGE, **options)
    tab.until(READY)
    return tab


def choose(tab: Tab, preset: str) -> None:
    tab.click(f"#presets input[value={preset}]")


def save(tab: Tab) -> None:
    tab.click("#form button[type=submit]")


def saved(tab: Tab, part: str = "Saved.") -> None:
    tab.until_text("#result", part)


def test_a_fresh_profile_shows_the_documented_defaults(lab: PagesLab) -> None:
    tab = opened(lab)
    assert tab.page.console == []
    assert tab.run("return document.querySelector('#presets input:checked').value") == "ollama"
    assert tab.value("#llm-baseURL") == "http://127.0.0.1:11434/"
    assert tab.value("#llm-model") == "qwen2.5-coder:3b"
    assert tab.value("#llm-apiKey") == ""
    assert tab.run("return document.querySelector('#llm-apiKey').placeholder") == "ollama"
    labels = tab.run("return [...document.querySelectorAll('label[for], a.button')].map((e) => e.innerText.trim())")
    for label in ("Enable Local LLM API", "Base URL", "API Key", "Model Name", "Logs"):
        assert labels.count(label) == 1, label


def test_presets_fill_the_address(lab: PagesLab) -> None:
    tab = opened(lab)
    choose(tab, "openrouter")
    assert tab.value("#llm-baseURL") == "https://openrouter.ai/api/v1/"
    assert tab.value("#llm-model") == ""
    choose(tab, "custom")
    assert tab.value("#llm-baseURL") == ""
    choose(tab, "ollama")
    assert tab.value("#llm-baseURL") == "http://127.0.0.1:11434/"
    assert tab.value("#llm-model") == "qwen2.5-coder:3b"
    choose(tab, "builtin")
    assert tab.value("#llm-model") == STARTER_MODEL
    assert not tab.run("return document.getElementById('llm-baseURL').checkVisibility()")


def test_an_ollama_is_chosen_with_one_of_its_models(lab: PagesLab) -> None:
    with OllamaServer(models=["qwen2.5-coder:3b", "llama3.2:3b"]) as server:
        tab = opened(lab)
        tab.fill("#llm-baseURL", server.url)
        tab.click("#models input[value='llama3.2:3b']")
        assert tab.value("#llm-model") == "llama3.2:3b"
        facts = tab.text("#models label:has(input[value='llama3.2:3b'])")
        assert "2.0 GB on disk · needs more than 2.0 GB of memory, and " in facts
        tab.click("#test")
        tab.until_text("#test-result", "answers and has 2 models.")
        save(tab)
        saved(tab, "Saved. Local AI is off: switch it on at the top of this page.")
        assert not tab.run("return document.getElementById('try').checkVisibility()")
        tab.click("#enabled")
        tab.until_text("#state", "Local AI is on.")
        tab.click("#models input[value='qwen2.5-coder:3b']")
        tab.click("#models input[value='llama3.2:3b']")
        save(tab)
        tab.until_text("#try", "Open AI chat")
    assert lab.settings.text("llm.provider") == "ollama"
    assert lab.settings.text("llm.baseURL") == server.url
    assert lab.settings.text("llm.model") == "llama3.2:3b"
    tab.until_text("#state", "llama3.2:3b answers on this computer")


def test_a_service_with_its_key(lab: PagesLab) -> None:
    with OpenAIServer(models=["gpt-x", "gpt-y"], key="sk-right-1") as server:
        tab = opened(lab)
        choose(tab, "custom")
        tab.fill("#llm-baseURL", server.url + "/v1")
        tab.fill("#llm-apiKey", "sk-wrong-1")
        tab.click("#test")
        tab.until("document.getElementById('test-result').classList.contains('bad')")
        tab.until("document.getElementById('llm-apiKey').ariaInvalid === 'true'")
        assert tab.focused == "llm-apiKey"
        assert tab.text("#llm-apiKey-problem")
        tab.fill("#llm-apiKey", "sk-right-1")
        tab.click("#models input[value='gpt-y']")
        tab.click("#test")
        tab.until("document.getElementById('test-result').classList.contains('good')")
        save(tab)
        saved(tab)
        tab.until_text("#key-state", "is set")
        assert tab.value("#llm-apiKey") == ""
        assert "sk-right-1" not in tab.run("return document.documentElement.outerHTML")
        assert lab.settings.secret("llm.apiKey") == "sk-right-1"
        tab.click("#forget-key")
        tab.until("!document.getElementById('key-state').checkVisibility()")
        assert not lab.settings.has_secret("llm.apiKey")
    assert lab.settings.text("llm.model") == "gpt-y"
    assert lab.ai.downloads.list() == []


@pytest.mark.parametrize(
    ("preset", "field", "value", "sentence"),
    [
        ("custom", "llm-baseURL", "", "Type the address of the service."),
        ("custom", "llm-baseURL", "ftp://x", "must be an address that starts with http:// or https://"),
        ("builtin", "llm-model", " ", "Name a model, or choose one from the list."),
        ("builtin", "llm-model", "/nowhere/a.gguf", "no model /nowhere/a.gguf"),
        ("builtin", "llm-temperature", "9", "must be between 0 and 2"),
        ("builtin", "llm-contextLength", "1", "must be between 512 and"),
        ("builtin", "llm-maxTokens", "1.5", "must be a whole number"),
    ],
)
def test_an_error_stands_beside_its_field_and_has_the_focus(
    lab: PagesLab, preset: str, field: str, value: str, sentence: str
) -> None:
    lab.settings.change(ON)
    tab = opened(lab)
    choose(tab, preset)
    if field != "llm-model" and preset == "custom":
        tab.fill("#llm-model", "m")
    tab.run("document.querySelector('details').open = true")
    tab.fill(f"#{field}", value)
    tab.run("document.querySelector('details').open = false")
    save(tab)
    tab.until_text(f"#{field}-problem", sentence)
    assert tab.focused == field
    assert tab.run(f"return document.getElementById('{field}').ariaInvalid") == "true"
    assert lab.settings.text("llm.model") == "other"
    assert lab.ai.downloads.list() == []
    tab.fill(
        f"#{field}", {"llm-temperature": "1", "llm-contextLength": "2048", "llm-maxTokens": "5"}.get(field, "other")
    )
    if preset == "builtin":
        save(tab)
        saved(tab)
        assert not tab.run(f"return document.getElementById('{field}-problem').checkVisibility()")


def test_advanced_settings_are_stored(lab: PagesLab) -> None:
    lab.settings.change(ON)
    tab = opened(lab)
    tab.click("summary")
    for field, value in {
        "llm-contextLength": "8192",
        "llm-idleTimeout": "60",
        "llm-parallel": "3",
        "llm-temperature": "0.3",
        "llm-maxTokens": "500",
        "llm-think": "high",
    }.items():
        tab.fill(f"#{field}", value)
    save(tab)
    saved(tab)
    stored = {name: lab.settings.get(f"llm.{name}") for name in ("contextLength", "idleTimeout", "parallel", "think")}
    assert stored == {"contextLength": 8192, "idleTimeout": 60, "parallel": 3, "think": "high"}
    assert (lab.settings.number("llm.temperature"), lab.settings.whole("llm.maxTokens")) == (0.3, 500)


def test_a_missing_model_is_downloaded_in_sight_of_every_tab(lab: PagesLab) -> None:
    lab.settings.change(ON)
    one, two, home = opened(lab), opened(lab), lab.open("peersky://home/")
    one.fill("#llm-model", "new:1b")
    save(one)
    saved(one, "new:1b is being downloaded.")
    for tab in (one, two):
        tab.until_text("#downloads", "25 % · 250 MB of 1.0 GB")
        tab.until_text("#pending", "As soon as new:1b is here, it answers.")
    home.until_text("#ai-download", "Downloading new:1b · 25 %")
    two.fill("#llm-model", "new:1b")
    save(two)
    saved(two, "new:1b is being downloaded.")
    save(one)
    saved(one, "new:1b is being downloaded.")
    assert lab.builtin.pulled == ["new:1b"]
    assert lab.settings.text("llm.model") == "other"
    two.click("#download-list button[aria-label='Pause: new:1b']")
    one.until_text("#downloads", "Paused.")
    one.click("#download-list button[aria-label='Resume: new:1b']")
    two.until("document.querySelector(\"button[aria-label='Pause: new:1b']\").checkVisibility()")
    lab.release()
    for tab in (one, two):
        tab.until_text("#downloads", "Downloaded.")
        tab.until_text("#state", "new:1b answers on this computer")
        tab.until("!document.getElementById('pending').checkVisibility()")
    assert lab.settings.text("llm.model") == "new:1b"
    assert lab.notices.seen == [("new:1b is ready", "The download is done, and the model can answer.")]
    one.click("#download-list button[aria-label='Remove from the list: new:1b']")
    two.until("!document.getElementById('downloads').checkVisibility()")


def test_a_download_is_cancelled_or_fails(lab: PagesLab) -> None:
    lab.settings.change(ON)
    tab = opened(lab)
    tab.fill("#llm-model", "new:1b")
    save(tab)
    tab.click("#download-list button[aria-label='Cancel: new:1b']")
    tab.until("!document.getElementById('downloads').checkVisibility()")
    assert lab.settings.text("llm.model") == "other"
    lab.builtin.failure = QuotaExceeded("The disk is too full for new:1b.")
    lab.release()
    save(tab)
    tab.until_text("#downloads", "The disk is too full for new:1b.")
    tab.until_text("#pending", "new:1b is not here, so nothing changed.")
    tab.until("document.getElementById('result').innerText === ''")
    lab.builtin.failure = None
    tab.click("#download-list button[aria-label='Try again: new:1b']")
    tab.until_text("#state", "new:1b answers")


def test_a_model_is_removed_after_a_second_press(lab: PagesLab) -> None:
    lab.settings.change({**ON, "llm.model": STARTER_MODEL})
    tab = opened(lab)
    assert not tab.run("return document.querySelector(`[aria-label='Remove: ${'peersky-starter'}']`)")
    remove = "#models .removable:has(input[value=other]) button"
    tab.click(remove)
    tab.until_text(remove, "Delete it?")
    assert "other" in [info.name for info in lab.builtin.infos]
    tab.click(remove)
    tab.until_text("#models-state", "other is removed; 1.0 GB are free again.")
    assert "other" not in [info.name for info in lab.builtin.infos]
    assert tab.focused == "llm-model"


def test_the_model_that_answers_is_not_removed(lab: PagesLab) -> None:
    lab.settings.change(ON)
    tab = opened(lab)
    remove = "#models .removable:has(input[value=other]) button"
    tab.click(remove)
    tab.click(remove)
    tab.until_text("#models-state", "other is the model that answers; choose another one first.")
    assert "other" in [info.name for info in lab.builtin.infos]


def test_ollama_that_is_down_is_said_beside_nothing_and_saved(lab: PagesLab) -> None:
    with OllamaServer() as server:
        url = server.url
    tab = opened(lab)
    tab.fill("#llm-baseURL", url)
    tab.until_text("#models-state", "cannot be reached")
    tab.click("#test")
    tab.until_text("#test-result", "cannot be reached")
    assert tab.focused == "llm-baseURL"
    save(tab)
    saved(tab, "cannot be reached")
    assert lab.settings.text("llm.baseURL") == url


def test_the_switch_and_the_offer_of_the_built_in_engine(lab: PagesLab) -> None:
    tab = opened(lab)
    tab.click("#enabled")
    tab.until_text("#state", "Local AI is on.")
    assert lab.settings.flag("llm.enabled")
    tab.click("#use-builtin")
    tab.until_text("#state", f"{STARTER_MODEL} answers on this computer. It is a small demonstration")
    assert tab.run("return document.querySelector('#presets input:checked').value") == "builtin"
    tab.click("#enabled")
    tab.until_text("#state", "Local AI is off.")


def test_a_long_list_is_searched(lab: PagesLab) -> None:
    with OpenAIServer(models=[f"maker/model-{number}" for number in range(120)]) as server:
        tab = opened(lab)
        choose(tab, "custom")
        tab.fill("#llm-baseURL", server.url + "/v1")
        tab.until_text("#models-state", "80 more; type a part of the name")
        tab.fill("#find-model", "model-117")
        tab.until("document.querySelectorAll('#models input').length === 1")
        tab.click("#models input")
        assert tab.value("#llm-model") == "maker/model-117"
        tab.fill("#find-model", "nothing")
        tab.until_text("#models-state", "None is called so.")


def test_the_keyboard_alone_is_enough(lab: PagesLab) -> None:
    with OllamaServer(models=["llama3.2:3b"]) as server:
        tab = opened(lab)
        tab.focus_view()
        tab.tab_to("e.id === 'enabled'")
        tab.key(Qt.Key.Key_Space)
        tab.until_text("#state", "Local AI is on.")
        tab.tab_to("e.name === 'preset'")
        tab.key(Qt.Key.Key_Down)
        tab.until("document.activeElement.value === 'openrouter'")
        tab.key(Qt.Key.Key_Up)
        tab.until("document.activeElement.value === 'ollama'")
        tab.tab_to("e.id === 'llm-baseURL'")
        tab.run("document.activeElement.select()")
        tab.write(server.url)
        tab.until(f"document.activeElement.value === '{server.url}'")
        tab.key(Qt.Key.Key_Tab)
        tab.until("document.querySelector('#models input[value=\"llama3.2:3b\"]')")
        tab.tab_to("e.name === 'listed'")
        assert tab.run("return document.activeElement.value") == "qwen2.5-coder:3b"
        for _ in range(2):
            tab.key(Qt.Key.Key_Up)
        tab.until("document.getElementById('llm-model').value === 'llama3.2:3b'")
        tab.tab_to("e.type === 'submit'")
        tab.key(Qt.Key.Key_Return)
        saved(tab)
    assert lab.settings.text("llm.model") == "llama3.2:3b"
    assert lab.settings.flag("llm.enabled")


@pytest.mark.parametrize("width", [320, 800, 2560])
def test_it_fits(lab: PagesLab, width: int) -> None:
    lab.settings.change(ON)
    tab = opened(lab, width=width)
    tab.fill("#llm-model", "a-model-with-a-very-long-name/that-does-not-break-anywhere:70b-instruct-q4_K_M")
    save(tab)
    tab.until_text("#downloads", "25 %")
    assert tab.run("return document.documentElement.scrollWidth") <= width
    wait_until(lambda: not tab.page.console, 1, str(tab.page.console))
