"""The pages of jobs: the list, one job, its results, and what can be done with jobs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any

from flask import Response, render_template, request, url_for

from console.ids import that_begin, typed
from console.outlook import open_jobs, read, with_outlook
from console.pages import blueprint, current_tag, go, page, part, proven, services, session, told
from console.words import title
from quotejob import clock
from quotejob.errors import JobNotFound
from quotejob.forecast.org import MAX_ESTIMATED_HOLDING
from quotejob.jobs import many
from quotejob.jobs.job import ALIVE, Job, Status
from quotejob.jobs.listing import NEWEST_FIRST, JobFilter
from quotejob.jobs.retry import Retry
from quotejob.jobtypes import registry
from quotejob.run.failures import FailureGroup, grouped
from quotejob.run.receipt import Outcome
from quotejob.run.results.results_csv import as_csv
from quotejob.run.waves import current_pages
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import keys
from tasks import workers

ROWS = 50
MOST_NEWER = 20
OPEN = frozenset(ALIVE)
CHIPS: dict[str, tuple[str, frozenset[Status], bool | None]] = {  # word in the address -> label, statuses, has errors
    "all": ("All", frozenset(), None),
    "active": ("Active", OPEN - {Status.HOLDING}, None),
    "holding": ("Holding", frozenset({Status.HOLDING}), None),
    "completed": ("Completed", frozenset({Status.COMPLETED}), None),
    "failed": ("Failed", frozenset({Status.FAILED}), None),
    "aborted": ("Aborted", frozenset({Status.ABORTED}), None),
    "errors": ("With failed records", frozenset(), True),
}
CHANGES = {"abort": many.ABORT, "resume": many.RESUME}
SPANS: dict[str, tuple[str, timedelta | None]] = {
    "7d": ("Last 7 days", timedelta(days=7)),
    "1d": ("Last 24 hours", timedelta(days=1)),
    "any": ("Any time", None),
}


@dataclass(frozen=True)
class View:
    """What the address asks for. What it cannot mean is ignored, because people edit addresses."""

    chip: str
    text: str
    job_type: str
    span: str
    cursor: str | None

    @classmethod
    def asked(cls) -> View:
        """Return what this request's address asks for."""
        given = request.args.get
        chip, span, job_type = given("show", "all"), given("when", ""), given("type", "")
        chip = chip if chip in CHIPS else "all"
        return cls(
            chip,
            given("q", "").strip()[:200],
            job_type if registry.is_known(job_type) else "",
            span if span in SPANS else usual_span(chip),
            given("after") or None,
        )

    def with_chip(self, chip: str) -> View:
        """Return the view that a chip leads to. A span that was not chosen becomes the usual one of that chip."""
        return replace(self, chip=chip, span=usual_span(chip) if self.span == usual_span(self.chip) else self.span)

    def filter(self) -> JobFilter:
        """Return the filter."""
        _, statuses, has_errors = CHIPS[self.chip]
        span = SPANS[self.span][1]
        return JobFilter(
            statuses=statuses,
            job_types=frozenset({self.job_type} - {""}),
            created_from=None if span is None else clock.now() - span,
            name=self.text or None,
            has_errors=has_errors,
        )

    def to_change(self, kind: many.Kind) -> JobFilter | None:
        """Return the filter of those jobs of this view that such a change can be made of. None: there are none."""
        statuses = frozenset(kind.origins) & (self.filter().statuses or frozenset(kind.origins))
        return replace(self.filter(), statuses=statuses) if statuses else None

    @property
    def is_narrow(self) -> bool:
        """Whether it leaves jobs out."""
        return bool(self._words())

    def address(self, after: str | None = None) -> str:
        """Return the address of this view; of its older jobs after a cursor."""
        return url_for("console.job_list", **self._words(), after=after)

    def part(self, name: str) -> str:
        """Return the address of a part for this view."""
        return url_for(f"console.part_{name}", **self._words())

    def address_of_change(self) -> str:
        """Return where to send a change of all jobs of this view."""
        return url_for("console.change_all", **self._words())

    def _words(self) -> dict[str, Any]:
        asked = {"show": self.chip, "q": self.text, "type": self.job_type, "when": self.span}
        plain = {"show": "all", "q": "", "type": "", "when": usual_span(self.chip)}
        return {name: value for name, value in asked.items() if value != plain[name]}


def usual_span(chip: str) -> str:
    """Return the span of a chip if none is chosen: what has not ended is shown however old it is."""
    return "any" if _only_open(CHIPS[chip][1]) else "7d"


