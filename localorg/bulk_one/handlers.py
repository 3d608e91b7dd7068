"""The requests of Bulk API 1.0 (Bulk API guide, "Request Basics" and "Reference")."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from aiohttp import web

from localorg.bulk_one import results, wire
from localorg.bulk_one.job import Batch, BatchState, Job, JobState, invalid_job, order, refuse
from localorg.bulk_one.query import LONGEST_STATEMENT, chunking
from localorg.bulk_one.tables import LARGEST
from localorg.bulk_one.worker import Jobs
from localorg.errors import OrgError
from localorg.http import background
from localorg.org import ORG
from localorg.permissions import Action, check

routes = web.RouteTableDef()
JOBS: web.AppKey[Jobs] = web.AppKey("bulk_one_jobs", Jobs)

_ASYNC = r"/services/async/{version:[0-9]+\.[0-9]}/job"
_JOB = _ASYNC + "/{job}"
_BATCHES = _JOB + "/batch"
_BATCH = _BATCHES + "/{batch}"
SLASH = "{slash:/?}"
LARGEST_CONTROL = 100_000  # bytes of a jobInfo

working = background.working(JOBS, "bulk 1.0 batches")


def objects_of(request: web.Request) -> set[str]:
    """Return the object of the job that a request is about; an empty set for other requests."""
    return request.app[JOBS].objects_of(request.match_info.get("job", ""))


def _job(request: web.Request) -> Job:
    return request.app[JOBS].get(request.match_info["job"])


def _batch(request: web.Request) -> Batch:
    job = _job(request)
    _check_version(request, job)
    given = request.match_info["batch"]
    batch = next((each for each in job.batches.values() if given in (each.id, each.id[:15])), None)
    if batch is None:
        raise refuse("InvalidBatch", f"Unable to find batch: {given[:40]}")
    return batch


def _check_version(request: web.Request, job: Job) -> None:
    if float(request.match_info["version"]) != job.version:
        message = f"The job was created with API version {job.version:.1f}; its batches are used with the same version"
        raise refuse("InvalidUrl", message)


def _check_owner(request: web.Request, job: Job) -> None:
    if request.app[ORG].caller.id != job.user.id:
        raise refuse("InvalidUser", "The job was created by another user")


def _is_json(job: Job) -> bool:
    return job.order.content_type == "JSON"


# --- jobs ---------------------------------------------------------------------------------------------------------


@routes.post(_ASYNC + SLASH)
async def create(request: web.Request) -> web.StreamResponse:
    """Open a job."""
    org = request.app[ORG]
    body = wire.read_control(await _body(request, LARGEST_CONTROL))
    ordered = order(body, org.schema, chunking(request.headers.get("Sforce-Enable-PKChunking")))
    if ordered.name == "hardDelete":
        check(org.caller, ordered.sobject.name, Action.HARD_DELETE)
    if ordered.reads:
        check(org.caller, ordered.sobject.name, Action.READ)
    job = await request.app[JOBS].create(ordered, float(request.match_info["version"]))
    # The answer has the form of the request, and not of the job.
    return wire.answer(job.info(), "jobInfo", as_json="json" in request.content_type, status=201)


@routes.get(_JOB + SLASH)
async def info(request: web.Request) -> web.StreamResponse:
    """Answer with the state of a job, and the counts of its batches."""
    job = _job(request)
    return wire.answer(job.info(), "jobInfo", as_json=_is_json(job))


@routes.post(_JOB + SLASH)
async def change(request: web.Request) -> web.StreamResponse:
    """Close a job, or abort it."""
    job, jobs = _job(request), request.app[JOBS]
    body = wire.read_control(await _body(request, LARGEST_CONTROL))
    if "operation" in body or "object" in body:
        raise invalid_job("Only the state of a job can be changed")
    match body.get("state"):
        case JobState.CLOSED:
            _check_owner(request, job)
            _refuse_unless(job, "Closing", job.state is JobState.OPEN)
            await jobs.close_job(job)
        case JobState.ABORTED:
            open_still = job.state is JobState.OPEN or (job.state is JobState.CLOSED and bool(job.unfinished()))
            _refuse_unless(job, "Aborting", open_still)
            await jobs.abort(job)
        case other:
            raise refuse("InvalidJobState", f"state: {str(other)[:40]} is not one of Closed, Aborted")
    return wire.answer(job.info(), "jobInfo", as_json=_is_json(job))


def _refuse_unless(job: Job, doing: str, allowed: bool) -> None:
    if not allowed:
        state = "Completed" if job.state is JobState.CLOSED and not job.unfinished() else job.state
        raise refuse("InvalidJobState", f"{doing} already {state} Job not allowed")


# --- batches ------------------------------------------------------------------------------------------------------


@routes.post(_BATCHES + SLASH)
async def add_batch(request: web.Request) -> web.StreamResponse:
    """Add a batch of records, or a query."""
    job = _job(request)
    _check_batch(request, job)
    arriving = job.folder / f"arriving-{next(_numbers)}"
    try:
        await _receive(request, arriving)
        statement = _statement(arriving) if job.order.reads else None
        # While the body arrived, the job may have been closed or aborted.
        _check_open(job)
        batch = await request.app[JOBS].add(job, arriving, statement)
    finally:
        arriving.unlink(missing_ok=True)
    return wire.answer(batch.info(), "batchInfo", as_json=_is_json(job), status=201)


_numbers = itertools.count(1)


def _check_batch(request: web.Request, job: Job) -> None:
    """Refuse a batch that does not fit its job."""
    _check_version(request, job)
    _check_owner(request, job)
    _check_open(job)
    wanted = wire.KINDS[job.order.content_type]
    if request.content_type != wanted:
        message = f"The contentType of the job is {job.order.content_type}: send {wanted}, not {request.content_type}"
        raise refuse("InvalidBatch", message)


def _check_open(job: Job) -> None:
    if job.state is not JobState.OPEN:
        raise refuse("InvalidJobState", f"The job is {job.state}: batches can be added to open jobs only")


def _statement(path: Path) -> str:
    if path.stat().st_size > LONGEST_STATEMENT * 4:
        raise refuse("InvalidBatch", f"A query has at most {LONGEST_STATEMENT} characters")
    try:
        text = path.read_text("utf-8").strip()
    except UnicodeDecodeError as error:
        raise refuse("InvalidBatch", "The query is not in UTF-8") from error
    if not text:
        raise refuse("InvalidBatch", "The batch has no query")
    return text


@routes.get(_BATCHES + SLASH)
async def list_batches(request: web.Request) -> web.StreamResponse:
    """Answer with all batches of a job."""
    job = _job(request)
    _check_version(request, job)
    return wire.answer_list([batch.info() for batch in job.batches.values()], as_json=_is_json(job))


@routes.get(_BATCH + SLASH)
async def batch_info(request: web.Request) -> web.StreamResponse:
    """Answer with the state of a batch."""
    batch = _batch(request)
    return wire.answer(batch.info(), "batchInfo", as_json=_is_json(batch.job))


@routes.get(_BATCH + "/request" + SLASH)
async def batch_request(request: web.Request) -> web.StreamResponse:
    """Answer with the records, or the query, as they were sent."""
    batch = _batch(request)
    return web.FileResponse(batch.request, headers={"Content-Type": wire.KINDS[batch.job.order.content_type]})


@routes.get(_BATCH + "/result" + SLASH)
async def batch_result(request: web.Request) -> web.StreamResponse:
    """Answer with what became of each record, in their order; for a query, with the ids of its results."""
    batch = _batch(request)
    job = batch.job
    done = batch.state is BatchState.COMPLETED or (batch.state is BatchState.FAILED and batch.processed > 0)
    if not done:
        raise refuse("InvalidBatch", f"Batch not completed: its state is {batch.state}")
    if job.order.reads:
        return wire.result_list(batch.results, as_json=_is_json(job))
    kind = job.order.content_type
    pieces = results.pieces(batch.answers, batch.processed, kind)
    return web.Response(body=_pieces(pieces), headers={"Content-Type": wire.KINDS[kind]})


async def _pieces(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@routes.get(_BATCH + "/result/{result}" + SLASH)
async def query_result(request: web.Request) -> web.StreamResponse:
    """Answer with the records that a query found."""
    batch = _batch(request)
    given = request.match_info["result"]
    if given not in batch.results:
        raise refuse("InvalidBatch", f"Unable to find result: {given[:40]}")
    return web.FileResponse(batch.result(given), headers={"Content-Type": wire.KINDS[batch.job.order.content_type]})


# --- bodies -------------------------------------------------------------------------------------------------------


async def _body(request: web.Request, most: int) -> bytes:
    """Return a body of at most this many bytes; aiohttp has already decoded chunks and gzip."""
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > most:
            raise _too_large(most)
    return bytes(body)


async def _receive(request: web.Request, path: Path) -> None:
    """Write a batch to a file as it arrives."""
    size = 0
    with path.open("wb") as file:
        async for piece in request.content.iter_any():
            size += len(piece)
            if size > LARGEST:
                raise _too_large(LARGEST)
            file.write(piece)


def _too_large(most: int) -> OrgError:
    return refuse("ClientInputError", f"Failed to read request. Exceeded max size limit of {most} bytes")
