"""Bulk API 2.0 ingest: any number of rows, in constant memory. A run that was killed can be continued.

The steps use simple-salesforce's plain calls. Its bulk2 handler holds the whole file and the whole result in memory,
has no deadline, reports no progress, and its single steps are private.
"""

from __future__ import annotations

import csv
import io
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import IO, Any, Protocol

from quotejob.errors import OrgError, OrgRefused, OrgUnreachable
from quotejob.salesforce.connection import Connection

MAX_UPLOAD = 100_000_000  # bytes: an org takes 150 MB after base64 (Bulk API guide, Upload Job Data)
FIRST_PAUSE = 0.25  # seconds before a job's state is read for the first time
LONGEST_PAUSE = 5.0  # seconds
GROWTH = 1.5  # of the pauses
GONE = "Gone"  # our word: the org has deleted the job
ENDED = frozenset({"JobComplete", "Failed", "Aborted", GONE})


Pauses = Callable[[int], float]  # rows processed -> seconds until the next look


class Checkpoint(Protocol):
    """The storage for the ids of jobs, so that a killed run can be continued."""

    def load(self) -> list[str]:
        """Return the ids that an earlier run saved, in order; empty for none."""
        ...

    def save(self, job_ids: list[str]) -> None:
        """Store these ids. Called before the rows of each part are uploaded, with all ids so far."""
        ...


@dataclass(frozen=True, slots=True)
class NewJob:
    """The work of a new job."""

    object_name: str
    operation: str  # insert, update, upsert, delete
    external_id_field: str | None = None  # for upsert

    def body(self) -> dict[str, str]:
        """Return the body of the request that creates the job."""
        settings = {"contentType": "CSV", "columnDelimiter": "COMMA", "lineEnding": "LF"}
        key = {"externalIdFieldName": self.external_id_field} if self.external_id_field else {}
        return {"object": self.object_name, "operation": self.operation} | settings | key


@dataclass(frozen=True, slots=True)
class IngestResult:
    """The results of the rows. Each method fetches them from the org again and yields one row at a time.

    The rows come in any order. Each has its uploaded columns and the org's columns.
    """

    job_ids: tuple[str, ...]
    records_processed: int  # the failed ones included
    records_failed: int
    errors: tuple[str, ...]  # why whole jobs were stopped (Failed, Aborted); their other rows are in unprocessed()
    _connection: Connection = field(repr=False, compare=False)
    seconds: float | None = None  # that the org took from the start of the only job to its end; None: not known

    def succeeded(self) -> Iterator[dict[str, str]]:
        """Yield the rows that were written, with sf__Id and sf__Created."""
        return self._rows("successfulResults")

    def failed(self) -> Iterator[dict[str, str]]:
        """Yield the rows that were refused, with sf__Id and sf__Error ("CODE:message:fields --")."""
        return self._rows("failedResults")

    def unprocessed(self) -> Iterator[dict[str, str]]:
        """Yield the rows that the org did not process."""
        return self._rows("unprocessedrecords")

    def _rows(self, kind: str) -> Iterator[dict[str, str]]:
        for job_id in self.job_ids:
            yield from _download(self._connection, f"jobs/ingest/{job_id}/{kind}")


def ingest(
    connection: Connection,
    job: NewJob,
    rows: Iterable[Mapping[str, str]],
    columns: Sequence[str],
    *,
    checkpoint: Checkpoint | None = None,
    on_look: Callable[[int, int], None] | None = None,
    pauses: Pauses | None = None,
    deadline: float = 3600,
    max_upload: int = MAX_UPLOAD,
) -> IngestResult:
    """Upload rows, start the org's jobs, and wait for their end. Without rows: no job, and an empty result.

    A row has text for each of ``columns``: ISO dates, "" or nothing for a missing value, "#N/A" for null. More than
    ``max_upload`` bytes are divided into several jobs. A job's id is saved before its rows are uploaded, and the org
    begins only after the start. So a repeat with the same ``checkpoint`` and the same rows in the same order writes no
    row twice. An open job is aborted, and a new one gets its rows; the others are only waited for. ``on_look`` gets
    the rows processed and the rows failed at each look at the jobs; what it raises ends the call. ``pauses`` gets the
    rows processed, and returns the seconds until the next look. After ``deadline`` seconds it raises OrgUnreachable,
    code BULK_DEADLINE. The org continues, and a repeat finds its jobs. A refused row is no error.
    """
    until = time.monotonic() + deadline
    job_ids = list(checkpoint.load()) if checkpoint else []
    known = len(job_ids)
    uploading: list[float] = []  # seconds from the creation of each new job to its start

    def note(job_id: str) -> None:
        if checkpoint:
            checkpoint.save([*job_ids, job_id])

    for number, part in enumerate(parts(rows, columns, max_upload)):
        with part:
            if number < known - 1 or (number == known - 1 and _info(connection, job_ids[number])["state"] != "Open"):
                continue
            if number < known:  # a run ended during its upload
                _abandon(connection, job_ids.pop())
            job_id, created = _upload(connection, job, part, note)
            job_ids.append(job_id)
        _start(connection, job_ids[number])
        uploading.append(time.monotonic() - created)
    done = results(connection, job_ids, on_look, pauses, until)
    if done.seconds is None or done.errors or not len(job_ids) == len(uploading) == 1:
        return replace(done, seconds=None)
    return replace(done, seconds=max(0.0, done.seconds - uploading[0]))  # by two clocks, so it could be less than 0


