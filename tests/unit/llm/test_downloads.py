"""The download manager, with a provider that downloads as the test says: one download per model, whoever asks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from peersky.core.errors import BackendFailed, NotFound, NotSupported, QuotaExceeded
from peersky.llm.downloads import AT_ONCE, Download, DownloadManager
from peersky.llm.providers.base import PullProgress
from tests.fakes.scripted_provider import Log, ScriptedProvider

WAIT_S = 10


class Fetching:
    """One call of ``ensure`` that the test steers."""

    def __init__(self, model: str, report: Callable[[PullProgress], None]) -> None:
        self.model = model
        self.report = report
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.cancelled = asyncio.Event()
        self.let_go = asyncio.Event()
        self.let_go.set()

    def say(self, done: int, total: int = 1000, status: str = "Downloading", **more: Any) -> None:
        self.report(PullProgress(status, done, total, **more))


class Source(ScriptedProvider):
    """A provider whose downloads a test steers."""

    def __init__(self) -> None:
        super().__init__()
        self.fetches: list[Fetching] = []
        self.discarded: list[str] = []
        self.began = asyncio.Condition()

    async def ensure(self, model: str, report: Callable[[PullProgress], None]) -> None:
        fetching = Fetching(model, report)
        async with self.began:
            self.fetches.append(fetching)
            self.began.notify_all()
        try:
            await fetching.end
        except asyncio.CancelledError:
            fetching.cancelled.set()
            await fetching.let_go.wait()
            raise

    async def discard(self, model: str) -> None:
        self.discarded.append(model)

    def canonical_name(self, model: str) -> str:
        return model.strip().lower()

    async def fetch(self, number: int) -> Fetching:
        """The call with this number, once it is there."""
        async with asyncio.timeout(WAIT_S), self.began:
            await self.began.wait_for(lambda: len(self.fetches) > number)
        return self.fetches[number]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Lab:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.source = Source()
        self.log = Log()
        self.clock = Clock()
        self.seen: list[Download] = []
        self.manager = self.make()

    def make(self) -> DownloadManager:
        manager = DownloadManager({"builtin": self.source}, self.file, self.log, clock=self.clock)
        manager.subscribe(self.seen.append)
        return manager

    async def restart(self, *, killed: bool = False) -> None:
        if killed:
            # What is on the disk then is what was written at the last change of a state.
            kept = await asyncio.to_thread(self.file.read_bytes)
            await self.manager.close()
            await asyncio.to_thread(self.file.write_bytes, kept)
        else:
            await self.manager.close()
        self.manager = self.make()

    def state(self) -> list[tuple[str, str]]:
        return [(download.model, download.state) for download in self.manager.list()]

    async def settled(self, download: Download) -> Download:
        async with asyncio.timeout(WAIT_S):
            return await self.manager.wait(download.id)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    lab = Lab(tmp_path / "downloads.json")
    yield lab
    await lab.manager.close()


async def test_a_download_from_its_start_to_its_end(lab: Lab) -> None:
    download = lab.manager.start("builtin", " M ")
    assert (download.model, download.state, download.percent) == ("m", "queued", None)
    fetching = await lab.source.fetch(0)
    assert lab.state() == [("m", "running")]
    fetching.say(250, found_bytes=200)
    lab.clock.now += 2
    fetching.say(500, found_bytes=200)
    now = lab.manager.list()[0]
    assert (now.completed_bytes, now.total_bytes, now.percent) == (500, 1000, 50.0)
    assert (now.bytes_per_second, now.seconds_left) == (125, 4)
    fetching.say(1000, status="Checking", verifying=True)
    now = lab.manager.list()[0]
    assert (now.state, now.status, now.percent, now.seconds_left) == ("verifying", "Checking", 99.9, None)
    fetching.end.set_result(None)
    done = await lab.settled(download)
    assert (done.state, done.percent, done.completed_bytes) == ("done", 100.0, 1000)
    assert [state.state for state in lab.seen] == ["queued", "running", "verifying", "done"]
    assert lab.log.of("download-end")[0]["outcome"] == "done"
    assert json.dumps(done.as_object())
    assert not lab.file.exists()


async def test_who_asks_twice_gets_one_download(lab: Lab) -> None:
    first = lab.manager.start("builtin", "m")
    second = lab.manager.start("builtin", "M")
    assert first.id == second.id
    await lab.source.fetch(0)
    assert lab.manager.start("builtin", "m").id == first.id
    assert len(lab.source.fetches) == 1
    assert lab.manager.start("builtin", "other").id != first.id


async def test_the_percentage_never_goes_back(lab: Lab) -> None:
    lab.manager.start("builtin", "m")
    fetching = await lab.source.fetch(0)
    seen = []
    for done, total in ((100, 1000), (50, 1000), (600, 1000), (600, 2000), (0, 2000), (1900, 2000), (5000, 2000)):
        fetching.say(done, total)
        now = lab.manager.list()[0]
        seen.append((now.completed_bytes, now.percent))
    assert [percent for _, percent in seen] == [10.0, 10.0, 60.0, 60.0, 60.0, 95.0, 99.9]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


async def test_speed_is_that_of_the_last_seconds(lab: Lab) -> None:
    lab.manager.start("builtin", "m")
    fetching = await lab.source.fetch(0)
    fetching.say(0, 100_000)
    for second in range(20):
        lab.clock.now += 1
        fetching.say((second + 1) * (1000 if second < 10 else 100), 100_000)
        if second == 9:
            assert lab.manager.list()[0].bytes_per_second == 1000
    # It had to begin again, and is slower now.
    assert lab.manager.list()[0].bytes_per_second == 100


async def test_progress_is_told_five_times_a_second_at_most(lab: Lab) -> None:
    lab.manager.start("builtin", "m")
    fetching = await lab.source.fetch(0)
    before = len(lab.seen)
    told = asyncio.Event()
    lab.manager.subscribe(lambda download: told.set() if download.completed_bytes == 999 else None)
    for done in range(1000):
        fetching.say(done)
    assert len(lab.seen) == before
    async with asyncio.timeout(WAIT_S):
        await told.wait()
    assert len(lab.seen) == before + 1


async def test_pause_and_resume(lab: Lab) -> None:
    download = lab.manager.start("builtin", "m")
    fetching = await lab.source.fetch(0)
    fetching.say(400)
    fetching.let_go.clear()
    lab.manager.pause(download.id)
    assert (await lab.settled(download)).state == "paused"
    await asyncio.wait_for(fetching.cancelled.wait(), WAIT_S)
    fetching.say(500)  # its last words
    assert lab.manager.list()[0].completed_bytes == 400
    lab.manager.resume(download.id)
    lab.manager.pause(download.id)
    lab.manager.resume(download.id)
    assert lab.state() == [("m", "queued")]
    assert len(lab.source.fetches) == 1, "the one before has not let go of its files yet"
    fetching.let_go.set()
    again = await lab.source.fetch(1)
    again.say(400, found_bytes=400)
    assert lab.manager.list()[0].percent == 40.0
    again.end.set_result(None)
    assert (await lab.settled(download)).state == "done"
    assert lab.source.discarded == []
    assert len(lab.source.fetches) == 2


async def test_start_goes_on_with_what_is_paused(lab: Lab) -> None:
    download = lab.manager.start("builtin", "m")
    await lab.source.fetch(0)
    lab.manager.pause(download.id)
    assert lab.manager.start("builtin", "m").id == download.id
    await lab.source.fetch(1)
    assert lab.state() == [("m", "running")]


async def test_cancel_throws_away_what_arrived(lab: Lab) -> None:
    download = lab.manager.start("builtin", "m")
    fetching = await lab.source.fetch(0)
    fetching.let_go.clear()
    waiting = asyncio.ensure_future(lab.settled(download))
    await asyncio.sleep(0)
    lab.manager.cancel(download.id)
    assert (await waiting).state == "removed"
    assert lab.manager.list() == []
    assert lab.seen[-1].state == "removed"
    again = lab.manager.start("builtin", "m")
    assert again.id != download.id
    assert lab.source.discarded == []
    fetching.let_go.set()
    await lab.source.fetch(1)
    assert lab.source.discarded == ["m"], "before the next one begins"


async def test_cancel_what_is_paused(lab: Lab) -> None:
    download = lab.manager.start("builtin", "m")
    await lab.source.fetch(0)
    lab.manager.pause(download.id)
    lab.manager.cancel(download.id)
    lab.manager.start("builtin", "m")
    await lab.source.fetch(1)
    assert lab.source.discarded == ["m"]


@pytest.mark.parametrize(
    "error", [BackendFailed("It broke."), QuotaExceeded("It is full.", reason="disk_full"), NotSupported("No.")]
)
async def test_a_failure_has_its_sentence_and_can_be_tried_again(lab: Lab, error: Exception) -> None:
    download = lab.manager.start("builtin", "m")
    fetching = await lab.source.fetch(0)
    fetching.say(900)
    fetching.end.set_exception(error)
    failed = await lab.settled(download)
    assert (failed.state, failed.message) == ("failed", str(error))
    lab.manager.resume(download.id)
    again = await lab.source.fetch(1)
    assert lab.manager.list()[0].message == ""
    again.say(100)
    assert lab.manager.list()[0].percent == 10.0


async def test_a_fault_of_ours_is_no_silence(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    download = lab.manager.start("builtin", "m")
    (await lab.source.fetch(0)).end.set_exception(ValueError("inside"))
    failed = await lab.settled(download)
    assert failed.state == "failed"
    assert "fault in PeerSky" in failed.message
    assert "inside" not in failed.message
    await lab.manager.close()
    assert "inside" in caplog.text


async def test_more_than_two_wait_for_their_turn(lab: Lab) -> None:
    downloads = [lab.manager.start("builtin", f"m{number}") for number in range(AT_ONCE + 2)]
    await lab.source.fetch(AT_ONCE - 1)
    assert [state for _, state in lab.state()] == ["running"] * AT_ONCE + ["queued"] * 2
    lab.manager.pause(downloads[AT_ONCE].id)
    lab.source.fetches[0].end.set_result(None)
    assert (await lab.source.fetch(AT_ONCE)).model == f"m{AT_ONCE + 1}"
    assert lab.state()[AT_ONCE] == (f"m{AT_ONCE}", "paused")


@pytest.mark.fault("Browser quit or killed during a download")
@pytest.mark.parametrize("killed", [False, True])
async def test_what_a_quit_interrupted_is_offered_again(lab: Lab, killed: bool) -> None:
    running, paused, failing = (lab.manager.start("builtin", name) for name in ("running", "paused", "failing"))
    fetching = await lab.source.fetch(0)
    fetching.say(300)
    lab.manager.pause(paused.id)
    (await lab.source.fetch(2)).end.set_exception(BackendFailed("It broke."))
    await lab.settled(failing)
    await lab.manager.saved()
    await lab.restart(killed=killed)
    found = {download.model: download for download in lab.manager.list()}
    assert [(d.id, d.state, d.interrupted) for d in found.values()] == [
        (running.id, "paused", True),
        (paused.id, "paused", False),
        (failing.id, "failed", False),
    ]
    assert found["failing"].message == "It broke."
    if not killed:
        assert (found["running"].completed_bytes, found["running"].percent) == (300, 30.0)
    # Also when that start decided nothing.
    await lab.restart(killed=killed)
    assert {d.model: d.interrupted for d in lab.manager.list()} == {"running": True, "paused": False, "failing": False}
    lab.manager.resume(running.id)
    await lab.source.fetch(3)
    assert not lab.manager.list()[0].interrupted


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"downloads":5}', '{"downloads":[5]}', '{"downloads":[{"id":"a"}]}']
)
async def test_a_file_that_makes_no_sense_has_no_downloads(lab: Lab, content: str) -> None:
    lab.file.write_text(content)
    manager = lab.make()
    assert manager.list() == []
    await manager.close()


async def test_a_directory_that_cannot_be_written_costs_the_list_alone(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "none" / "downloads.json")
    download = lab.manager.start("builtin", "m")
    (await lab.source.fetch(0)).end.set_result(None)
    assert (await lab.settled(download)).state == "done"
    await lab.manager.close()


async def test_done_ones_stay_until_they_are_dismissed(lab: Lab) -> None:
    download = lab.manager.start("builtin", "m")
    fetching = await lab.source.fetch(0)
    lab.manager.dismiss(download.id)
    assert lab.state() == [("m", "running")], "a running one is not dismissed"
    fetching.end.set_result(None)
    await lab.settled(download)
    lab.manager.dismiss(download.id)
    assert lab.manager.list() == []
    assert lab.source.discarded == []
    for step in (lab.manager.pause, lab.manager.resume, lab.manager.cancel, lab.manager.dismiss):
        with pytest.raises(NotFound):
            step(download.id)


async def test_a_done_one_may_be_downloaded_again(lab: Lab) -> None:
    download = lab.manager.start("builtin", "m")
    (await lab.source.fetch(0)).end.set_result(None)
    await lab.settled(download)
    again = lab.manager.start("builtin", "m")
    assert again.id != download.id
    assert len(lab.manager.list()) == 1


async def test_a_listener_that_fails_disturbs_nobody(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    def fail(download: Download) -> None:
        raise ValueError("a bad listener")

    end = lab.manager.subscribe(fail)
    download = lab.manager.start("builtin", "m")
    (await lab.source.fetch(0)).end.set_result(None)
    assert (await lab.settled(download)).state == "done"
    assert "a bad listener" in caplog.text
    end()
    end()


async def test_a_provider_that_is_not_there(lab: Lab) -> None:
    with pytest.raises(NotSupported) as caught:
        lab.manager.start("openai", "m")
    assert caught.value.reason == "provider_missing"
    await lab.manager.close()
    await lab.manager.close()
    with pytest.raises(NotSupported):
        lab.manager.start("builtin", "m")
