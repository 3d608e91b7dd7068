"""The Bulk jobs of an org, and the task that processes them."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from time import perf_counter
from typing import Any, TypeVar

from localorg import errors
from localorg.bulk.job import FINISHED, AnyJob, Job, Order, State
from localorg.bulk.operations import Answer, Operations, Unreadable, invalid_row, said
from localorg.bulk.query import QueryJob, QueryOrder, QueryRun
from localorg.bulk.rows import Broken, Row, Taken
from localorg.bulk.store import Store, note_progress
from localorg.bulk.table import Results, Upload, keep_rest, keep_unprocessed
from localorg.errors import OrgError
from localorg.ids import normalise
from localorg.org import Org

log = logging.getLogger("localorg.bulk")

# Bulk API 2.0 guide, "Limits": rows in a transaction, and in an internal batch.
TRANSACTION = 200
BATCH = 10_000
_PREFIX = "750"
INTERRUPTED = "InternalServerError : The org was stopped while it worked on the job"
OWN_ERROR = "Unknown : The local org met an error of its own; its log tells more"

J = TypeVar("J", bound=AnyJob)


class BulkJobs:
    """The Bulk jobs of one org, oldest first; they are used on the event loop.

    Their files are in a folder beside the database of the org. Like the database, they are kept after the process ends.
    The jobs of an org in memory end with it.
    """

    def __init__(self, org: Org) -> None:
        self._org = org
        self._store = Store(org.connection)
        self._jobs: dict[str, AnyJob] = {}
        self._waiting: asyncio.Queue[Job] = asyncio.Queue()
        self._asked: asyncio.Queue[QueryJob] = asyncio.Queue()
        path = org.connection.execute("PRAGMA database_list").fetchone()[2]
        self._lasting = Path(f"{path}-bulk") if path else None
        self._folder = self._lasting  # for an org in memory: made for the first job

    async def load(self) -> None:
        """Load the jobs of an earlier run; ingest jobs that were in progress are ended, queries begin again."""
        if self._lasting is None:
            return
        await self._org.run(self._load, self._lasting)
        for job in self._jobs.values():
            if job.state is State.UPLOAD_COMPLETE:
                self._queue(job)

    def _load(self, folder: Path) -> None:
        self._jobs = {job.id: job for job in self._store.jobs(self._org, folder)}
        for there in folder.iterdir() if folder.is_dir() else ():
            if there.name not in self._jobs:
                shutil.rmtree(there, ignore_errors=True)
        for job in self._jobs.values():
            if job.state is State.IN_PROGRESS:
                self._interrupted(job)
                self._store.save(job)

    def _interrupted(self, job: AnyJob) -> None:
        """End or restart a job that was interrupted when an earlier run ended."""
        if isinstance(job, Job):
            keep_rest(job)
            job.move(State.FAILED, self._org.clock(), INTERRUPTED)
        else:
            job.processed = 0
            job.move(State.UPLOAD_COMPLETE, self._org.clock())

    async def create(self, order: Order, version: float) -> Job:
        """Open a new ingest job."""
        job = Job(
            **await self._common(version),
            sobject=order.sobject,
            delimiter=order.delimiter,
            line_ending=order.line_ending,
            operation=order.operation,
            external_id=order.external_id,
            assignment_rule=order.assignment_rule,
        )
        await self._keep(job)
        return job

    async def create_query(self, order: QueryOrder, version: float) -> QueryJob:
        """Create a new query job, which waits for its turn."""
        job = QueryJob(
            **await self._common(version),
            sobject=order.sobject,
            delimiter=order.delimiter,
            line_ending=order.line_ending,
            query=order.query,
            deleted=order.deleted,
        )
        job.move(State.UPLOAD_COMPLETE, job.created)
        await self._keep(job)
        self._queue(job)
        return job

    async def _common(self, version: float) -> dict[str, Any]:
        """Return the fields that every new job begins with, and make its folder."""
        job_id = await self._org.run(self._org.ids.next, _PREFIX)
        if self._folder is None:
            self._folder = Path(mkdtemp(prefix="localorg-bulk-"))
        (folder := self._folder / job_id).mkdir(parents=True)
        user, now = self._org.caller, self._org.clock()
        return {"id": job_id, "version": version, "user": user, "created": now, "folder": folder}

    async def _keep(self, job: AnyJob) -> None:
        self._jobs[job.id] = job
        await self._org.run(self._store.save, job)

    def _queue(self, job: AnyJob) -> None:
        if isinstance(job, QueryJob):
            self._asked.put_nowait(job)
        elif isinstance(job, Job):
            self._waiting.put_nowait(job)

    def get(self, job_id: str) -> AnyJob:
        """Return the job with this id, of 15 or 18 characters; raise OrgError 404 when there is none."""
        job = self._jobs.get(normalise(job_id) or "")
        if job is None:
            raise errors.not_found()
        return job

    def objects_of(self, job_id: str) -> set[str]:
        """Return the name of the job's object; an empty set for an unknown job."""
        job = self._jobs.get(normalise(job_id) or "")
        return {job.sobject.name} if job else set()

    def since(self, job_id: str, job_type: str) -> Iterator[AnyJob]:
        """Yield the jobs of a type ("V2Ingest", "V2Query") from this id on; ids ascend."""
        return (job for job in self._jobs.values() if job.id >= job_id and job.job_type == job_type)

    async def finish_upload(self, job: Job) -> None:
        """Mark the upload as complete: the job waits for its turn."""
        job.move(State.UPLOAD_COMPLETE, self._org.clock())
        await self._org.run(self._store.save, job)
        self._queue(job)

    async def abort(self, job: AnyJob) -> None:
        """Stop a job where it is; rows that are written stay written."""
        begun = job.state is State.IN_PROGRESS
        job.move(State.ABORTED, self._org.clock())
        if begun:
            # The task completes the files when it returns to the job.
            await job.closed.wait()
        elif isinstance(job, Job):
            keep_unprocessed(job, None)
        await self._org.run(self._store.save, job)

    async def delete(self, job: AnyJob) -> None:
        """Delete a job and its files; a job that waits for its turn will not be processed."""
        del self._jobs[job.id]
        if job.state not in FINISHED:
            job.move(State.ABORTED, self._org.clock())
        await self._org.run(self._store.delete, job)
        shutil.rmtree(job.folder, ignore_errors=True)

    def close(self) -> None:
        """Remove the files of an org in memory."""
        if self._lasting is None and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    # --- processing -----------------------------------------------------------------------------------------------

    async def work(self) -> None:
        """Process ingest jobs one by one, and in parallel query jobs one by one, until the task is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._each(self._waiting, self._work_off))
            tasks.create_task(self._each(self._asked, self._answer))

    async def _each(self, queue: asyncio.Queue[J], work: Callable[[J, float], Awaitable[None]]) -> None:
        while True:
            job = await queue.get()
            begun = asyncio.get_running_loop().time()
            try:
                await self._take_time(job, begun)
                if job.state is State.UPLOAD_COMPLETE:
                    job.move(State.IN_PROGRESS, self._org.clock())
                    await self._org.run(self._store.save, job)
                    with self._org.acting_as(job.user):
                        await work(job, begun)
            except Exception:
                log.exception("job %s ended by an error of the local org", job.id)

    async def _work_off(self, job: Job, begun: float) -> None:
        """Process an ingest job from InProgress to its end, one transaction at a time; requests run in between."""
        error: str | None = OWN_ERROR
        run: Run | None = None
        try:
            run = await self._org.run(Run, self._org, job)
            await self._each_transaction(job, run, begun)
            error = None
        except Unreadable as unreadable:
            error = str(unreadable)
        except asyncio.CancelledError:
            error = INTERRUPTED
            raise
        finally:
            await self._end(job, run, error)

    async def _answer(self, job: QueryJob, begun: float) -> None:
        """Process a query job from InProgress to its end, one page at a time."""
        error: str | None = None
        run: QueryRun | None = None
        try:
            run = await self._org.run(QueryRun, self._org, job)
            while job.state is State.IN_PROGRESS and (rows := await self._org.run(run.step)):
                self._org.stats.read(rows)
                await self._take_time(job, begun)
        except OrgError as refused:
            error = f"{refused.code}: {refused.message}"
        except Exception:
            log.exception("job %s ended by an error of the local org", job.id)
            error = OWN_ERROR
        if run is not None:
            await self._org.run(run.close)
        if job.state is State.IN_PROGRESS:
            job.move(State.FAILED if error else State.JOB_COMPLETE, self._org.clock(), error)
        await self._org.run(self._store.save, job)
        job.closed.set()

    async def _each_transaction(self, job: Job, run: Run, begun: float) -> None:
        while job.state is State.IN_PROGRESS and await self._org.run(run.step):
            self._org.stats.wrote({job.sobject.name: run.written})
            await self._take_time(job, begun)

    async def _end(self, job: Job, run: Run | None, error: str | None) -> None:
        """Complete the files of a job, then set its last state, unless it was aborted while it ran."""
        if run is not None:
            # Close in the database thread, where a transaction may still be running.
            await self._org.run(run.close)
        else:
            keep_unprocessed(job, None)
        if job.state is State.IN_PROGRESS:
            job.move(State.FAILED if error else State.JOB_COMPLETE, self._org.clock(), error)
        await self._org.run(self._store.save, job)
        job.closed.set()

    async def _take_time(self, job: AnyJob, begun: float) -> None:
        """Wait until as much time has passed as the cost profile says for the job so far."""
        due = begun + self._org.costs.profile.bulk_delay(job.processed)
        wait = due - asyncio.get_running_loop().time()
        if wait > 0:
            await asyncio.sleep(wait)


class Run:
    """The run of one ingest job; it is used in the database thread, except for its end."""

    def __init__(self, org: Org, job: Job) -> None:
        """Open the files; raise Unreadable when the upload cannot be processed at all."""
        self._connection = org.connection
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
        """Process the next transaction; return False when there is none."""
        began = perf_counter()
        start = self._upload.size
        taken = self._upload.take(TRANSACTION)
        if not taken:
            return False
        successful, failed = self._operations.work(taken.rows, lambda answers: self._noted(taken, answers))
        size = self._upload.size - start
        self._successful.add(successful, size)
        self._failed.add(failed, size)
        self.written = len(successful)
        self._count(len(taken), len(failed))
        self._job.active += perf_counter() - began
        return True

    def _noted(self, taken: Taken, answers: list[Answer]) -> tuple[list[Row], list[Row]]:
        """Save the progress with the rows, so that after a crash it is known which rows were written."""
        job = self._job
        successful, failed = self._sorted(taken, answers)
        note_progress(self._connection, job.id, job.processed + len(taken), job.failed + len(failed))
        return successful, failed

    def _sorted(self, taken: Taken, answers: list[Answer]) -> tuple[list[Row], list[Row]]:
        """Return the rows that were written and those that failed, each as its file shows it."""
        successful: list[Row] = []
        failed: list[Row] = []
        for row, answer in zip(taken.rows, answers, strict=True):
            if isinstance(answer, OrgError):
                failed.append([self._operations.id_in(row), said(answer), *row])
            else:
                successful.append([*answer, *row])
        return successful, failed + [self._unread(each) for each in taken.broken]

    def _unread(self, broken: Broken) -> Row:
        """Return a row that could not be read as the file of failed rows shows it."""
        return [self._operations.id_in(broken.row), said(invalid_row(broken.reason)), *broken.row]

    def _count(self, rows: int, failed: int) -> None:
        self._job.processed += rows
        self._job.failed += failed
        self._in_batch += rows
        if self._in_batch >= BATCH:
            self._in_batch = 0
            self.finish()

    def finish(self) -> None:
        """Write the results that wait for the end of their internal batch."""
        self._successful.flush()
        self._failed.flush()

    def close(self) -> None:
        """Complete and close the files; save the rows that were not tried."""
        self.finish()
        keep_unprocessed(self._job, self._upload)
        for file in (self._successful, self._failed, self._upload):
            file.close()
