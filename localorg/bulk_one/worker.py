"""The jobs of Bulk API 1.0 of an org, and the tasks that work on their batches."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from time import perf_counter

from localorg.bulk.operations import Answer, Operations, Unreadable
from localorg.bulk.worker import OWN_ERROR, TRANSACTION
from localorg.bulk_one.job import Batch, BatchState, Job, JobState, Order, refuse
from localorg.bulk_one.query import QueryRun, chunks
from localorg.bulk_one.results import Answers
from localorg.bulk_one.store import Store
from localorg.bulk_one.tables import table
from localorg.errors import OrgError
from localorg.ids import normalise
from localorg.org import Org

log = logging.getLogger("localorg.bulk_one")

PARALLEL = 5
"""Batches of parallel jobs that are processed at the same time; the platform does not say how many."""
_JOB, _BATCH, _RESULT = "750", "751", "752"


class Jobs:
    """The jobs of Bulk API 1.0 of one org, oldest first; they are used on the event loop.

    Their files are in a folder beside the database of the org, as those of Bulk API 2.0.
    """

    def __init__(self, org: Org) -> None:
        self._org = org
        self._store = Store(org.connection)
        self._jobs: dict[str, Job] = {}
        self._parallel: asyncio.Queue[Batch] = asyncio.Queue()
        self._serial: asyncio.Queue[Batch] = asyncio.Queue()
        path = org.connection.execute("PRAGMA database_list").fetchone()[2]
        self._lasting = Path(f"{path}-bulk-1.0") if path else None
        self._folder = self._lasting  # for an org in memory: made for the first job

    async def load(self) -> None:
        """Load the jobs of an earlier run; batches go on where they were interrupted, queries begin again."""
        if self._lasting is None:
            return
        folder = self._lasting
        jobs = await self._org.run(lambda: list(self._store.jobs(self._org, folder)))
        self._jobs = {job.id: job for job in jobs}
        for job in jobs:
            for batch in job.unfinished():
                self._queue(batch)

    async def create(self, order: Order, version: float) -> Job:
        """Open a job."""
        org = self._org
        job_id = await org.run(org.ids.next, _JOB)
        if self._folder is None:
            self._folder = Path(mkdtemp(prefix="localorg-bulk-1.0-"))
        (folder := self._folder / job_id).mkdir(parents=True)
        job = Job(id=job_id, order=order, version=version, user=org.caller, created=org.clock(), folder=folder)
        await org.run(self._store.save_job, job)
        self._jobs[job.id] = job
        return job

    def get(self, job_id: str) -> Job:
        """Return the job with this id, of 15 or 18 characters; raise OrgError InvalidJob when there is none."""
        job = self._jobs.get(normalise(job_id) or "")
        if job is None:
            raise refuse("InvalidJob", f"Unable to find job: {job_id[:40]}")
        return job

    def objects_of(self, job_id: str) -> set[str]:
        """Return the name of the job's object; an empty set for an unknown job."""
        job = self._jobs.get(normalise(job_id) or "")
        return {job.order.sobject.name} if job else set()

    def since(self, job_id: str) -> Iterator[Job]:
        """Yield the jobs from this id on; ids ascend."""
        return (job for job in self._jobs.values() if job.id >= job_id)

    async def add(self, job: Job, arrived: Path, statement: str | None) -> Batch:
        """Add a batch, whose request is in a file; raise OrgError when the day's batches are used up."""
        self._org.limits.spend_batches(1)
        batch = await self._new_batch(job, statement)
        arrived.replace(batch.request)
        await self._accept(batch)
        return batch

    async def _new_batch(self, job: Job, statement: str | None) -> Batch:
        batch_id = await self._org.run(self._org.ids.next, _BATCH)
        return Batch(id=batch_id, job=job, created=self._org.clock(), statement=statement)

    async def _accept(self, batch: Batch) -> None:
        await self._org.run(self._store.save_batch, batch)
        batch.job.batches[batch.id] = batch
        self._queue(batch)

    def _queue(self, batch: Batch) -> None:
        (self._serial if batch.job.order.mode == "Serial" else self._parallel).put_nowait(batch)

    async def close_job(self, job: Job) -> None:
        """Accept no more batches; those that are there are processed."""
        job.move(JobState.CLOSED, self._org.clock())
        await self._org.run(self._store.save_job, job)

    async def abort(self, job: Job) -> None:
        """Do not begin any more batches; those in progress are processed to their end."""
        now = self._org.clock()
        job.move(JobState.ABORTED, now)
        await self._org.run(self._store.save_job, job)
        for batch in job.batches.values():
            if batch.state is BatchState.QUEUED:
                batch.move(BatchState.NOT_PROCESSED, now)
                await self._org.run(self._store.save_batch, batch)

    def close(self) -> None:
        """Remove the files of an org in memory."""
        if self._lasting is None and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    # --- processing -----------------------------------------------------------------------------------------------

    async def work(self) -> None:
        """Process batches: those of serial jobs one by one, the others several at a time; until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._each(self._serial))
            for _ in range(PARALLEL):
                tasks.create_task(self._each(self._parallel))

    async def _each(self, queue: asyncio.Queue[Batch]) -> None:
        while True:
            batch = await queue.get()
            begun = asyncio.get_running_loop().time()
            try:
                if batch.state in (BatchState.QUEUED, BatchState.IN_PROGRESS):
                    with self._org.acting_as(batch.job.user):
                        await self._work_off(batch, begun)
            except Exception:
                log.exception("batch %s ended by an error of the local org", batch.id)

    async def _work_off(self, batch: Batch, begun: float) -> None:
        """Process a batch to its end, one transaction at a time; other requests and batches run in between."""
        batch.move(BatchState.IN_PROGRESS, self._org.clock())
        await self._org.run(self._store.save_batch, batch)
        await self._take_time(batch, begun)
        state, message = BatchState.COMPLETED, None
        try:
            if batch.job.order.reads:
                state = await self._read(batch, begun)
            else:
                await self._write(batch, begun)
        except Unreadable as unreadable:
            state, message = BatchState.FAILED, str(unreadable)
        except OrgError as refused:
            state, message = BatchState.FAILED, f"InvalidBatch : Failed to process query: {refused}"
        except Exception:
            log.exception("batch %s failed by an error of the local org", batch.id)
            state, message = BatchState.FAILED, OWN_ERROR
        batch.move(state, self._org.clock(), message)
        await self._org.run(self._store.save_batch, batch)

    async def _write(self, batch: Batch, begun: float) -> None:
        run = await self._org.run(WriteRun, self._org, batch, self._store.note_progress)
        try:
            while await self._org.run(run.step):
                self._org.stats.wrote({batch.job.order.sobject.name: run.written})
                await self._take_time(batch, begun)
        finally:
            await self._org.run(run.close)

    async def _read(self, batch: Batch, begun: float) -> BatchState:
        if (given := batch.job.order.chunking) and not batch.chunk:
            statements = await self._org.run(chunks, self._org, batch, given)
            if statements:
                await self._split(batch, statements)
                return BatchState.NOT_PROCESSED
        batch.processed = 0
        result_id = await self._org.run(self._org.ids.next, _RESULT)
        run = await self._org.run(QueryRun, self._org, batch, result_id)
        try:
            while count := await self._org.run(run.step):
                self._org.stats.read(count)
                await self._take_time(batch, begun)
        finally:
            await self._org.run(run.close)
        batch.results = [result_id]
        return BatchState.COMPLETED

    async def _split(self, batch: Batch, statements: list[str]) -> None:
        """Add a batch for each chunk of a query; each counts as a batch of the day."""
        try:
            self._org.limits.spend_batches(len(statements))
        except OrgError as refused:
            raise Unreadable(f"{refused.code} : {refused.message} The query has {len(statements)} chunks.") from refused
        parts = [await self._new_batch(batch.job, statement) for statement in statements]
        for part in parts:
            part.chunk = True
            part.request.write_text(part.statement or "", "utf-8")
        # All at once, so that after a crash the query is split again as a whole or not at all.
        await self._org.transaction(self._save_parts, batch, parts)
        for part in parts:
            batch.job.batches[part.id] = part
            self._queue(part)

    def _save_parts(self, batch: Batch, parts: list[Batch]) -> None:
        batch.move(BatchState.NOT_PROCESSED, self._org.clock())
        for each in (batch, *parts):
            self._store.save_batch(each)

    async def _take_time(self, batch: Batch, begun: float) -> None:
        """Wait until as much time has passed as the cost profile says for the batch so far."""
        due = begun + self._org.costs.profile.batch_delay(batch.processed)
        wait = due - asyncio.get_running_loop().time()
        if wait > 0:
            await asyncio.sleep(wait)


Note = Callable[[Batch, int, int], None]


class WriteRun:
    """The run of one batch of records; it is used in the database thread, except for its end."""

    def __init__(self, org: Org, batch: Batch, note: Note) -> None:
        """Read the records; raise Unreadable when none of them can be processed."""
        self._batch = batch
        self._note = note
        columns, rows = table(batch)
        self._operations = Operations(org, batch.job.order, columns)
        self._rows = rows
        self._answers = Answers(batch.answers, batch.processed)
        self.written = 0

    def step(self) -> bool:
        """Process the next transaction; return False when there is none."""
        began = perf_counter()
        batch = self._batch
        rows = self._rows[batch.processed : batch.processed + TRANSACTION]
        if not rows:
            return False
        failed = self._operations.work(rows, self._keep)
        self._answers.confirm()
        self.written = len(rows) - failed
        batch.processed += len(rows)
        batch.failed += failed
        batch.active += perf_counter() - began
        return True

    def _keep(self, answers: list[Answer]) -> int:
        """Keep the answers with the rows: a batch that was interrupted goes on exactly behind them.

        Return how many rows were refused.
        """
        self._answers.add(answers)
        batch = self._batch
        failed = sum(isinstance(answer, OrgError) for answer in answers)
        self._note(batch, batch.processed + len(answers), batch.failed + failed)
        return failed

    def close(self) -> None:
        """Close the file."""
        self._answers.close()
