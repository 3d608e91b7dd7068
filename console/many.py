"""Many jobs changed at once: those that were ticked, or all that match the filters of the list."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flask import Response, request

from console.jobs import CHANGES, ROWS, View
from console.pages import blueprint, proven, services, told
from quotejob.errors import InvalidRequest, JobConflict
from quotejob.jobs import many
from quotejob.jobs.job import Job
from quotejob.jobs.listing import JobFilter
from quotejob.salesforce.caller import CallerContext
from quotejob.store import keys
from tasks import workers

Make = Callable[[str], Job]
AT_ONCE, MOST_ROUNDS = 200, 5  # jobs read at once; so many times in one request, which a browser waits for


@blueprint.post("/jobs")
def change_many() -> Response:
    """Abort or resume the jobs that were ticked."""
    context, ids = proven(), request.form.getlist("job")[:ROWS]
    jobs = [job for job in services().jobs.get_many(list(filter(keys.is_id, ids))) if job.org_id == context.org_id]
    what, kind, make = _asked(context)
    return _told(what, len(jobs), many.change_these(jobs, kind, make).jobs, context)


@blueprint.post("/jobs/all")
def change_all() -> Response:
    """Abort or resume all jobs that match the filters in the address, if not more match than the question has said."""
    context = proven()
    what, kind, make = _asked(context)
    number = request.form.get("number", 0, type=int)
    wanted = View.asked().to_change(kind)
    done, more = _rounds(context.org_id, wanted, kind, make, number) if wanted else ([], False)
    return _told(what, number, done, context, more=more)


def _rounds(org_id: str, wanted: JobFilter, kind: many.Kind, make: Make, number: int) -> tuple[list[many.Change], bool]:
    """Change those that match. Return what became of each, and whether there are more. Raises JobConflict."""
    done: list[many.Change] = []
    cursor: str | None = None
    for _ in range(MOST_ROUNDS):
        try:
            some = many.change(
                services().search, org_id, wanted, kind, make, at_most=number, limit=AT_ONCE, cursor=cursor
            )
        except JobConflict:
            if done:
                break
            raise JobConflict("More jobs match now than the question said. Nothing was changed; look again") from None
        done += some.jobs
        cursor = some.next_cursor
        if cursor is None:
            return done, False
    return done, True


def _asked(context: CallerContext) -> tuple[str, many.Kind, Make]:
    """Return what to do with jobs: its word, its kind, and how it is done to one."""
    store, what = services().jobs, request.form.get("what", "")
    if what not in CHANGES:
        raise InvalidRequest.field("what", f"should be {' or '.join(CHANGES)}")
    makes: dict[str, Make] = {"abort": store.abort, "resume": lambda job_id: store.resume(job_id, context)}
    return what, CHANGES[what], makes[what]


def _told(
    what: str, asked: int, done: Sequence[many.Change], context: CallerContext, *, more: bool = False
) -> Response:
    """Say how many of the jobs were changed, and why the first one was not that could not be."""
    workers.dispatch_org(services(), context.org_id)
    changed = sum(one.changed for one in done)
    refused = [one.message for one in done if one.message]
    said = [f"{'Aborted' if what == 'abort' else 'Resumed'} {changed:,} of {asked:,} jobs.", *refused[:1]]
    said += ["There are more: do it again."] * more
    return told(request.form.get("back", ""), " ".join(said), bad=bool(refused))