def _only_open(statuses: frozenset[Status]) -> bool:
    return bool(statuses) and statuses <= OPEN


@blueprint.get("/jobs")
def job_list() -> Response:
    """Show the org's jobs."""
    view, org_id = View.asked(), session().org_id
    if keys.is_id(typed(view.text)):
        return go(url_for("console.job", job_id=typed(view.text)))
    wanted = _sought(view.filter(), open_jobs())
    found, older = services().search.recent(org_id, wanted, NEWEST_FIRST, limit=ROWS, cursor=view.cursor)
    begun = [] if found or not view.text else that_begin(typed(view.text), _ids(org_id))
    if len(begun) == 1:
        return go(url_for("console.job", job_id=begun[0]))
    jobs = with_outlook(found or services().jobs.get_many(begun[:ROWS]))
    return page("jobs.html", jobs=jobs, older=older, view=view, chips=CHIPS, spans=SPANS, types=registry.known())


def _ids(org_id: str) -> list[str]:
    """Return the ids of the org's jobs, the newest first."""
    return services().client.ranked(keys.jobs_of(org_id, "jobs"))[::-1]


def _sought(wanted: JobFilter, there: list[Job]) -> JobFilter:
    """Return the same filter. If it takes open jobs of any time, no job older than the oldest one is read for it."""
    if wanted.created_from or not _only_open(wanted.statuses):
        return wanted
    if len(there) >= MAX_ESTIMATED_HOLDING:  # some are not there
        return wanted
    return replace(wanted, created_from=min((job.created_date for job in there), default=clock.now()))


@part("/jobs/chips")
def chips() -> str:
    """Show how many jobs each chip has, and what can be done with all that match. The page asks once."""
    view = View.asked()
    counts = _counts(services().settings, session().org_id, current_tag(), view)
    return render_template("parts/counted.html", view=view, chips=CHIPS, counts=counts)


@lru_cache(maxsize=64)
def _counts(settings: Settings, org_id: str, tag: str, view: View) -> dict[str, int]:
    """Return the number of jobs of each chip, and of those of this chip that can be changed, by the kind of change.

    All jobs are read, so this is done neither for a page nor for a part that is polled.
    """
    wanted = {name: view.with_chip(name).filter() for name in CHIPS}
    wanted |= {name: each for name, kind in CHANGES.items() if (each := view.to_change(kind))}
    there = read(settings, org_id, tag)
    wanted = {name: _sought(each, there) for name, each in wanted.items()}
    begins = [each.created_from for each in wanted.values()]
    widest = replace(wanted["all"], created_from=None if None in begins else min(filter(None, begins)))
    counts = dict.fromkeys((*CHIPS, *CHANGES), 0)
    for job in Services.connected(settings).search.scan(org_id, widest, ("failed",)):
        for name, each in wanted.items():
            counts[name] += each.takes(job)
    return counts


@part("/jobs")
def rows() -> str:
    """Show the same rows again, as they are now, and how many newer jobs there are."""
    ids = tuple(each for each in request.args.get("ids", "").split(",") if keys.is_id(each))[:ROWS]
    view = View.asked()
    jobs, newer = _rows(services().settings, session().org_id, current_tag(), ids, view)
    template = "parts/jobs.html" if ids else "parts/none.html"
    return render_template(template, jobs=jobs, newer=newer, most=MOST_NEWER, view=view)


@lru_cache(maxsize=64)
def _rows(
    settings: Settings,
    org_id: str,
    tag: str,
    ids: tuple[str, ...],
    view: View,
) -> tuple[list[Job], int]:
    """Return jobs as they are now, and how many newer ones there are. Tabs with the same view share it.

    Open jobs are read once for all views. Of newer ones nothing is read until there are some.
    """
    made = Services.connected(settings)
    there = read(settings, org_id, tag)
    known = {job.job_id: job for job in there}
    others = [job for job in made.jobs.get_many([each for each in ids if each not in known]) if job.org_id == org_id]
    known |= {job.job_id: job for job in workers.with_outlook(made, org_id, others)}
    jobs = [known[each] for each in ids if each in known]
    if view.cursor:
        return jobs, 0
    wanted = _sought(view.filter(), there)
    if jobs:
        wanted = replace(wanted, created_from=max(job.created_date for job in jobs) + timedelta.resolution)
    newer, _ = made.search.recent(org_id, wanted, NEWEST_FIRST, limit=MOST_NEWER)
    return jobs, len(newer)


