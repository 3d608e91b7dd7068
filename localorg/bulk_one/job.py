"""A job of Bulk API 1.0, and its batches (Bulk API guide, "JobInfo" and "BatchInfo")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from localorg.bulk.orders import Operation, external_id, target
from localorg.data.values import stamp
from localorg.errors import OrgError
from localorg.permissions import User
from localorg.schema.model import Schema, SObject

OPERATIONS = (*Operation, "query", "queryAll")
CONTENT_TYPES = ("XML", "CSV", "JSON")
_ZIPPED = ("ZIP_CSV", "ZIP_JSON", "ZIP_XML")
MODES = ("Parallel", "Serial")


class JobState(StrEnum):
    """The states of a job; its batches have states of their own."""

    OPEN = "Open"  # accepts batches, and works on them
    CLOSED = "Closed"
    ABORTED = "Aborted"


class BatchState(StrEnum):
    """The states of a batch (Bulk API guide, "Interpret Batch State")."""

    QUEUED = "Queued"
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"  # every record was tried; some may have failed
    FAILED = "Failed"
    NOT_PROCESSED = "NotProcessed"


class Chunking(NamedTuple):
    """How a query is split by primary keys: records in a chunk, and the id to begin with."""

    size: int
    start: str | None


@dataclass(slots=True, kw_only=True)
class Batch:
    """A batch: one request with records or a query, and what became of it.

    processed, failed -- number of records tried so far, and of those that failed
    results -- the ids of a query's results
    statement -- the query; None for other batches
    """

    id: str
    job: Job
    created: datetime
    statement: str | None = None
    chunk: bool = False  # whether it is a part of a query that was split
    state: BatchState = BatchState.QUEUED
    message: str | None = None
    modified: datetime = field(init=False)
    processed: int = 0
    failed: int = 0
    active: float = 0.0  # seconds spent on its records
    begun: datetime | None = None
    results: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.modified = self.created

    @property
    def request(self) -> Path:
        """The records, or the query, as the caller sent them."""
        return self.job.folder / f"{self.id}.request"

    @property
    def answers(self) -> Path:
        """What became of each record so far, one line of JSON for each, in the order of the request."""
        return self.job.folder / f"{self.id}.answers"

    def result(self, result_id: str) -> Path:
        """Return the file of one result of a query."""
        return self.job.folder / f"{result_id}.result"

    def move(self, state: BatchState, now: datetime, message: str | None = None) -> None:
        """Change to a state; message is the reason when the state is Failed."""
        self.state, self.modified, self.message = state, now, message
        if state is BatchState.IN_PROGRESS and self.begun is None:
            self.begun = now

    @property
    def total_time(self) -> int:
        """The milliseconds since the work on it began, until it ended."""
        ended = self.state in (BatchState.COMPLETED, BatchState.FAILED)
        return int((self.modified - self.begun).total_seconds() * 1000) if self.begun and ended else 0

    def info(self) -> dict[str, Any]:
        """Return the fields of its BatchInfo, in the order of the guide's examples."""
        told = {
            "id": self.id,
            "jobId": self.job.id,
            "state": self.state,
            "stateMessage": self.message,
            "createdDate": self.created,
            "systemModstamp": self.modified,
            "numberRecordsProcessed": self.processed,
            "numberRecordsFailed": self.failed,
            "totalProcessingTime": self.total_time,
            "apiActiveProcessingTime": int(self.active * 1000),
            "apexProcessingTime": 0,
        }
        return {name: value for name, value in told.items() if value is not None}


