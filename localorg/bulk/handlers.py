"""The requests of Bulk API 2.0 ingest (Bulk API 2.0 guide, "Bulk API 2.0 Ingest")."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import orjson
from aiohttp import BodyPartReader, web

from localorg.bulk.job import (
    DELIMITERS,
    FINISHED,
    LINE_ENDINGS,
    AnyJob,
    Job,
    State,
    invalid_job,
    invalid_job_state,
    order,
)
from localorg.bulk.orders import Operation
from localorg.bulk.worker import BulkJobs
from localorg.errors import OrgError, invalid_query_locator, json_parser_error, not_found
from localorg.http import background
from localorg.http.answers import answer, read_json
from localorg.ids import normalise
from localorg.org import ORG
from localorg.permissions import Action, check

routes = web.RouteTableDef()
BULK_JOBS: web.AppKey[BulkJobs] = web.AppKey("bulk_jobs", BulkJobs)


class Listed(Protocol):
    """A job that can be in the list of jobs."""

    id: str

    def entry(self) -> dict[str, Any]:
        """Return the job as an entry of the list."""


CLASSIC_JOBS: web.AppKey[Callable[[str], Iterator[Listed]]] = web.AppKey("classic_jobs")
"""Where the list of jobs finds those of Bulk API 1.0, from an id on."""

# Bulk API 2.0 guide, "Upload Job Data" and "Create a Job": bytes of an upload, characters of one sent with the job.
LARGEST_UPLOAD = 150 * 1024 * 1024
LARGEST_CONTENT = 100_000
PAGE = 1_000

_INGEST = r"/services/data/v{version:[0-9]+\.[0-9]}/jobs/ingest"
_JOB = _INGEST + "/{job}"
SLASH = "{slash:/?}"
CSV = "text/csv;charset=UTF-8"

working = background.working(BULK_JOBS, "bulk jobs")


def jobs_of(request: web.Request) -> BulkJobs:
    """Return the jobs of the org that a request is for."""
    return request.app[BULK_JOBS]


def objects_of(request: web.Request) -> set[str]:
    """Return the object of the Bulk job that a request is about; an empty set for other requests."""
    return jobs_of(request).objects_of(request.match_info.get("job", ""))


def _job(request: web.Request) -> Job:
    job = jobs_of(request).get(request.match_info["job"])
    if not isinstance(job, Job):
        raise not_found()
    return job


# --- create -------------------------------------------------------------------------------------------------------


@routes.post(_INGEST + SLASH)
async def create(request: web.Request) -> web.StreamResponse:
    """Open a job; a multipart request also brings the rows and closes the job."""
    if request.content_type.startswith("multipart/"):
        return await _create_with_rows(request)
    return answer((await _created(request, await read_json(request))).body())


async def _created(request: web.Request, body: Any) -> Job:
    org = request.app[ORG]
    ordered = order(body, org.schema)
    if ordered.operation is Operation.HARD_DELETE:
        check(org.caller, ordered.sobject.name, Action.HARD_DELETE)
    return await jobs_of(request).create(ordered, float(request.match_info["version"]))


async def _create_with_rows(request: web.Request) -> web.StreamResponse:
    parts = await _parts(request)
    if set(parts) != {"job", "content"}:
        raise invalid_job("A multipart request has the parts job and content")
    if len(parts["content"].decode("utf-8", "replace")) > LARGEST_CONTENT:
        raise invalid_job(f"The content is longer than {LARGEST_CONTENT} characters")
    job = await _created(request, orjson.loads(parts["job"]))
    job.upload.write_bytes(parts["content"])
    await jobs_of(request).finish_upload(job)
    return answer(job.body())


async def _parts(request: web.Request) -> dict[str, bytes]:
    """Return the parts of a multipart request by name; raise OrgError when it is not well formed."""
    parts: dict[str, bytes] = {}
    try:
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader):
                parts[part.name or ""] = bytes(await part.read(decode=True))
    except ValueError as error:
        raise OrgError(400, "BAD_REQUEST", f"The multipart request could not be read: {error}") from error
    return parts


# --- upload -------------------------------------------------------------------------------------------------------


@routes.put(_JOB + "/batches" + SLASH)
async def upload(request: web.Request) -> web.StreamResponse:
    """Store the rows of an open job; a second upload replaces the first."""
    job = _job(request)
    _refuse_unless_open(job)
    if request.content_type not in ("text/csv", "application/octet-stream"):
        raise OrgError(415, "UNSUPPORTED_MEDIA_TYPE", f"Rows are sent as text/csv, not as {request.content_type}")
    arriving = job.folder / f"arriving-{next(_numbers)}.csv"
    try:
        await _receive(request, arriving)
        # While the body arrived, the job may have been closed or aborted.
        _refuse_unless_open(job)
        arriving.replace(job.upload)
    finally:
        arriving.unlink(missing_ok=True)
    return web.Response(status=201)


_numbers = itertools.count(1)


def _refuse_unless_open(job: Job) -> None:
    if job.state is not State.OPEN:
        raise invalid_job_state(f"Uploading data to a job in the state {job.state} not allowed")


async def _receive(request: web.Request, path: Path) -> None:
    """Write a request's body to a file as it arrives; aiohttp has already decoded chunks and gzip."""
    size = 0
    with path.open("wb") as file:
        async for piece in request.content.iter_any():
            size += len(piece)
            if size > LARGEST_UPLOAD:
                raise OrgError(413, "EXCEEDEDQUOTA", f"An upload has at most {LARGEST_UPLOAD} bytes")
            file.write(piece)


