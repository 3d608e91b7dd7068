"""The requests of Bulk API 2.0 ingest (Bulk API 2.0 guide, "Bulk API 2.0 Ingest")."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from aiohttp import BodyPartReader, web

from localorg.bulk.job import DELIMITERS, FINISHED, LINE_ENDINGS, Job, State, invalid_job, invalid_job_state, order
from localorg.bulk.worker import Jobs
from localorg.errors import OrgError, invalid_query_locator, json_parser_error
from localorg.ids import normalise
from localorg.middleware import answer, read_json
from localorg.org import ORG

routes = web.RouteTableDef()

# Bulk API 2.0 guide, "Upload Job Data" and "Create a Job": bytes of an upload, characters of one sent with the job.
LARGEST_UPLOAD = 150 * 1024 * 1024
LARGEST_CONTENT = 100_000
PAGE = 1_000

_INGEST = r"/services/data/v{version:\d+\.\d}/jobs/ingest"
_JOB = _INGEST + "/{job}"
_SLASH = "{slash:/?}"
_CSV = "text/csv;charset=UTF-8"


async def working(app: web.Application) -> AsyncIterator[None]:
    """Gives the org its jobs and works them off as long as the application runs (an entry for app.cleanup_ctx)."""
    org = app[ORG]
    org.jobs = Jobs(org)
    task = asyncio.create_task(org.jobs.work(), name="bulk jobs")
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    org.jobs.close()


def _jobs(request: web.Request) -> Jobs:
    return request.app[ORG].jobs


def _job(request: web.Request) -> Job:
    return _jobs(request).get(request.match_info["job"])


# --- create -------------------------------------------------------------------------------------------------------


@routes.post(_INGEST + _SLASH)
async def create(request: web.Request) -> web.StreamResponse:
    """Opens a job; a multipart request brings its rows along and closes it."""
    if request.content_type.startswith("multipart/"):
        return await _create_with_rows(request)
    return answer(_created(request, await read_json(request)).body())


def _created(request: web.Request, body: Any) -> Job:
    ordered = order(body, request.app[ORG].schema)
    return _jobs(request).create(ordered, float(request.match_info["version"]))


async def _create_with_rows(request: web.Request) -> web.StreamResponse:
    parts = await _parts(request)
    if set(parts) != {"job", "content"}:
        raise invalid_job("A multipart request has the parts job and content")
    if len(parts["content"].decode("utf-8", "replace")) > LARGEST_CONTENT:
        raise invalid_job(f"The content is longer than {LARGEST_CONTENT} characters")
    job = _created(request, orjson.loads(parts["job"]))
    job.upload.write_bytes(parts["content"])
    _jobs(request).finish_upload(job)
    return answer(job.body())


async def _parts(request: web.Request) -> dict[str, bytes]:
    """The parts of a multipart request by name; raises OrgError when it is not well formed."""
    parts: dict[str, bytes] = {}
    try:
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader):
                parts[part.name or ""] = bytes(await part.read(decode=True))
    except ValueError as error:
        raise OrgError(400, "BAD_REQUEST", f"The multipart request could not be read: {error}") from error
    return parts


# --- upload -------------------------------------------------------------------------------------------------------


@routes.put(_JOB + "/batches" + _SLASH)
async def upload(request: web.Request) -> web.StreamResponse:
    """Takes the rows of an open job; sent once more, they replace what was there."""
    job = _job(request)
    _refuse_unless_open(job)
    if request.content_type not in ("text/csv", "application/octet-stream"):
        raise OrgError(415, "UNSUPPORTED_MEDIA_TYPE", f"Rows are sent as text/csv, not as {request.content_type}")
    arriving = job.folder / f"arriving-{next(_numbers)}.csv"
    try:
        await _receive(request, arriving)
        # The job may have been closed or aborted in the meantime.
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
    """Writes a request's body to a file as it arrives; aiohttp has undone chunks and gzip."""
    size = 0
    with path.open("wb") as file:
        async for piece in request.content.iter_any():
            size += len(piece)
            if size > LARGEST_UPLOAD:
                raise OrgError(413, "EXCEEDEDQUOTA", f"An upload has at most {LARGEST_UPLOAD} bytes")
            file.write(piece)


# --- states -------------------------------------------------------------------------------------------------------