@dataclass(slots=True, kw_only=True)
class Job:
    """A job: the order of its creator, and its batches, oldest first."""

    id: str
    order: Order
    version: float
    user: User
    created: datetime
    folder: Path
    state: JobState = JobState.OPEN
    modified: datetime = field(init=False)
    batches: dict[str, Batch] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.modified = self.created

    def move(self, state: JobState, now: datetime) -> None:
        """Change to a state."""
        self.state, self.modified = state, now

    def count(self, *states: BatchState) -> int:
        """Return the number of batches in one of these states."""
        return sum(batch.state in states for batch in self.batches.values())

    def unfinished(self) -> list[Batch]:
        """Return the batches that wait or are being processed."""
        return [each for each in self.batches.values() if each.state in (BatchState.QUEUED, BatchState.IN_PROGRESS)]

    def _head(self) -> dict[str, Any]:
        order = self.order
        return {
            "id": self.id,
            "operation": order.name,
            "object": order.sobject.name,
            "createdById": self.user.id,
            "createdDate": self.created,
            "systemModstamp": self.modified,
            "state": self.state,
            "externalIdFieldName": order.external_id,
            "concurrencyMode": order.mode,
            "contentType": order.content_type,
        }

    def info(self) -> dict[str, Any]:
        """Return the fields of its JobInfo, in the order of the guide's examples."""
        batches = list(self.batches.values())
        told = {
            **self._head(),
            "numberBatchesQueued": self.count(BatchState.QUEUED),
            "numberBatchesInProgress": self.count(BatchState.IN_PROGRESS),
            "numberBatchesCompleted": self.count(BatchState.COMPLETED),
            "numberBatchesFailed": self.count(BatchState.FAILED),
            "numberBatchesTotal": len(batches),
            "numberRecordsProcessed": sum(batch.processed for batch in batches),
            "numberRetries": 0,
            "apiVersion": self.version,
            "assignmentRuleId": self.order.assignment_rule,
            "numberRecordsFailed": sum(batch.failed for batch in batches),
            "totalProcessingTime": sum(batch.total_time for batch in batches),
            "apiActiveProcessingTime": sum(int(batch.active * 1000) for batch in batches),
            "apexProcessingTime": 0,
        }
        return {name: value for name, value in told.items() if value is not None}

    def entry(self) -> dict[str, Any]:
        """Return the job as an entry of the list of jobs of Bulk API 2.0, where it is of the type Classic."""
        told = {name: value for name, value in self._head().items() if value is not None}
        dates = {name: stamp(told[name]) for name in ("createdDate", "systemModstamp")}
        return {**told, **dates, "apiVersion": self.version, "jobType": "Classic"}


# --- the order ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The checked order of a job's creator."""

    sobject: SObject
    name: str  # the operation, as the caller writes it
    external_id: str | None
    mode: str
    content_type: str
    assignment_rule: str | None
    chunking: Chunking | None

    @property
    def reads(self) -> bool:
        """Whether its batches are queries."""
        return self.name not in tuple(Operation)

    @property
    def operation(self) -> Operation:
        """What is done with each record; only for jobs that write."""
        return Operation(self.name)


def refuse(code: str, message: str) -> OrgError:
    """Return a refusal with a code of this API (Bulk API guide, "Errors")."""
    return OrgError(400, code, message)


def invalid_job(message: str) -> OrgError:
    """Return the refusal of a job that cannot be created as ordered."""
    return refuse("InvalidJob", message)


def order(body: Mapping[str, Any], schema: Schema, chunking: Chunking | None) -> Order:
    """Check what creates a job; raise OrgError 400 when it is wrong. Unknown fields are ignored."""
    name = _one_of(body, "operation", OPERATIONS, None)
    content_type = _one_of(body, "contentType", (*CONTENT_TYPES, *_ZIPPED), "XML")
    if content_type in _ZIPPED:
        raise invalid_job(f"The local org does not imitate binary attachments: contentType {content_type}")
    sobject = target(body, schema, invalid_job)
    rule = body.get("assignmentRuleId")
    return Order(
        sobject=sobject,
        name=name,
        external_id=external_id(body, name, sobject, invalid_job),
        mode=_mode(body.get("concurrencyMode")),
        content_type=content_type,
        assignment_rule=str(rule) if rule else None,
        chunking=chunking if name not in tuple(Operation) else None,
    )


def _mode(given: Any) -> str:
    """Return the concurrency mode; a client of this API may send its number."""
    if isinstance(given, int) and not isinstance(given, bool) and given in range(len(MODES)):
        return MODES[given]
    return _one_of({"concurrencyMode": given}, "concurrencyMode", MODES, MODES[0])


def _one_of(body: Mapping[str, Any], key: str, known: tuple[str, ...], default: str | None) -> str:
    value = body.get(key)
    if value is None or value == "":
        if default is None:
            raise invalid_job(f"Must specify {key}")
        return default
    if value not in known:
        raise invalid_job(f"{key}: {str(value)[:100]} is not one of {', '.join(known)}")
    return str(value)
