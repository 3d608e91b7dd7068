"""The jobs of Bulk API 1.0 in the org's database: with `--db` they are kept after the process ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from localorg.bulk_one.job import Batch, BatchState, Chunking, Job, JobState, Order
from localorg.org import Org

_JOBS, _BATCHES = '"localorg classic jobs"', '"localorg classic batches"'


class Store:
    """The tables of jobs and batches; it is used in the database thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        connection.execute(f"CREATE TABLE IF NOT EXISTS {_JOBS} (id TEXT PRIMARY KEY, body TEXT NOT NULL)")
        connection.execute(
            f"""CREATE TABLE IF NOT EXISTS {_BATCHES} (id TEXT PRIMARY KEY, job TEXT NOT NULL, body TEXT NOT NULL,
                processed INTEGER NOT NULL, failed INTEGER NOT NULL)"""
        )

    def save_job(self, job: Job) -> None:
        """Save a job as it is now, without its batches."""
        order = job.order
        body = {
            "object": order.sobject.name,
            "operation": order.name,
            "externalId": order.external_id,
            "mode": order.mode,
            "contentType": order.content_type,
            "assignmentRule": order.assignment_rule,
            "chunking": order.chunking and list(order.chunking),
            "version": job.version,
            "user": job.user.id,
            "created": job.created,
            "state": job.state,
            "modified": job.modified,
        }
        self._db.execute(f"INSERT OR REPLACE INTO {_JOBS} (id, body) VALUES (?, ?)", (job.id, orjson.dumps(body)))

    def save_batch(self, batch: Batch) -> None:
        """Save a batch as it is now."""
        body = {
            "created": batch.created,
            "statement": batch.statement,
            "chunk": batch.chunk,
            "state": batch.state,
            "message": batch.message,
            "modified": batch.modified,
            "begun": batch.begun,
            "active": batch.active,
            "results": batch.results,
        }
        values = (batch.id, batch.job.id, orjson.dumps(body), batch.processed, batch.failed)
        statement = f"INSERT OR REPLACE INTO {_BATCHES} (id, job, body, processed, failed) VALUES (?, ?, ?, ?, ?)"
        self._db.execute(statement, values)

    def note_progress(self, batch: Batch, processed: int, failed: int) -> None:
        """Save the progress of a batch; call this in the transaction that wrote its records."""
        statement = f"UPDATE {_BATCHES} SET processed = ?, failed = ? WHERE id = ?"
        self._db.execute(statement, (processed, failed, batch.id))

    def jobs(self, org: Org, folder: Path) -> Iterator[Job]:
        """Yield all jobs with their batches, oldest first; skip jobs of objects that no longer exist."""
        for job_id, text in self._db.execute(f"SELECT id, body FROM {_JOBS} ORDER BY id").fetchall():
            job = _job(org, folder / job_id, job_id, orjson.loads(text))
            if job is not None:
                statement = f"SELECT id, body, processed, failed FROM {_BATCHES} WHERE job = ? ORDER BY id"
                for row in self._db.execute(statement, (job_id,)).fetchall():
                    job.batches[row[0]] = _batch(job, row)
                yield job


def _job(org: Org, folder: Path, job_id: str, body: dict[str, Any]) -> Job | None:
    sobject = org.schema.object(body["object"])
    if sobject is None:
        return None
    order = Order(
        sobject=sobject,
        name=body["operation"],
        external_id=body["externalId"],
        mode=body["mode"],
        content_type=body["contentType"],
        assignment_rule=body["assignmentRule"],
        chunking=Chunking(*body["chunking"]) if body["chunking"] else None,
    )
    created = datetime.fromisoformat(body["created"])
    user = org.users.by_id(body["user"]) or org.user
    job = Job(id=job_id, order=order, version=body["version"], user=user, created=created, folder=folder)
    job.move(JobState(body["state"]), datetime.fromisoformat(body["modified"]))
    return job


def _batch(job: Job, row: tuple[Any, ...]) -> Batch:
    batch_id, text, processed, failed = row
    body = orjson.loads(text)
    batch = Batch(
        id=batch_id,
        job=job,
        created=datetime.fromisoformat(body["created"]),
        statement=body["statement"],
        chunk=body["chunk"],
        processed=processed,
        failed=failed,
        active=body["active"],
        begun=body["begun"] and datetime.fromisoformat(body["begun"]),
        results=body["results"],
    )
    batch.move(BatchState(body["state"]), datetime.fromisoformat(body["modified"]), body["message"])
    return batch