# --- states -------------------------------------------------------------------------------------------------------


@routes.patch(_JOB + SLASH)
async def change(request: web.Request) -> web.StreamResponse:
    """Close a job, so that it is processed, or abort it."""
    job = _job(request)
    body = await read_json(request)
    match body.get("state") if isinstance(body, dict) else None:
        case State.UPLOAD_COMPLETE:
            _refuse_state(job, "Closing", frozenset({State.OPEN}))
            await jobs_of(request).finish_upload(job)
        case State.ABORTED:
            _refuse_state(job, "Aborting", frozenset(State) - FINISHED)
            await jobs_of(request).abort(job)
        case other:
            raise json_parser_error(f"state: {other} is not one of UploadComplete, Aborted")
    return answer(job.entry())


def abort_only(job: AnyJob, body: Any) -> None:
    """Raise OrgError unless the body aborts the job and the job can be aborted."""
    state = body.get("state") if isinstance(body, dict) else None
    if state != State.ABORTED:
        raise json_parser_error(f"state: {state} is not one of Aborted")
    _refuse_state(job, "Aborting", frozenset(State) - FINISHED)


def _refuse_state(job: AnyJob, doing: str, allowed: frozenset[State]) -> None:
    if job.state not in allowed:
        named = {State.JOB_COMPLETE: "Completed", State.UPLOAD_COMPLETE: "Closed", State.IN_PROGRESS: "Closed"}
        raise invalid_job_state(f"{doing} already {named.get(job.state, job.state)} Job not allowed")


@routes.delete(_JOB + SLASH)
async def delete(request: web.Request) -> web.StreamResponse:
    """Delete a job; refuse this while it takes an upload or is being processed."""
    job = _job(request)
    if job.state in (State.OPEN, State.IN_PROGRESS):
        message = "Error encountered when deleting the job because the job is not terminated"
        raise OrgError(400, "API_ERROR", message)
    await jobs_of(request).delete(job)
    return web.Response(status=204)


# --- info ---------------------------------------------------------------------------------------------------------


@routes.get(_JOB + SLASH)
async def info(request: web.Request) -> web.StreamResponse:
    """Answer with the state and the progress of a job."""
    return answer(_job(request).info(request.app[ORG].clock()))


@routes.get(_INGEST + SLASH)
async def list_jobs(request: web.Request) -> web.StreamResponse:
    """Answer with a page of the list of jobs; `jobType` and `isPkChunkingEnabled` filter it."""
    return job_list(request, ("BigObjectIngest", "Classic", "V2Ingest"), "V2Ingest")


def job_list(request: web.Request, types: tuple[str, ...], usual: str) -> web.Response:
    """Return a page of the jobs of the type in the query string, which must be one of types; the default is usual."""
    job_type = request.query.get("jobType", usual)
    if job_type not in types:
        raise OrgError(400, "INVALID_ARGUMENT", f"jobType: {job_type} is not one of {', '.join(types)}")
    start = _first_of_page(request)
    # This org has no jobs with primary key chunking.
    chunked = request.query.get("isPkChunkingEnabled", "").lower() == "true"
    jobs: Iterator[Listed] = iter(()) if chunked else _listed(request, start, job_type)
    found = list(itertools.islice(jobs, PAGE + 1))
    body: dict[str, Any] = {"done": len(found) <= PAGE, "records": [job.entry() for job in found[:PAGE]]}
    body["nextRecordsUrl"] = None if body["done"] else str(request.rel_url.update_query(queryLocator=found[PAGE].id))
    return answer(body)


def _listed(request: web.Request, start: str, job_type: str) -> Iterator[Listed]:
    if job_type == "Classic":
        return request.app[CLASSIC_JOBS](start)
    return jobs_of(request).since(start, job_type)


def _first_of_page(request: web.Request) -> str:
    """Return the id of the first job on the page: the locator is this id."""
    locator = request.query.get("queryLocator", "")
    if locator and normalise(locator) is None:
        raise invalid_query_locator()
    return locator


# --- results ------------------------------------------------------------------------------------------------------


@routes.get(_JOB + "/{which:(?i:successfulResults|failedResults|unprocessedRecords)}" + SLASH)
async def results(request: web.Request) -> web.StreamResponse:
    """Answer with one of the three result files so far, in the job's delimiter and line ending."""
    job = _job(request)
    path, columns = _file(job, request.match_info["which"].lower())
    if path.exists():
        return web.FileResponse(path, headers={"Content-Type": CSV})
    # The job has not started.
    header = DELIMITERS[job.delimiter].join(f'"{column}"' for column in columns)
    body = header + LINE_ENDINGS[job.line_ending] if columns else ""
    return web.Response(body=body.encode(), headers={"Content-Type": CSV})


def _file(job: Job, which: str) -> tuple[Path, tuple[str, ...]]:
    """Return the path of a result file and its first columns."""
    match which:
        case "successfulresults":
            return job.successful, ("sf__Id", "sf__Created")
        case "failedresults":
            return job.failures, ("sf__Id", "sf__Error")
        case _:
            return job.unprocessed, ()
