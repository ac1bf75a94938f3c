"""The downloads of models, whoever asked for them: one per model, with its progress, to be paused and gone on with.

Runs on the service loop. What is not finished when PeerSky ends, however it ends, is offered again at the next start.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from peersky.core.errors import NotFound, NotSupported, PeerSkyError
from peersky.llm.download import ACTIVE, Download, DownloadState, Job, load_jobs
from peersky.llm.providers.base import Provider, PullProgress
from peersky.system.files import write_atomically
from peersky.system.tasks import TaskOwner

__all__ = ["Download", "DownloadManager"]

_log = logging.getLogger(__name__)

AT_ONCE: Final = 2
"""Downloads that run at the same time; the others are queued."""

NOTIFY_EVERY_S: Final = 0.2
KEPT_DONE: Final = 20

_Kept = list[dict[str, Any]]


class DownloadManager:
    """Starts, shows and ends downloads.

    Args:
        providers: who can fetch, by kind.
        state_file: where unfinished downloads are kept.
        log: the logbook's ``record``.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        state_file: Path,
        log: Callable[..., None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._providers = dict(providers)
        self._state_file = state_file
        self._log = log
        self._clock = clock
        self._tasks = TaskOwner("downloads")
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._subscribers: list[Callable[[Download], None]] = []
        self._ending: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._unsaved = False
        self._saver: asyncio.Task[None] | None = None
        self._closed = False
        self._jobs = {job.id: job for job in load_jobs(state_file)}

    def start(self, kind: str, model: str) -> Download:
        """Download a model; where that runs or is paused already, it is that download, which goes on.

        Raises:
            NotSupported: ``provider_missing``: there is no such provider.
        """
        provider = self._providers.get(kind)
        if provider is None or self._closed:
            raise NotSupported(f"There is no provider {kind} that could download {model}.", reason="provider_missing")
        model = provider.canonical_name(model)
        job = next((job for job in self._jobs.values() if (job.provider, job.model) == (kind, model)), None)
        if job is not None and job.state == "done":
            self._forget(job)  # It may have been removed since; this is another download.
            job = None
        if job is None:
            job = Job(secrets.token_urlsafe(9), kind, model)
            self._jobs[job.id] = job
            self._begin(job)
        elif job.state not in ACTIVE:
            self._begin(job)
        return job.seen()

    def pause(self, download_id: str) -> None:
        """Stop for now; what arrived is kept. Nothing happens to what does not run.

        Raises:
            NotFound: there is no such download.
        """
        job = self._job(download_id)
        if job.state in ACTIVE:
            if job.task is not None:
                job.task.cancel()
            self._settle(job, "paused", "Paused")

    def resume(self, download_id: str) -> None:
        """Go on with what is paused, or try again what failed.

        Raises:
            NotFound: there is no such download.
        """
        job = self._job(download_id)
        if job.state in ("paused", "failed"):
            if job.provider not in self._providers:
                raise NotSupported(f"There is no provider {job.provider} any more.", reason="provider_missing")
            self._begin(job)

    def cancel(self, download_id: str) -> None:
        """Give up, and throw away what arrived. A finished download is only taken from the list.

        Raises:
            NotFound: there is no such download.
        """
        job = self._job(download_id)
        if job.state != "done":
            if job.task is not None:
                job.task.cancel()
            key = (job.provider, job.model)
            self._ending[key] = self._tasks.start(self._clear_up(job), "clear up")
        self._forget(job)

    def dismiss(self, download_id: str) -> None:
        """Take a download that does not run from the list; what arrived is kept. A running one stays.

        Raises:
            NotFound: there is no such download.
        """
        job = self._job(download_id)
        if job.state not in ACTIVE:
            self._forget(job)

    def list(self) -> list[Download]:
        """All downloads, the oldest first."""
        return [job.seen() for job in self._jobs.values()]

    async def wait(self, download_id: str) -> Download:
        """Wait until a download is done, failed, paused or removed.

        Raises:
            NotFound: there is no such download.
        """
        job = self._job(download_id)
        await job.settled.wait()
        return job.seen()

    def subscribe(self, callback: Callable[[Download], None]) -> Callable[[], None]:
        """Call ``callback`` on the service loop at every change of a download.

        A change of state is told at once, progress five times a second at most.

        Returns:
            A function that ends the subscription.
        """
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback) if callback in self._subscribers else None

    async def saved(self) -> None:
        """Wait until the last change of a state is on the disk."""
        if self._saver is not None:
            await asyncio.wait({self._saver})

    async def close(self) -> None:
        """Stop what runs, keeping what arrived: the next start offers to go on. Safe to call twice."""
        if not self._closed:
            self._closed = True
            for job in self._jobs.values():
                if job.timer is not None:
                    job.timer.cancel()
            await self.saved()
            # As they are: what runs now is what was interrupted.
            await asyncio.to_thread(self._write, self._kept())
            ending = list(self._ending.values())
            for job in self._jobs.values():
                if job.task is not None:
                    job.task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
        await self._tasks.close()

    # One download

    def _begin(self, job: Job) -> None:
        before = job.task
        job.begin()
        job.task = self._tasks.start(self._run(job, before), job.model)
        self._changed(job)

    async def _run(self, job: Job, before: asyncio.Task[None] | None) -> None:
        for other in (before, self._ending.get((job.provider, job.model))):
            if other is not None:
                await asyncio.wait({other})
        async with self._slots:
            job.started_s = self._clock()
            self._log("download-start", provider=job.provider, model=job.model)
            outcome = "paused"
            try:
                job.state, job.status = "running", "Starting"
                self._changed(job)
                await self._providers[job.provider].ensure(job.model, lambda progress: self._progressed(job, progress))
                outcome = "done"
            except PeerSkyError as error:
                outcome, job.message = error.reason, error.message
                self._settle(job, "failed", "Failed")
            except Exception:
                outcome = "internal_error"
                job.message = "The download failed because of a fault in PeerSky; what it was stands in the log."
                self._settle(job, "failed", "Failed")
                raise
            else:
                job.completed = job.total
                job.percent = 100.0
                self._settle(job, "done", job.ended)
            finally:
                self._log(
                    "download-end",
                    provider=job.provider,
                    model=job.model,
                    outcome=outcome,
                    bytes=job.completed,
                    total_bytes=job.total,
                    duration_ms=round((self._clock() - job.started_s) * 1000),
                )

    def _progressed(self, job: Job, progress: PullProgress) -> None:
        if job.state not in ACTIVE:  # The last words of a task that is being cancelled.
            return
        if job.take(progress, self._clock()):
            self._changed(job)
        elif job.timer is None:
            wait_s = job.notified_s + NOTIFY_EVERY_S - asyncio.get_running_loop().time()
            job.timer = asyncio.get_running_loop().call_later(max(0.0, wait_s), self._notify, job)

    def _settle(self, job: Job, state: DownloadState, status: str) -> None:
        job.state, job.status = state, status
        self._changed(job)
        job.settled.set()
        done = [other for other in self._jobs.values() if other.state == "done"]
        for other in done[:-KEPT_DONE]:
            self._forget(other)

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        job.state = "removed"
        self._changed(job)
        job.settled.set()

    async def _clear_up(self, job: Job) -> None:
        """Throw away what a cancelled download left, once its task has let go of it."""
        try:
            if job.task is not None:
                await asyncio.wait({job.task})
            provider = self._providers.get(job.provider)
            if provider is not None:
                await provider.discard(job.model)
        except PeerSkyError as error:
            _log.warning("What is left of the download of %s could not be removed: %s", job.model, error.message)
        finally:
            self._ending.pop((job.provider, job.model), None)

    def _job(self, download_id: str) -> Job:
        job = self._jobs.get(download_id)
        if job is None:
            raise NotFound("There is no such download; it may have been removed from the list.")
        return job

    # Telling others

    def _changed(self, job: Job) -> None:
        """The state of a download changed: told at once, and kept."""
        self._notify(job)
        if self._closed:
            return
        self._unsaved = True
        if self._saver is None or self._saver.done():
            self._saver = self._tasks.start(self._save(), "save")

    def _notify(self, job: Job) -> None:
        if job.timer is not None:
            job.timer.cancel()
            job.timer = None
        job.notified_s = asyncio.get_running_loop().time()
        seen = job.seen()
        for callback in list(self._subscribers):
            try:
                callback(seen)
            except Exception:  # noqa: BLE001  # whatever it is, it must not end the download
                _log.exception("A listener to downloads failed.")

    # The file

    async def _save(self) -> None:
        while self._unsaved:
            self._unsaved = False
            await asyncio.to_thread(self._write, self._kept())

    def _kept(self) -> _Kept:
        return [job.kept() for job in self._jobs.values() if job.state != "done"]

    def _write(self, kept: _Kept) -> None:
        try:
            if kept:
                write_atomically(self._state_file, json.dumps({"downloads": kept}, indent=2).encode() + b"\n")
            else:
                self._state_file.unlink(missing_ok=True)
        except (PeerSkyError, OSError) as error:  # A full disk stops downloads anyway.
            _log.warning("The list of downloads could not be saved: %s", error)
