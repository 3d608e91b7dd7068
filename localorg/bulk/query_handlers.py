"""The requests of Bulk API 2.0 query (Bulk API 2.0 guide, "Bulk API 2.0 Query")."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from localorg.bulk.handlers import CSV, SLASH, abort_only, job_list, jobs_of
from localorg.bulk.job import FINISHED, State, invalid_job_state
from localorg.bulk.query import Page, QueryJob, locator_of, page, query_order, row_of
from localorg.errors import OrgError, not_found
from localorg.http.answers import answer, read_json
from localorg.numbers import whole
from localorg.org import ORG

routes = web.RouteTableDef()

PAGE = 10_000
"""Rows of a page whose size the caller does not give. The platform chooses one too and does not say which; the locator
in the guide's example stands for row 10,000."""
_PARALLEL = 5  # pages listed at a time, for clients that read them in parallel
_PARALLEL_SINCE = 58.0

_QUERY = r"/services/data/v{version:[0-9]+\.[0-9]}/jobs/query"
_JOB = _QUERY + "/{job}"


def _job(request: web.Request) -> QueryJob:
    job = jobs_of(request).get(request.match_info["job"])
    if not isinstance(job, QueryJob):
        raise not_found()
    return job


@routes.post(_QUERY + SLASH)
async def create(request: web.Request) -> web.StreamResponse:
    """Create a query job, which waits for its turn at once. The answer is JSON, whatever the caller accepts."""
    org, body = request.app[ORG], await read_json(request)
    order = await org.run(query_order, body, org.schema, org.caller)
    job = await jobs_of(request).create_query(order, float(request.match_info["version"]))
    return answer(job.body())


@routes.get(_JOB + SLASH)
async def info(request: web.Request) -> web.StreamResponse:
    """Answer with the state and the progress of a query."""
    return answer(_job(request).info(request.app[ORG].clock()))


@routes.get(_QUERY + SLASH)
async def list_jobs(request: web.Request) -> web.StreamResponse:
    """Answer with a page of the query jobs, or of jobs of another type."""
    return job_list(request, ("Classic", "V2Ingest", "V2Query"), "V2Query")


@routes.patch(_JOB + SLASH)
async def change(request: web.Request) -> web.StreamResponse:
    """Abort a query."""
    job = _job(request)
    abort_only(job, await read_json(request))
    await jobs_of(request).abort(job)
    return answer(job.entry())


@routes.delete(_JOB + SLASH)
async def delete(request: web.Request) -> web.StreamResponse:
    """Delete a query that has ended."""
    job = _job(request)
    if job.state not in FINISHED:
        message = "Error encountered when deleting the job because the job is not terminated"
        raise OrgError(400, "API_ERROR", message)
    await jobs_of(request).delete(job)
    return web.Response(status=204)


# --- results ------------------------------------------------------------------------------------------------------


@routes.get(_JOB + "/results" + SLASH)
async def results(request: web.Request) -> web.StreamResponse:
    """Answer with the rows from ?locator= on, at most ?maxRecords= of them, under the header row."""
    job = _readable(request)
    found = await asyncio.to_thread(page, job, _start(request), _most(request))
    following = "null" if found.following is None else locator_of(found.following)
    headers = {"Content-Type": CSV, "Sforce-Locator": following, "Sforce-NumberOfRecords": str(found.rows)}
    return web.Response(body=_pieces(found), headers=headers)


async def _pieces(found: Page) -> AsyncIterator[bytes]:
    for piece in found.pieces():
        yield piece


@routes.get(_JOB + "/resultPages" + SLASH)
async def result_pages(request: web.Request) -> web.StreamResponse:
    """Answer with the addresses of the next five pages, which a client can read in parallel."""
    job = _readable(request)
    if job.version < _PARALLEL_SINCE:
        raise not_found()
    first = _start(request)
    after = first + _PARALLEL * PAGE
    base = f"/services/data/v{job.version:.1f}/jobs/query/{job.id}"
    starts = range(first, min(after, max(job.processed, first + 1)), PAGE)
    body = {
        "resultPages": [{"resultUrl": f"{base}/results?locator={locator_of(start)}"} for start in starts],
        "nextRecordsUrl": f"{base}/resultPages?locator={locator_of(after)}" if after < job.processed else None,
        "done": after >= job.processed,
    }
    return answer(body)


def _readable(request: web.Request) -> QueryJob:
    """Return the job of a request; raise OrgError unless its results are ready and the API version is the job's."""
    job = _job(request)
    if float(request.match_info["version"]) != job.version:
        message = f"The job was created with API version {job.version:.1f}; its results are read with the same version"
        raise OrgError(409, "API_ERROR", message)
    if job.state is not State.JOB_COMPLETE:
        raise invalid_job_state(f"The results of a job in the state {job.state} cannot be read")
    return job


def _start(request: web.Request) -> int:
    locator = request.query.get("locator", "")
    return row_of(locator) if locator else 0


def _most(request: web.Request) -> int:
    asked = request.query.get("maxRecords")
    if asked is None:
        return PAGE
    if not (most := whole(asked)):
        raise OrgError(400, "INVALID_ARGUMENT", f"maxRecords: {asked} is not a whole number above 0")
    return most