@routes.patch(_JOB + _SLASH)
async def change(request: web.Request) -> web.StreamResponse:
    """Closes a job, so that it is worked off, or aborts it."""
    job = _job(request)
    body = await read_json(request)
    match body.get("state") if isinstance(body, dict) else None:
        case State.UPLOAD_COMPLETE:
            _refuse_state(job, "Closing", frozenset({State.OPEN}))
            _jobs(request).finish_upload(job)
        case State.ABORTED:
            _refuse_state(job, "Aborting", frozenset(State) - FINISHED)
            await _jobs(request).abort(job)
        case other:
            raise json_parser_error(f"state: {other} is not one of UploadComplete, Aborted")
    return answer(job.entry())


def _refuse_state(job: Job, doing: str, allowed: frozenset[State]) -> None:
    if job.state not in allowed:
        named = {State.JOB_COMPLETE: "Completed", State.UPLOAD_COMPLETE: "Closed", State.IN_PROGRESS: "Closed"}
        raise invalid_job_state(f"{doing} already {named.get(job.state, job.state)} Job not allowed")


@routes.delete(_JOB + _SLASH)
async def delete(request: web.Request) -> web.StreamResponse:
    """Forgets a job; not while it takes an upload or is worked on."""
    job = _job(request)
    if job.state in (State.OPEN, State.IN_PROGRESS):
        message = "Error encountered when deleting the job because the job is not terminated"
        raise OrgError(400, "API_ERROR", message)
    _jobs(request).delete(job)
    return web.Response(status=204)


# --- asking -------------------------------------------------------------------------------------------------------


@routes.get(_JOB + _SLASH)
async def info(request: web.Request) -> web.StreamResponse:
    """How far a job is."""
    return answer(_job(request).info(request.app[ORG].clock()))


@routes.get(_INGEST + _SLASH)
async def list_jobs(request: web.Request) -> web.StreamResponse:
    """The jobs there are, a page at a time; `jobType` and `isPkChunkingEnabled` narrow them down."""
    found = list(itertools.islice(_asked_for(request), PAGE + 1))
    body: dict[str, Any] = {"done": len(found) <= PAGE, "records": [job.entry() for job in found[:PAGE]]}
    body["nextRecordsUrl"] = None if body["done"] else str(request.rel_url.update_query(queryLocator=found[PAGE].id))
    return answer(body)


def _asked_for(request: web.Request) -> Iterator[Job]:
    job_type = request.query.get("jobType", "V2Ingest")
    if job_type not in ("BigObjectIngest", "Classic", "V2Ingest"):
        raise OrgError(400, "INVALID_ARGUMENT", f"jobType: {job_type} is not one of BigObjectIngest, Classic, V2Ingest")
    # Every job here is of the one type, and none has primary key chunking.
    if job_type != "V2Ingest" or request.query.get("isPkChunkingEnabled", "").lower() == "true":
        return iter(())
    return _jobs(request).since(_first_of_page(request))


def _first_of_page(request: web.Request) -> str:
    """The job a page begins with: its id is the locator."""
    locator = request.query.get("queryLocator", "")
    if locator and normalise(locator) is None:
        raise invalid_query_locator()
    return locator


# --- results ------------------------------------------------------------------------------------------------------


@routes.get(_JOB + "/{which:(?i:successfulResults|failedResults|unprocessedRecords)}" + _SLASH)
async def results(request: web.Request) -> web.StreamResponse:
    """One of the three result files, in the job's delimiter and line ending, as far as it is written."""
    job = _job(request)
    path, columns = _file(job, request.match_info["which"].lower())
    if path.exists():
        return web.FileResponse(path, headers={"Content-Type": _CSV})
    # The job has not begun.
    header = DELIMITERS[job.delimiter].join(f'"{column}"' for column in columns)
    body = header + LINE_ENDINGS[job.line_ending] if columns else ""
    return web.Response(body=body.encode(), headers={"Content-Type": _CSV})


def _file(job: Job, which: str) -> tuple[Path, tuple[str, ...]]:
    """A result file and the columns it begins with."""
    match which:
        case "successfulresults":
            return job.successful, ("sf__Id", "sf__Created")
        case "failedresults":
            return job.failures, ("sf__Id", "sf__Error")
        case _:
            return job.unprocessed, ()
