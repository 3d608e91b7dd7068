"""The jobs in the org's database: with `--db` they are kept after the process ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from localorg.bulk.job import AnyJob, Job, State
from localorg.bulk.orders import Operation
from localorg.bulk.query import QueryJob
from localorg.org import Org

_TABLE = '"localorg jobs"'


def note_progress(connection: sqlite3.Connection, job_id: str, processed: int, failed: int) -> None:
    """Save the progress of an ingest job; call this in the transaction that wrote its rows."""
    statement = f"UPDATE {_TABLE} SET processed = ?, failed = ? WHERE id = ?"
    connection.execute(statement, (processed, failed, job_id))


class Store:
    """The table of jobs; it is used in the database thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        connection.execute(
            f"""CREATE TABLE IF NOT EXISTS {_TABLE} (id TEXT PRIMARY KEY, body TEXT NOT NULL,
                processed INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0)"""
        )

    def save(self, job: AnyJob) -> None:
        """Save a job as it is now."""
        statement = f"INSERT OR REPLACE INTO {_TABLE} (id, body, processed, failed) VALUES (?, ?, ?, ?)"
        self._db.execute(statement, (job.id, orjson.dumps(_written(job)), job.processed, job.failed))

    def delete(self, job: AnyJob) -> None:
        """Delete a job."""
        self._db.execute(f"DELETE FROM {_TABLE} WHERE id = ?", (job.id,))

    def jobs(self, org: Org, folder: Path) -> Iterator[AnyJob]:
        """Yield all jobs, oldest first, each with its own folder; skip jobs of objects that no longer exist."""
        rows = self._db.execute(f"SELECT id, body, processed, failed FROM {_TABLE} ORDER BY id").fetchall()
        for job_id, body, processed, failed in rows:
            job = _read(org, folder / job_id, job_id, orjson.loads(body))
            if job is not None:
                job.processed, job.failed = processed, failed
                yield job


def _written(job: AnyJob) -> dict[str, Any]:
    body = {
        "kind": job.kind,
        "object": job.sobject.name,
        "delimiter": job.delimiter,
        "lineEnding": job.line_ending,
        "version": job.version,
        "user": job.user.id,
        "created": job.created,
        "state": job.state,
        "modified": job.modified,
        "error": job.error,
        "begun": job.begun,
        "ended": job.ended,
    }
    if isinstance(job, QueryJob):
        return body | {"query": job.query, "deleted": job.deleted}
    assert isinstance(job, Job)
    more = {"operation": job.operation, "externalId": job.external_id, "assignmentRule": job.assignment_rule}
    return body | more | {"active": job.active}


def _read(org: Org, folder: Path, job_id: str, body: dict[str, Any]) -> AnyJob | None:
    sobject = org.schema.object(body["object"])
    if sobject is None:
        return None
    common: dict[str, Any] = {
        "id": job_id,
        "sobject": sobject,
        "delimiter": body["delimiter"],
        "line_ending": body["lineEnding"],
        "version": body["version"],
        "user": org.users.by_id(body["user"]) or org.user,
        "created": datetime.fromisoformat(body["created"]),
        "folder": folder,
    }
    job: AnyJob
    if body["kind"] == QueryJob.kind:
        job = QueryJob(**common, query=body["query"], deleted=body["deleted"])
    else:
        more = {"external_id": body["externalId"], "assignment_rule": body["assignmentRule"], "active": body["active"]}
        job = Job(**common, operation=Operation(body["operation"]), **more)
    job.state, job.error = State(body["state"]), body["error"]
    job.modified = datetime.fromisoformat(body["modified"])
    job.begun, job.ended = (body[key] and datetime.fromisoformat(body[key]) for key in ("begun", "ended"))
    return job
