"""One Bulk job: its order and its states."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

from localorg.bulk.orders import Operation, external_id, target
from localorg.data.values import stamp
from localorg.errors import OrgError, json_parser_error
from localorg.permissions import User
from localorg.schema.model import Schema, SObject

DELIMITERS = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}


class State(StrEnum):
    """The states of a job (Bulk API 2.0 guide, "Job States"); ABORTED can follow each of the first three."""

    OPEN = "Open"  # accepts an upload
    UPLOAD_COMPLETE = "UploadComplete"  # waits to be processed
    IN_PROGRESS = "InProgress"
    JOB_COMPLETE = "JobComplete"  # every row was tried; some may have failed
    FAILED = "Failed"  # the file could not be processed to its end
    ABORTED = "Aborted"


FINISHED = frozenset({State.JOB_COMPLETE, State.FAILED, State.ABORTED})


@dataclass(slots=True, kw_only=True)
class AnyJob:
    """The common part of ingest and query jobs.

    folder -- the folder of its files
    processed, failed -- number of rows tried so far, and of those that failed
    begun, ended -- when the work on it began and ended
    closed -- set when the work on it has ended and its files are complete
    """

    kind: ClassVar[str]  # "ingest" or "query": its part of the API's path
    job_type: ClassVar[str]

    id: str
    sobject: SObject
    delimiter: str
    line_ending: str
    version: float
    user: User
    created: datetime
    folder: Path
    state: State = State.OPEN
    modified: datetime = field(init=False)
    error: str | None = None
    processed: int = 0
    failed: int = 0
    begun: datetime | None = None
    ended: datetime | None = None
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.modified = self.created

    def move(self, state: State, now: datetime, error: str | None = None) -> None:
        """Change to a state; error is the reason when the state is Failed."""
        self.state, self.modified, self.error = state, now, error
        if state is State.IN_PROGRESS:
            self.begun = now
        elif state in FINISHED:
            self.ended = now

    def body(self) -> dict[str, Any]:
        """Return the answer to requests that create, close or abort the job."""
        raise NotImplementedError

    def entry(self) -> dict[str, Any]:
        """Return the job as an entry of the list of jobs."""
        return self.body() | {"jobType": self.job_type}

    def _body(self, operation: str, address: dict[str, str]) -> dict[str, Any]:
        return {
            "id": self.id,
            "operation": operation,
            "object": self.sobject.name,
            "createdById": self.user.id,
            "createdDate": stamp(self.created),
            "systemModstamp": stamp(self.modified),
            "state": self.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": self.version,
            **address,
            "lineEnding": self.line_ending,
            "columnDelimiter": self.delimiter,
        }

    def _progress(self, now: datetime) -> dict[str, Any]:
        """Return how many rows are done, and the time taken in milliseconds."""
        total = (self.ended or now) - self.begun if self.begun else None
        progress = {
            "retries": 0,
            "totalProcessingTime": int(total.total_seconds() * 1000) if total else 0,
            "numberRecordsProcessed": self.processed,
        }
        return progress if self.error is None else progress | {"errorMessage": self.error}


@dataclass(slots=True, kw_only=True)
class Job(AnyJob):
    """An ingest job: the order of its creator, and its progress.

    folder -- contains upload.csv, successful.csv, failed.csv, unprocessed.csv
    active -- seconds spent on its rows
    """

    kind: ClassVar[str] = "ingest"
    job_type: ClassVar[str] = "V2Ingest"

    operation: Operation
    external_id: str | None = None
    assignment_rule: str | None = None
    active: float = 0.0

    @property
    def upload(self) -> Path:
        """The rows as the caller sent them."""
        return self.folder / "upload.csv"

    @property
    def successful(self) -> Path:
        """The rows that were written, with their ids."""
        return self.folder / "successful.csv"

    @property
    def failures(self) -> Path:
        """The rows that were refused, with the reason."""
        return self.folder / "failed.csv"

    @property
    def unprocessed(self) -> Path:
        """The rows that were not reached."""
        return self.folder / "unprocessed.csv"

    def body(self) -> dict[str, Any]:
        """Return the answer to requests that create, close or abort the job."""
        address = {"contentUrl": f"services/data/v{self.version:.1f}/jobs/ingest/{self.id}/batches"}
        optional = {"externalIdFieldName": self.external_id, "assignmentRuleId": self.assignment_rule}
        return self._body(self.operation, address) | {name: value for name, value in optional.items() if value}

    def info(self, now: datetime) -> dict[str, Any]:
        """Return the answer to a request for the job's state; its times are in milliseconds."""
        times = {"apiActiveProcessingTime": int(self.active * 1000), "apexProcessingTime": 0}
        return self.entry() | self._progress(now) | times | {"numberRecordsFailed": self.failed}


# --- the order ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Order:
    """The checked order of a job's creator."""

    sobject: SObject
    operation: Operation
    external_id: str | None
    delimiter: str
    line_ending: str
    assignment_rule: str | None


def order(body: Any, schema: Schema) -> Order:
    """Read the JSON that creates a job (Bulk API 2.0 guide, "Create a Job"); raise OrgError 400 when it is wrong.

    Unknown keys are ignored: a vendor's own SDK sends some (`dataTable`).
    """
    if not isinstance(body, Mapping):
        raise json_parser_error("A job is a JSON object at [line:1, column:1]")
    operation = one_of(body, "operation", tuple(Operation), None)
    one_of(body, "contentType", ("CSV",), "CSV")
    sobject = target(body, schema, invalid_job)
    return Order(
        sobject=sobject,
        operation=Operation(operation),
        external_id=external_id(body, operation, sobject, invalid_job),
        delimiter=one_of(body, "columnDelimiter", tuple(DELIMITERS), "COMMA"),
        line_ending=one_of(body, "lineEnding", tuple(LINE_ENDINGS), "LF"),
        assignment_rule=body.get("assignmentRuleId"),
    )


def invalid_job(message: str) -> OrgError:
    """Return the refusal of a job that cannot be created as ordered."""
    return OrgError(400, "INVALIDJOB", f"InvalidJob : {message}")


def invalid_job_state(message: str) -> OrgError:
    """Return the refusal for a job that is not in the state a request needs."""
    return OrgError(400, "INVALIDJOBSTATE", message)


def one_of(body: Mapping[str, Any], key: str, known: tuple[str, ...], default: str | None) -> str:
    """Return the value of a key; raise OrgError unless it is a known one, or is missing and has a default."""
    value = body.get(key)
    if value is None:
        if default is None:
            raise invalid_job(f"Must specify {key}")
        return default
    if value not in known:
        raise json_parser_error(f"{key}: {value} is not one of {', '.join(known)}")
    return str(value)
