"""Bulk API 2.0 in the org of a history: jobs whose rows are written some at a time, while everything else goes on.

:mod:`quotejob.salesforce.bulk` runs as it is. Its connection is replaced here, below its requests.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import IO, Any, TypeVar

from harness.histories.world import World
from quotejob.errors import OrgError, OrgRefused, OrgUnreachable

T = TypeVar("T")
Row = dict[str, str]
RETRY_FOR = 30.0  # seconds in which a call that does no harm is repeated
LONGEST_WAIT = 15.0  # seconds until the org goes on with a job
ROWS_AT_ONCE = 4
ENDED = ("JobComplete", "Failed", "Aborted")


@dataclass(eq=False)
class IngestJob:
    """A job. ``rows`` are those that are left to write; ``done`` those that the org has looked at, as it answers."""

    id: str
    object_name: str
    state: str = "Open"
    rows: list[Row] = field(default_factory=list)
    succeeded: list[Row] = field(default_factory=list)
    failed: list[Row] = field(default_factory=list)

    def info(self) -> dict[str, Any]:
        """Return what the org says of it."""
        processed = len(self.succeeded) + len(self.failed)
        counts = {"numberRecordsProcessed": processed, "numberRecordsFailed": len(self.failed)}
        return {"id": self.id, "state": self.state, "errorMessage": None, **counts}


class Ingest:
    """All jobs of the org. ``insert`` writes a row and returns its id, or an error as in sf__Error."""

    def __init__(self, world: World, insert: Callable[[str, Row], tuple[str, str]]) -> None:
        self.running = 0  # jobs that the org works on
        self.faults = 0.0
        self._world = world
        self._insert = insert
        self._jobs: dict[str, IngestJob] = {}

    def create(self, body: dict[str, str]) -> dict[str, str]:
        """Make a job."""
        job = IngestJob(f"750{len(self._jobs):012}AAA", body["object"])
        self._jobs[job.id] = job
        return {"id": job.id}

    def upload(self, job_id: str, content: bytes) -> None:
        """Take the rows of a job."""
        self._open(job_id).rows = list(csv.DictReader(io.StringIO(content.decode())))

    def move(self, job_id: str, state: str) -> None:
        """Start a job, or abort it."""
        job = self._jobs[job_id]
        if state == "Aborted" and job.state not in ENDED:
            job.state = state
        else:
            self._open(job_id).state = state
            self.running += 1
            self._later(job)

    def info(self, job_id: str) -> dict[str, Any]:
        """Return what the org says of a job."""
        return self._jobs[job_id].info()

    def results(self, job_id: str, kind: str) -> bytes:
        """Return a file of results."""
        job = self._jobs[job_id]
        rows = {"successfulResults": job.succeeded, "failedResults": job.failed}.get(kind, job.rows)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]) if rows else ["sf__Id"])
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()

    def _open(self, job_id: str) -> IngestJob:
        job = self._jobs[job_id]
        if job.state != "Open":
            raise OrgRefused(f"The job is {job.state}", code="INVALIDJOBSTATE", http_status=400)
        return job

    def _later(self, job: IngestJob) -> None:
        self._world.at(self._world.dice.uniform(0.1, LONGEST_WAIT), lambda: self._go_on(job))

    def _go_on(self, job: IngestJob) -> None:
        """Write some rows, if the job was not aborted."""
        if job.state not in ENDED:
            job.state = "InProgress"
            for row in job.rows[:ROWS_AT_ONCE]:
                self._write(job, row)
            job.rows = job.rows[ROWS_AT_ONCE:]
            if job.rows and self._world.chance(self.faults):
                job.state = "Failed"
            elif not job.rows:
                job.state = "JobComplete"
        if job.state in ENDED:
            self.running -= 1
        else:
            self._later(job)

    def _write(self, job: IngestJob, row: Row) -> None:
        lock = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access:--"
        new, error = ("", lock) if self._world.chance(self.faults) else self._insert(job.object_name, row)
        if error:
            job.failed.append({"sf__Id": "", "sf__Error": error, **row})
        else:
            job.succeeded.append({"sf__Id": new, "sf__Created": "true", **row})


@dataclass
class Answer:
    """An answer with a file."""

    content: bytes

    def close(self) -> None:
        """Take nothing more of it."""


class Connection:
    """What quotejob.salesforce.bulk uses of a connection. It is its own salesforce and its own wire."""

    def __init__(self, world: World, ingest: Ingest, request: Callable[[str, Callable[[], Any]], Any]) -> None:
        self.salesforce = self.wire = self
        self._world = world
        self._ingest = ingest
        self._request = request

    def once(self, call: Callable[[], T]) -> T:
        """Make a call once."""
        return call()

    def safe(self, call: Callable[[], T]) -> T:
        """Make a call, and repeat it while the org does not answer."""
        until = self._world.time + RETRY_FOR
        while True:
            try:
                return call()
            except OrgUnreachable:
                if self._world.time > until:
                    raise
                self._world.sleep(self._world.dice.uniform(0.1, 8))

    def restful(self, path: str, method: str = "GET", json: dict[str, str] | None = None) -> Any:
        """Create a job, start or abort it, or read its state."""
        job_id = path.removeprefix("jobs/ingest").lstrip("/")
        if method == "POST":
            return self._request("create a Bulk job", lambda: self._ingest.create(json or {}))
        if method == "PATCH":
            state = (json or {})["state"]
            return self._request(f"{job_id}: {state}", lambda: self._ingest.move(job_id, state))
        return self._request(f"look at {job_id}", lambda: self._ingest.info(job_id))

    def raw(self, method: str, path: str, data: IO[bytes] | None = None, **_: Any) -> Answer:
        """Upload the rows of a job, or fetch a file of its results."""
        job_id, kind = path.removeprefix("jobs/ingest/").split("/")
        if method == "PUT":
            content = data.read() if data is not None else b""
            self._request(f"upload {job_id}", lambda: self._ingest.upload(job_id, content))
            return Answer(b"")
        return Answer(self._request(f"{kind} of {job_id}", lambda: self._ingest.results(job_id, kind)))

    def save(self, answer: Answer, file: IO[bytes]) -> None:
        """Write what an answer brings into a file."""
        file.write(answer.content)

    def reading(self, _: str) -> AbstractContextManager[None]:
        """Return a context that changes nothing: the answers here are well formed."""
        return contextlib.nullcontext()

    def unexpected(self, what: str) -> OrgError:
        """Return an error that no answer here gives reason for."""
        raise AssertionError(what)
