"""Test connection, in words, for each way in which a server over real HTTP can be the wrong one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from peersky.llm.connections import Candidate, Connections
from peersky.llm.providers.ollama import OllamaProvider
from peersky.llm.providers.openai_compat import OpenAIProvider
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from tests.fakes.http_server import Refuse
from tests.fakes.ollama_server import OllamaServer
from tests.fakes.openai_server import OpenAIServer
from tests.fakes.scripted_provider import ScriptedProvider

KEY, ADDRESS = "llm.apiKey", "llm.baseURL"


def said(message: str) -> dict[str, Any]:
    return {"error": {"message": message}}


@pytest.fixture
def connections(tmp_path: Path) -> Connections:
    settings = SettingsStore(tmp_path / "settings.json", SecretStore(tmp_path / "secrets.json"))

    def log(kind: str, **fields: Any) -> None:
        """Nobody reads it."""

    async def pause(seconds: float) -> None:
        """A second try need not wait here; but nobody is to wait for long before it."""
        assert seconds < 2

    return Connections(
        settings,
        ScriptedProvider(),
        {
            "ollama": lambda endpoint: OllamaProvider(settings, log, endpoint=endpoint),
            "openai": lambda endpoint: OpenAIProvider(settings, log, endpoint=endpoint, pause=pause),
        },
    )


@pytest.fixture
def service() -> Iterator[OpenAIServer]:
    with OpenAIServer(["a", "b"], key="sk-1") as server:
        yield server


@pytest.mark.parametrize(
    ("path", "key", "at_fault", "sentence"),
    [
        ("/v1", "sk-1", "", "answers and has 2 models. It accepts the API key."),
        ("", "sk-1", "", "answers and has 2 models."),
        ("/v1/chat/completions", "sk-1", "", "answers and has 2 models."),
        ("/v1", "sk-2", KEY, "reports: Incorrect API key provided: (your key). Check the API key in"),
        ("/v1", "", KEY, "wants an API key; enter it in"),
        ("/elsewhere", "sk-1", ADDRESS, "There is no OpenAI-compatible API at http://127.0.0.1:"),
    ],
)
async def test_address_and_key(
    connections: Connections, service: OpenAIServer, path: str, key: str, at_fault: str, sentence: str
) -> None:
    report = await connections.test(Candidate("openai", service.url + path, key))
    assert (report["ok"], report.get("param", "")) == (not at_fault, at_fault)
    assert sentence in " ".join(report["sentences"])


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (Refuse(402, said("Insufficient credits")), "reports: Insufficient credits. Add credit to your account,"),
        (Refuse(403, said("Not in your country.")), "reports: Not in your country."),
        (Refuse(408, said("timeout")), "reports: timeout. Ask again in a moment."),
        (Refuse(429, said("Too fast"), {"Retry-After": "20"}), "reports: Too fast. Ask again in 20 seconds."),
        (Refuse(500, said("boom")), "reports: boom."),
        (Refuse(503, "<html>down</html>"), "failed (status 503)."),
        (Refuse(200, "<html>log in</html>"), "There is no OpenAI-compatible API at"),
        (Refuse(200, said("inside")), "reports: inside."),
        (Refuse(302, "", {"Location": "https://evil.example/"}), "enter the final address as the base URL"),
    ],
)
async def test_a_service_in_trouble(
    connections: Connections, service: OpenAIServer, reply: Refuse, sentence: str
) -> None:
    service.list_reply = reply
    report = await connections.test(Candidate("openai", f"{service.url}/v1", "sk-1"))
    assert not report["ok"]
    assert sentence in " ".join(report["sentences"])


async def test_a_limit_is_told_at_once_with_the_time_until_it_is_free(
    connections: Connections, service: OpenAIServer
) -> None:
    service.list_reply = Refuse(429, said("Too fast"), {"Retry-After": "20"})
    report = await connections.test(Candidate("openai", f"{service.url}/v1", "sk-1"))
    assert (report["ok"], report["reached"], report["param"]) == (False, True, "")
    assert report["sentences"][-1].endswith("Too fast. Ask again in 20 seconds.")
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("kind", "url", "sentence"),
    [
        ("openai", "http://127.0.0.1:9/v1", "cannot be reached at http://127.0.0.1:9/v1; check the base URL"),
        ("ollama", "http://127.0.0.1:9", "Ollama cannot be reached at http://127.0.0.1:9; start it"),
        ("openai", "http://service.example/v1", "is not encrypted, so others could read your questions"),
    ],
)
async def test_nobody_is_there(connections: Connections, kind: str, url: str, sentence: str) -> None:
    report = await connections.test(Candidate(kind, url, "sk-1"))
    assert (report["ok"], report["reached"], report["param"]) == (False, False, ADDRESS)
    assert sentence in " ".join(report["sentences"])


@pytest.mark.parametrize(
    ("everything", "sentence"),
    [
        (None, "Ollama at http://127.0.0.1:"),
        (Refuse(403, ""), "Ollama refuses requests at this address."),
        (Refuse(404, said("Invalid URL")), "What answers at the base URL is no Ollama"),
        (Refuse(500, {"error": "boom"}), "Ollama reports: boom."),
        (Refuse(200, "<html>a router</html>"), "with what is no JSON; check the base URL"),
    ],
)
async def test_an_ollama_or_what_is_taken_for_one(
    connections: Connections, everything: Refuse | None, sentence: str
) -> None:
    with OllamaServer(["m:1"]) as server:
        server.everything = everything
        report = await connections.test(Candidate("ollama", server.url, ""))
    assert report["ok"] == (everything is None)
    assert sentence in " ".join(report["sentences"])