def results(
    connection: Connection,
    job_ids: Sequence[str],
    on_look: Callable[[int, int], None] | None = None,
    pauses: Pauses | None = None,
    until: float = float("inf"),
) -> IngestResult:
    """Wait for the end of jobs whose rows are uploaded, and return their results; see :func:`ingest`.

    Their seconds are those since the creation of the last one.
    """
    infos = _wait(connection, job_ids, on_look, pauses or growing(), until)
    there = tuple(job_id for job_id, info in zip(job_ids, infos, strict=True) if info["state"] != GONE)
    took = _seconds(infos[-1]) if infos else None
    return IngestResult(there, *_counts(infos), tuple(_complaints(infos)), connection, took)


def growing() -> Pauses:
    """Return pauses that know nothing of the org, and grow."""
    pause = FIRST_PAUSE / GROWTH

    def following(_processed: int) -> float:
        nonlocal pause
        pause = min(pause * GROWTH, LONGEST_PAUSE)
        return pause

    return following


def stop(connection: Connection, job_ids: Sequence[str]) -> IngestResult:
    """Abort the jobs that have not ended, and return the results. Rows that are written stay written."""
    for job_id in job_ids:
        if _info(connection, job_id)["state"] not in ENDED:
            with suppress(OrgRefused):  # it has ended just now
                connection.safe(lambda job_id=job_id: _set_state(connection, job_id, "Aborted"))  # type: ignore[misc]
    return results(connection, job_ids)


def parts(rows: Iterable[Mapping[str, str]], columns: Sequence[str], max_upload: int) -> Iterator[IO[bytes]]:
    """Yield the rows as CSV files of at most ``max_upload`` bytes, each with the header row. The caller closes them."""
    header = _line(columns)
    part: IO[bytes] | None = None
    size = 0
    try:
        for row in rows:
            line = _line([row.get(column, "") for column in columns])
            if part is not None and size + len(line) > max_upload:
                yield _rewound(part)
                part = None
            if part is None:
                part = tempfile.TemporaryFile(prefix="quotejob-")  # noqa: SIM115 - closed here or by the caller
                size = part.write(header)
            size += part.write(line)
        if part is not None:
            yield _rewound(part)
    finally:
        if part is not None:
            part.close()


