"""The log: bounded, readable line by line, and without secrets and prompts."""

from __future__ import annotations

import json
import logging
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from peersky.system import logbook as module
from peersky.system.logbook import Logbook, LogbookHandler


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_an_event_is_one_line_of_json(file: Path) -> None:
    logbook = Logbook(file)
    logbook.record("engine.started", pid=5, text="two\nlines – ü")
    (entry,) = lines(file)
    assert entry["kind"] == "engine.started"
    assert entry["pid"] == 5
    assert entry["text"] == "two\nlines – ü"
    assert entry["at"].endswith("+00:00")
    assert logbook.recent() == [entry]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_secrets_never_get_in(file: Path) -> None:
    logbook = Logbook(file, lambda: ["sk-or-123456"])
    logbook.record("x", text="Bearer sk-or-123456", deep={"a": ["sk-or-123456!"]}, error=ValueError("sk-or-123456"))
    assert "sk-or" not in file.read_text()
    assert "sk-or" not in json.dumps(logbook.recent())
    assert lines(file)[0]["text"] == "Bearer (secret)"


@pytest.mark.parametrize("name", ["prompt", "messages", "content", "apiKey", "api_key", "Authorization", "token"])
def test_fields_of_such_names_are_withheld(file: Path, name: str) -> None:
    Logbook(file).record("x", request={name: "the user's own words"})
    assert "own words" not in file.read_text()


def test_the_log_is_bounded_on_disk(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 10_000)
    logbook = Logbook(file)
    for number in range(1000):
        logbook.record("x", number=number, text="y" * 50)
    older = file.with_name("log.jsonl.1")
    assert file.stat().st_size <= 10_000
    assert older.stat().st_size <= 10_000
    numbers = [entry["number"] for entry in lines(older) + lines(file)]
    assert numbers == list(range(numbers[0], 1000))
    assert sorted(entry.name for entry in file.parent.iterdir()) == ["log.jsonl", "log.jsonl.1"]


def test_the_log_is_bounded_in_memory() -> None:
    logbook = Logbook(None)
    for number in range(module.RECENT + 10):
        logbook.record("x", number=number)
    assert len(logbook.recent(10**6)) == module.RECENT
    assert [entry["number"] for entry in logbook.recent(2)] == [module.RECENT + 8, module.RECENT + 9]
    assert logbook.recent(0) == []


def test_a_long_text_is_cut(file: Path) -> None:
    Logbook(file).record("x", text="y" * 100_000)
    assert file.stat().st_size < 3000


def test_subscribers_see_each_event_until_they_leave() -> None:
    logbook = Logbook(None)
    seen: list[str] = []

    def fail(entry: dict[str, Any]) -> None:
        raise RuntimeError("a listener of another part")

    logbook.subscribe(fail)
    leave = logbook.subscribe(lambda entry: seen.append(entry["kind"]))
    logbook.record("a")
    leave()
    leave()
    logbook.record("b")
    assert seen == ["a"]


def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    logbook = Logbook(tmp_path / "missing" / "log.jsonl")
    logbook.record("x")
    assert [entry["kind"] for entry in logbook.recent()] == ["x"]


def test_threads_lose_no_line(file: Path) -> None:
    logbook = Logbook(file)

    def work(name: int) -> None:
        for number in range(100):
            logbook.record("x", name=name, number=number)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({(entry["name"], entry["number"]) for entry in lines(file)}) == 400


def test_what_modules_log_gets_in_with_its_place(file: Path) -> None:
    logbook = Logbook(file, lambda: ["sk-or-123456"])
    logger, handler = logging.getLogger("some.module"), LogbookHandler(logbook)
    logger.addHandler(handler)
    logger.info("too small")
    try:
        raise ValueError("the key sk-or-123456")
    except ValueError:
        logger.exception("It failed for %s", "x")
    finally:
        logger.removeHandler(handler)
    (entry,) = lines(file)
    assert entry["kind"] == "log.error"
    assert entry["text"] == "It failed for x"
    assert entry["error"] == "ValueError: the key (secret)"
    assert "test_logbook.py" in entry["where"][0]


def test_clearing_forgets_memory_and_files(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    logbook = Logbook(file)
    file.with_name("log.jsonl.1").write_text("{}")
    logbook.record("something", note="hello")
    logbook.clear()
    assert logbook.recent() == []
    assert list(tmp_path.iterdir()) == []
    logbook.record("next")
    assert [entry["kind"] for entry in logbook.recent()] == ["next"]
    assert file.read_text().count("\n") == 1
