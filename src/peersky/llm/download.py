"""One download: what others see of it, and what its manager knows."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from peersky.llm.providers.base import PullProgress

SPEED_WINDOW_S: Final = 5.0
MAX_KEPT_FILE_BYTES: Final = 1024 * 1024

DOWNLOADED: Final = "Downloaded"
"""The status of what is done, where there was something to do."""

DownloadState = Literal["queued", "running", "verifying", "paused", "done", "failed", "removed"]
ACTIVE: Final = frozenset({"queued", "running", "verifying"})


@dataclass(frozen=True, slots=True)
class Download:
    """A download as it is at one moment.

    Attributes:
        id: stays the same over pauses and restarts.
        provider, model: who fetches what.
        state: ``removed`` only in the last notification.
        status: a few words for people on what happens now.
        completed_bytes, total_bytes: over all files; ``total_bytes`` 0 while unknown. Neither these nor the percentage
            go back within a download.
        percent: 0 to 100; None while unknown.
        bytes_per_second: over the last seconds; 0 where nothing comes.
        seconds_left: None where it cannot be said.
        message: the sentence of a failure.
        interrupted: paused because PeerSky ended, not because somebody wanted it.
    """

    id: str
    provider: str
    model: str
    state: DownloadState
    status: str = ""
    completed_bytes: int = 0
    total_bytes: int = 0
    percent: float | None = None
    bytes_per_second: int = 0
    seconds_left: int | None = None
    message: str = ""
    interrupted: bool = False

    @property
    def is_active(self) -> bool:
        """It runs, or waits for its turn."""
        return self.state in ACTIVE

    def as_object(self) -> dict[str, Any]:
        """For pages and for the private socket."""
        return {
            "id": self.id,
            "provider": self.provider,
            "model": self.model,
            "state": self.state,
            "status": self.status,
            "completedBytes": self.completed_bytes,
            "totalBytes": self.total_bytes,
            "percent": self.percent,
            "bytesPerSecond": self.bytes_per_second,
            "secondsLeft": self.seconds_left,
            "message": self.message,
            "interrupted": self.interrupted,
        }


@dataclass(slots=True, eq=False)
class Job:
    """A download and what keeps it going."""

    id: str
    provider: str
    model: str
    state: DownloadState = "queued"
    status: str = ""
    completed: int = 0
    total: int = 0
    percent: float | None = None
    message: str = ""
    interrupted: bool = False
    ended: str = DOWNLOADED
    task: asyncio.Task[None] | None = None
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    samples: deque[tuple[float, int]] = field(default_factory=deque)
    started_s: float = 0.0
    notified_s: float = float("-inf")
    timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """From here on it waits for its turn."""
        if self.state == "failed":
            # What failed may have been thrown away; and this is another try, seen as one.
            self.completed, self.percent = 0, None
        self.state, self.status, self.message, self.interrupted = "queued", "Waiting for its turn", "", False
        self.ended = DOWNLOADED
        self.samples.clear()
        self.settled.clear()

    def take(self, progress: PullProgress, now_s: float) -> bool:
        """Note a progress; whether the state changed by it."""
        before = self.state
        self.state = "verifying" if progress.verifying else "running"
        self.status = progress.status
        if progress.nothing_to_do:
            self.ended = progress.status
        self.total = progress.total_bytes or self.total
        self.completed = max(self.completed, min(progress.completed_bytes, self.total or progress.completed_bytes))
        if self.total:
            # The last of it is the check and the manifest, so 100 is kept for what is done.
            self.percent = max(self.percent or 0.0, min(99.9, round(100 * self.completed / self.total, 1)))
        fetched = progress.completed_bytes - progress.found_bytes
        if self.samples and fetched < self.samples[-1][1]:
            self.samples.clear()
        self.samples.append((now_s, fetched))
        while len(self.samples) > 2 and self.samples[1][0] <= now_s - SPEED_WINDOW_S:
            self.samples.popleft()
        return self.state != before

    def speed(self) -> int:
        """Bytes per second over the last seconds."""
        if self.state != "running" or len(self.samples) < 2:
            return 0
        (first_s, first), (last_s, last) = self.samples[0], self.samples[-1]
        return round((last - first) / (last_s - first_s)) if last_s > first_s else 0

    def seen(self) -> Download:
        speed = self.speed()
        left = self.total - self.completed
        return Download(
            self.id,
            self.provider,
            self.model,
            self.state,
            self.status,
            self.completed,
            self.total,
            self.percent,
            speed,
            max(1, round(left / speed)) if speed and self.total and left else None,
            self.message,
            self.interrupted,
        )

    def kept(self) -> dict[str, Any]:
        """What the next start has to know."""
        return {
            "id": self.id,
            "provider": self.provider,
            "model": self.model,
            # What was interrupted stays so until somebody decides: it is offered at each start.
            "state": "running" if self.interrupted else self.state,
            "completedBytes": self.completed,
            "totalBytes": self.total,
            "message": self.message,
        }


def load_jobs(state_file: Path) -> list[Job]:
    """The unfinished downloads of an earlier time; a file that makes no sense has none."""
    jobs = []
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        if state_file.stat().st_size > MAX_KEPT_FILE_BYTES:
            return []
        for entry in json.loads(state_file.read_bytes())["downloads"]:
            job = Job(str(entry["id"]), str(entry["provider"]), str(entry["model"]))
            job.completed, job.total = int(entry["completedBytes"]), int(entry["totalBytes"])
            job.percent = min(99.9, round(100 * job.completed / job.total, 1)) if job.total > 0 else None
            if entry["state"] == "failed":
                job.state, job.status, job.message = "failed", "Failed", str(entry["message"])
            else:
                job.interrupted = entry["state"] != "paused"
                job.state = "paused"
                job.status = "Interrupted when PeerSky ended" if job.interrupted else "Paused"
            job.settled.set()
            jobs.append(job)
    return jobs