def _line(values: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(values)  # with "\n" alone it would not quote a value with "\r"
    return text.getvalue()[:-2].encode() + b"\n"


def _rewound(part: IO[bytes]) -> IO[bytes]:
    part.seek(0)
    return part


def _upload(connection: Connection, job: NewJob, part: IO[bytes], note: Callable[[str], None]) -> tuple[str, float]:
    """Upload the part into a new job, whose id is noted before. Return the id, and when the job was created.

    Each try makes a new job: one that was not started writes nothing. A second upload into the same job is not
    documented.
    """

    def attempt() -> tuple[str, float]:
        job_id = _create(connection, job)
        created = time.monotonic()
        note(job_id)
        try:
            part.seek(0)
            _put(connection, job_id, part)
        except Exception:
            _abandon(connection, job_id)
            raise
        return job_id, created

    return connection.safe(attempt)


def _abandon(connection: Connection, job_id: str) -> None:
    """Abort a job that was not started. Without an answer it stays open, and the org deletes it after some days."""
    with suppress(OrgError):
        connection.once(lambda: _set_state(connection, job_id, "Aborted"))


def _create(connection: Connection, job: NewJob) -> str:
    answer: Any = connection.salesforce.restful("jobs/ingest", method="POST", json=job.body())
    with connection.reading("a job"):
        return str(answer["id"])


def _put(connection: Connection, job_id: str, part: IO[bytes]) -> None:
    headers = {"Content-Type": "text/csv; charset=UTF-8"}
    connection.raw("PUT", f"jobs/ingest/{job_id}/batches", data=part, headers=headers)


def _set_state(connection: Connection, job_id: str, state: str) -> None:
    connection.salesforce.restful(f"jobs/ingest/{job_id}", method="PATCH", json={"state": state})


def _info(connection: Connection, job_id: str) -> dict[str, Any]:
    def attempt() -> dict[str, Any]:
        answer = connection.salesforce.restful(f"jobs/ingest/{job_id}")
        if not isinstance(answer, dict) or "state" not in answer:
            raise connection.unexpected("a job's state")
        return answer

    try:
        return connection.safe(attempt)
    except OrgRefused as refused:
        if refused.code != "NOT_FOUND":
            raise
        return {"id": job_id, "state": GONE, "errorMessage": f"Job {job_id} is no longer in the org."}


def _start(connection: Connection, job_id: str) -> None:
    """Start the job. If an answer was lost, the org may refuse because the job has started: that is no error."""
    try:
        connection.safe(lambda: _set_state(connection, job_id, "UploadComplete"))
    except OrgRefused:
        if _info(connection, job_id)["state"] == "Open":
            raise


def _wait(
    connection: Connection,
    job_ids: Sequence[str],
    on_look: Callable[[int, int], None] | None,
    pauses: Pauses,
    until: float,
) -> list[dict[str, Any]]:
    """Wait until all jobs have ended. Return the org's information on each job."""
    infos: dict[str, dict[str, Any]] = {job_id: {"state": "unknown"} for job_id in job_ids}
    while waiting := [job_id for job_id, info in infos.items() if info["state"] not in ENDED]:
        _sleep(pauses(_counts(infos.values())[0]), until, waiting)
        for job_id in waiting:
            infos[job_id] = _poll(connection, job_id)
        if on_look:
            on_look(*_counts(infos.values()))
    return list(infos.values())


def _sleep(pause: float, until: float, waiting: Sequence[str]) -> None:
    left = until - time.monotonic()
    if left <= 0:
        message = f"The org did not finish Bulk API job {', '.join(waiting)} within the time limit."
        raise OrgUnreachable(message, code="BULK_DEADLINE")
    time.sleep(min(pause, left))


def _poll(connection: Connection, job_id: str) -> dict[str, Any]:
    info = _info(connection, job_id)
    if info["state"] == "Open":  # a run ended between saving the job's id and starting the job
        _start(connection, job_id)
    return info


def _counts(infos: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    counted = [(info.get("numberRecordsProcessed") or 0, info.get("numberRecordsFailed") or 0) for info in infos]
    return sum(int(processed) for processed, _ in counted), sum(int(failed) for _, failed in counted)


def _seconds(info: Mapping[str, Any]) -> float | None:
    """Return how long a job was in the org, by its clock, from its creation to its end."""
    try:
        created, changed = (datetime.fromisoformat(info[name]) for name in ("createdDate", "systemModstamp"))
        return (changed - created).total_seconds()
    except (KeyError, TypeError, ValueError):
        return None


def _complaints(infos: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for info in infos:
        if info["state"] != "JobComplete":
            yield str(info.get("errorMessage") or f"Job {info.get('id')} ended as {info['state']}.")


def _download(connection: Connection, path: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a result file. It is fetched to disk first; a broken connection needs only a repeat."""
    file = tempfile.TemporaryFile(prefix="quotejob-")  # noqa: SIM115 - closed with the text over it
    with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        connection.safe(lambda: _fetch(connection, path, file))
        yield from csv.DictReader(text)


def _fetch(connection: Connection, path: str, file: IO[bytes]) -> None:
    file.seek(0)
    file.truncate()
    with closing(connection.raw("GET", path, headers={"Accept": "text/csv"}, stream=True)) as answer:
        connection.wire.save(answer, file)
    file.seek(0)
