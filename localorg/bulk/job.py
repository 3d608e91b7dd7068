"""One Bulk job: what it is to do, and its life."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

from localorg.data.values import stamp
from localorg.errors import OrgError, json_parser_error
from localorg.permissions import User
from localorg.schema.model import Schema, SObject

DELIMITERS = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}


class State(StrEnum):
    """Where a job is (Bulk API 2.0 guide, "Job States"); ABORTED can be reached from the first three."""

    OPEN = "Open"  # takes an upload
    UPLOAD_COMPLETE = "UploadComplete"  # waits to be worked off
    IN_PROGRESS = "InProgress"
    JOB_COMPLETE = "JobComplete"  # every row was tried; some may have failed
    FAILED = "Failed"  # the file could not be worked off to its end
    ABORTED = "Aborted"


FINISHED = frozenset({State.JOB_COMPLETE, State.FAILED, State.ABORTED})


class Operation(StrEnum):
    """What is done with each row."""

    INSERT = "insert"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"
    HARD_DELETE = "hardDelete"


@dataclass(slots=True, kw_only=True)
class AnyJob:
    """What ingest and query jobs have in common.

    folder -- where its files are
    processed, failed -- rows tried so far, and those of them that failed
    begun, ended -- when work on it began and ended
    closed -- set when work on it has ended and its files are complete
    """

    kind: ClassVar[str]  # "ingest" or "query": its place in the API
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
        """Enters a state; error says why when that is Failed."""
        self.state, self.modified, self.error = state, now, error
        if state is State.IN_PROGRESS:
            self.begun = now
        elif state in FINISHED:
            self.ended = now

    def body(self) -> dict[str, Any]:
        """The answer to creating, closing and aborting the job."""
        raise NotImplementedError

    def entry(self) -> dict[str, Any]:
        """The job in the list of jobs."""
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
        """How far it is; the time is in milliseconds."""
        total = (self.ended or now) - self.begun if self.begun else None
        progress = {
            "retries": 0,
            "totalProcessingTime": int(total.total_seconds() * 1000) if total else 0,
            "numberRecordsProcessed": self.processed,
        }
        return progress if self.error is None else progress | {"errorMessage": self.error}


@dataclass(slots=True, kw_only=True)
class Job(AnyJob):
    """An ingest job as its creator ordered it, and how far it has come.

    folder -- has upload.csv, successful.csv, failed.csv, unprocessed.csv
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
        return self.folder / "upload.csv"

    @property
    def successful(self) -> Path:
        return self.folder / "successful.csv"

    @property
    def failures(self) -> Path:
        return self.folder / "failed.csv"

    @property
    def unprocessed(self) -> Path:
        return self.folder / "unprocessed.csv"

    def body(self) -> dict[str, Any]:
        """The answer to creating, closing and aborting the job."""
        address = {"contentUrl": f"services/data/v{self.version:.1f}/jobs/ingest/{self.id}/batches"}
        optional = {"externalIdFieldName": self.external_id, "assignmentRuleId": self.assignment_rule}
        return self._body(self.operation, address) | {name: value for name, value in optional.items() if value}

    def info(self, now: datetime) -> dict[str, Any]:
        """The answer to asking about the job; its times are in milliseconds."""
        times = {"apiActiveProcessingTime": int(self.active * 1000), "apexProcessingTime": 0}
        return self.entry() | self._progress(now) | times | {"numberRecordsFailed": self.failed}


# --- the order ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Order:
    """What the creator of a job asks for, checked."""

    sobject: SObject
    operation: Operation
    external_id: str | None
    delimiter: str
    line_ending: str
    assignment_rule: str | None


def order(body: Any, schema: Schema) -> Order:
    """Reads the JSON that creates a job (Bulk API 2.0 guide, "Create a Job"); raises OrgError 400.

    Keys it does not know are passed over: a vendor's own SDK sends some (`dataTable`).
    """
    if not isinstance(body, Mapping):
        raise json_parser_error("A job is a JSON object at [line:1, column:1]")
    operation = one_of(body, "operation", tuple(Operation), None)
    one_of(body, "contentType", ("CSV",), "CSV")
    sobject = _object(body, schema)
    return Order(
        sobject=sobject,
        operation=Operation(operation),
        external_id=_external_id(body, operation, sobject),
        delimiter=one_of(body, "columnDelimiter", tuple(DELIMITERS), "COMMA"),
        line_ending=one_of(body, "lineEnding", tuple(LINE_ENDINGS), "LF"),
        assignment_rule=body.get("assignmentRuleId"),
    )


def invalid_job(message: str) -> OrgError:
    """A job that cannot be made as ordered."""
    return OrgError(400, "INVALIDJOB", f"InvalidJob : {message}")


def invalid_job_state(message: str) -> OrgError:
    """A job that is not in the state a request needs."""
    return OrgError(400, "INVALIDJOBSTATE", message)


def one_of(body: Mapping[str, Any], key: str, known: tuple[str, ...], default: str | None) -> str:
    """The value of a key that takes these; raises OrgError for another one, and when there is none and no default."""
    value = body.get(key)
    if value is None:
        if default is None:
            raise invalid_job(f"Must specify {key}")
        return default
    if value not in known:
        raise json_parser_error(f"{key}: {value} is not one of {', '.join(known)}")
    return str(value)


def _object(body: Mapping[str, Any], schema: Schema) -> SObject:
    name = body.get("object")
    if not name:
        raise invalid_job("Must specify object")
    sobject = schema.object(name) if isinstance(name, str) else None
    if sobject is None:
        raise invalid_job(f"Unable to find object: {name}")
    return sobject


def _external_id(body: Mapping[str, Any], operation: str, sobject: SObject) -> str | None:
    name = body.get("externalIdFieldName")
    if operation != Operation.UPSERT:
        if name is not None:
            raise invalid_job("External ID can only be specified for upsert.")
        return None
    if not name:
        raise invalid_job(f"External ID was blank for {sobject.name}. An External ID must be specified for upsert.")
    found = sobject.field(name) if isinstance(name, str) else None
    if found is None or not (found.external_id or found.id_lookup):
        what = f"Field name provided, {name} does not match an External ID, Salesforce Id, or indexed field"
        raise invalid_job(f"{what} for {sobject.name}")
    return found.name
