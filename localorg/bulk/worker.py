"""The Bulk jobs of an org, and the task that works them off."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from time import perf_counter
from typing import TYPE_CHECKING

from localorg import errors
from localorg.bulk.job import FINISHED, Job, Order, State
from localorg.bulk.operations import Operations
from localorg.bulk.table import Results, Unreadable, Upload, keep_unprocessed
from localorg.ids import normalise

if TYPE_CHECKING:
    from localorg.org import Org

log = logging.getLogger("localorg.bulk")

# Bulk API 2.0 guide, "Limits": rows in a transaction, and in an internal batch.
TRANSACTION = 200
BATCH = 10_000
_PREFIX = "750"


class Jobs:
    """The Bulk jobs of one org, oldest first; used on the event loop. They live as long as the process does."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._jobs: dict[str, Job] = {}
        self._waiting: asyncio.Queue[Job] = asyncio.Queue()
        self._folder: Path | None = None  # made for the first job

    def create(self, order: Order, version: float) -> Job:
        """Opens a new job."""
        job_id = self._org.ids.next(_PREFIX)
        if self._folder is None:
            self._folder = Path(mkdtemp(prefix="localorg-bulk-"))
        (folder := self._folder / job_id).mkdir()
        job = Job(
            id=job_id,
            sobject=order.sobject,
            operation=order.operation,
            external_id=order.external_id,
            delimiter=order.delimiter,
            line_ending=order.line_ending,
            version=version,
            created_by=self._org.user.id,
            created=self._org.clock(),
            folder=folder,
            assignment_rule=order.assignment_rule,
        )
        self._jobs[job_id] = job
        return job

    def get(self, job_id: str) -> Job:
        """The job with this id, of 15 or 18 characters; raises OrgError 404."""
        job = self._jobs.get(normalise(job_id) or "")
        if job is None:
            raise errors.not_found()
        return job

    def objects_of(self, job_id: str) -> set[str]:
        """The name of the job's object; nothing for an unknown job."""
        job = self._jobs.get(normalise(job_id) or "")
        return {job.sobject.name} if job else set()

    def since(self, job_id: str) -> Iterator[Job]:
        """The jobs from this id on; ids ascend."""
        return (job for job in self._jobs.values() if job.id >= job_id)

    def finish_upload(self, job: Job) -> None:
        """The upload is complete: the job waits for its turn."""
        job.move(State.UPLOAD_COMPLETE, self._org.clock())
        self._waiting.put_nowait(job)

    async def abort(self, job: Job) -> None:
        """Ends a job where it is; what is written stays written."""
        begun = job.state is State.IN_PROGRESS
        job.move(State.ABORTED, self._org.clock())
        if begun:
            # The task completes the files when it comes back to the job.
            await job.closed.wait()
        else:
            keep_unprocessed(job, None)

    def delete(self, job: Job) -> None:
        """Forgets a job and its files; one that waits for its turn is not worked off any more."""
        del self._jobs[job.id]
        if job.state not in FINISHED:
            job.move(State.ABORTED, self._org.clock())
        shutil.rmtree(job.folder, ignore_errors=True)

    def close(self) -> None:
        """Removes all files."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    # --- working off ----------------------------------------------------------------------------------------------

    async def work(self) -> None:
        """Works off one job after the other, for ever."""
        while True:
            job = await self._waiting.get()
            try:
                await self._work_off(job)
            except Exception:
                log.exception("job %s ended by an error of the local org", job.id)

    async def _work_off(self, job: Job) -> None:
        """Takes one job from UploadComplete to its end, a transaction at a time, so that requests run in between."""
        begun = asyncio.get_running_loop().time()
        await self._take_time(job, begun)
        if job.state is not State.UPLOAD_COMPLETE:
            return
        job.move(State.IN_PROGRESS, self._org.clock())
        error: str | None = "Unknown : The local org met an error of its own; its log tells more"
        run: Run | None = None
        try:
            run = await self._org.run(Run, self._org, job)
            await self._each_transaction(job, run, begun)
            error = None
        except Unreadable as unreadable:
            error = str(unreadable)
        finally:
            await self._end(job, run, error)

    async def _each_transaction(self, job: Job, run: Run, begun: float) -> None:
        while job.state is State.IN_PROGRESS and await self._org.run(run.step):
            self._org.stats.wrote({job.sobject.name: run.written})
            await self._take_time(job, begun)

    async def _end(self, job: Job, run: Run | None, error: str | None) -> None:
        """Completes the files of a job, then lets it enter its last state, unless it was aborted on the way."""
        if run is not None:
            await asyncio.to_thread(run.close)
        else:
            keep_unprocessed(job, None)
        if job.state is State.IN_PROGRESS:
            job.move(State.FAILED if error else State.JOB_COMPLETE, self._org.clock(), error)
        job.closed.set()

    async def _take_time(self, job: Job, begun: float) -> None:
        """Waits until as much time has passed as the cost profile says the job has taken so far."""
        due = begun + self._org.costs.profile.bulk_delay(job.processed)
        wait = due - asyncio.get_running_loop().time()
        if wait > 0:
            await asyncio.sleep(wait)


class Run:
    """One job being worked off; used in the database thread, but for its end."""

    def __init__(self, org: Org, job: Job) -> None:
        """Opens the files; raises Unreadable when the upload cannot be worked off at all."""
        self._job = job
        self._upload = Upload(job)
        columns = self._upload.columns
        try:
            self._operations = Operations(org, job, columns)
        except Unreadable:
            self._upload.close()
            raise
        self._successful = Results(job.successful, job, ["sf__Id", "sf__Created", *columns])
        self._failed = Results(job.failures, job, ["sf__Id", "sf__Error", *columns])
        self._in_batch = 0
        self.written = 0

    def step(self) -> bool:
        """Works off the next transaction; False when there is none. Raises Unreadable."""
        began = perf_counter()
        rows = self._upload.take(TRANSACTION)
        if not rows:
            return False
        outcome = self._operations.work(rows)
        self._successful.add(outcome.successful)
        self._failed.add(outcome.failed)
        self.written = len(outcome.successful)
        self._count(len(rows), len(outcome.failed))
        self._job.active += perf_counter() - began
        return True

    def _count(self, rows: int, failed: int) -> None:
        self._job.processed += rows
        self._job.failed += failed
        self._in_batch += rows
        if self._in_batch >= BATCH:
            self._in_batch = 0
            self.finish()

    def finish(self) -> None:
        """Writes the results that wait for the end of their internal batch."""
        self._successful.flush()
        self._failed.flush()

    def close(self) -> None:
        """Completes and closes the files; the rows not tried are kept."""
        self.finish()
        keep_unprocessed(self._job, self._upload)
        for file in (self._successful, self._failed, self._upload):
            file.close()