@blueprint.get("/jobs/<job_id>")
def job(job_id: str) -> Response:
    """Show one job."""
    found = _with_estimates(job_id)
    return page(
        "job.html",
        **_progress(found),
        reasons=_reasons(found),
        dry=services().dry_runs.summary(found) if found.dry_run and found.ended else None,
        tag_of_reasons=_count(job_id),
    )


@part("/jobs/<job_id>/progress")
def progress(job_id: str) -> str:
    """Show how far the job is."""
    return render_template("parts/job.html", **_progress(_with_estimates(job_id)))


def _progress(found: Job) -> dict[str, Any]:
    """Return what the part "progress" shows."""
    progress, waited = services().progress, [each.job_id for each in found.waiting_for if each.job_id]
    names = {job.job_id: title(job) for job in services().jobs.get_many(waited)}
    return {"job": found, "names": names, "pace": progress.pace(found.job_id), "pages": current_pages(found, progress)}


def _count(job_id: str) -> str:
    """Return the tag of a job's reasons, with one command. Raises JobNotFound."""
    org_id, *found = services().client.fields(keys.job(job_id), ("orgId", "failed", "status"))
    if (org_id or b"").decode() != session().org_id:
        raise JobNotFound("There is no such job in this org")
    return "-".join((value or b"0").decode() for value in found)


@part("/jobs/<job_id>/reasons", tag=_count)
def job_reasons(job_id: str) -> str:
    """Show why records failed."""
    found = own_job(job_id)
    return render_template("parts/reasons.html", job=found, reasons=_reasons(found))


def _reasons(found: Job) -> list[FailureGroup]:
    if not found.failed:
        return []
    return grouped(found.job_id, services().results.stream(found.job_id, Outcome.FAILED)).groups


@blueprint.get("/jobs/<job_id>/results.csv")
def results(job_id: str) -> Response:
    """Send the results of a job as CSV: all of them, or those with one outcome or code."""
    own_job(job_id)
    outcome, code = request.args.get("outcome"), request.args.get("code")
    stream = services().results.stream(job_id, Outcome(outcome) if outcome in list(Outcome) else None)
    wanted = (result for result in stream if code is None or result.code == code)
    chunks = as_csv(wanted)
    first = next(chunks)  # read before the answer begins, so that a store that does not answer is an error
    name = f"quotejob-{job_id[:8]}-{outcome if outcome in list(Outcome) else 'results'}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(itertools.chain([first], chunks), mimetype="text/csv", headers=headers)


# -- changes -----------------------------------------------------------------------------------------------------------


@blueprint.post("/jobs/<job_id>/abort")
def abort(job_id: str) -> Response:
    """Abort a job."""
    proven()
    stopped = services().jobs.abort(own_job(job_id).job_id)
    workers.dispatch_org(services(), stopped.org_id)
    return told(_back(job_id), "Aborted. What was written stays.")


@blueprint.post("/jobs/<job_id>/resume")
def resume(job_id: str) -> Response:
    """Let a Failed or Aborted job continue, with the session of this person."""
    context = proven()
    services().jobs.resume(own_job(job_id).job_id, context)
    workers.dispatch_org(services(), context.org_id)
    return told(_back(job_id), "Resumed. It waits in the flex queue. What is written is not written again.")


@blueprint.post("/jobs/<job_id>/retry")
def retry(job_id: str) -> Response:
    """Submit a job for the failed records of a job, or for those with one code."""
    context = proven()
    codes = frozenset(code for code in request.form.getlist("code") if code)
    new, _ = services().retries.submit(context, Retry(own_job(job_id), codes), request.form.get("once") or None)
    workers.dispatch_org(services(), context.org_id)
    return told(url_for("console.job", job_id=new.job_id), "This new job retries the failed records.")


def _back(job_id: str) -> str:
    return url_for("console.job", job_id=job_id)


def own_job(job_id: str) -> Job:
    """Return a job of the person's org. Raises JobNotFound."""
    if not keys.is_id(job_id):
        raise JobNotFound("There is no such job in this org")
    return services().jobs.get(job_id, session().org_id)


def _with_estimates(job_id: str) -> Job:
    found = own_job(job_id)
    if found.status is Status.HOLDING:
        return with_outlook([found])[0]
    return workers.with_outlook(services(), found.org_id, [found])[0]  # its end does not depend on the queue
