"""The overview: what runs, how the night went, what needs a person, what comes next."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import urlsplit

from flask import Response, render_template

from console.outlook import open_jobs
from console.pages import blueprint, page, part, person, services, session
from quotejob import clock
from quotejob.diagnosis import LEAST_LEFT
from quotejob.jobs.job import Job, Status
from quotejob.jobs.listing import JobFilter
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import keys, usage
from quotejob.store.intake import concerns

NIGHT = timedelta(hours=12)
NIGHT_KEPT_FOR = 60  # seconds, at most
JOBS_A_SECOND = 20  # the night is kept for a second more for so many jobs, because all of them are read
MOST_BARS = 100  # drawn in a lane, the latest ones
SHOWN = 5  # of the queue, of the schedules, of what needs a person


@dataclass
class Night:
    """The jobs of the last hours, in figures and as bars in lanes."""

    since: datetime
    until: datetime
    counts: dict[str, int] = field(default_factory=dict)
    quotes: int = 0
    failed: int = 0
    api_calls: int = 0
    lanes: list[list[Job]] = field(default_factory=list)
    unlucky: list[Job] = field(default_factory=list)  # Failed, the latest first

    def left(self, job: Job) -> float:
        """Return where a job's bar begins, in percent."""
        return self._place(job.started_date or job.created_date)

    def width(self, job: Job) -> float:
        """Return how long a job's bar is, in percent; never too short to be seen."""
        return max(0.5, self._place(job.completed_date or self.until) - self.left(job))

    @property
    def hours(self) -> list[tuple[float, datetime]]:
        """Every second full hour, with its place in percent."""
        first = self.since.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        return [(self._place(hour), hour) for hour in (first + timedelta(hours=each) for each in range(0, 12, 2))]

    def _place(self, moment: datetime) -> float:
        return max(0.0, min(100.0, (moment - self.since) / (self.until - self.since) * 100))


FIELDS = (
    *("startedDate", "completedDate", "extendedStatus", "quotesCreated", "failed", "apiCalls"),
    *("name", "soqlWhereClause", "numberOfOpportunities", "retryOf"),
)


@blueprint.get("/")
@blueprint.get("", endpoint="home")
def overview() -> Response:
    """Show the overview."""
    return page("overview.html", night=_night(), most=MOST_BARS, **_now(), **_coming())


@part("/now")
def now() -> str:
    """Show what runs and what waits."""
    return render_template("parts/now.html", **_now())


@part("/coming")
def coming() -> str:
    """Show what needs a person, and what the clock will start."""
    return render_template("parts/coming.html", **_coming())


@part("/night")
def night() -> str:
    """Show the last hours."""
    return render_template("parts/night.html", night=_night(), most=MOST_BARS)


def _now() -> dict[str, object]:
    settings, jobs = services().settings, open_jobs()
    running = [job for job in jobs if job.status is not Status.HOLDING]
    holding = [job for job in jobs if job.status is Status.HOLDING]
    kept = services().client.value(keys.jobs_of(session().org_id, "reserved"))
    return {
        "running": running,
        "free": max(0, settings.active_jobs - len(running)),
        "slots": settings.active_jobs,
        "kept": int(kept or 0),
        "holding": holding[:SHOWN],
        "waiting": len(holding),
        "warnings": _warnings(),
    }


def _warnings() -> list[str]:
    """Say what will stop jobs: no worker, a Redis that may forget, API calls that are nearly used up."""
    client, host = services().client, urlsplit(person().org_domain_url).netloc
    found = concerns(client)
    if not services().workers.are_there():
        found.append("No worker runs. Nothing is lost: jobs go on when one is back. Start one: celery -A tasks worker")
    calls = usage.of_host(client, host)
    if calls and calls.share_left < LEAST_LEFT:
        said = f"Only {calls.left:,} of the org's {calls.allowed:,} API calls are left today"
        found.append(f"{said}. Jobs wait when there are none, and go on when calls return.")
    return found


def _coming() -> dict[str, object]:
    org_id = session().org_id
    every = services().schedules.list_for_org(org_id)
    timed = sorted((each.next_fire_time, each.name, each) for each in every if each.next_fire_time)
    return {"coming": [each for _, _, each in timed[:SHOWN]], "unlucky": _night().unlucky, "shown": SHOWN}


def _night() -> Night:
    """Return the last hours, as they were when somebody asked some seconds ago: all tabs share one reading."""
    org_id, since = session().org_id, clock.us(clock.now() - NIGHT)
    jobs = services().client.zcount(keys.jobs_of(org_id, "jobs"), since, "+inf")
    seconds = max(2, min(NIGHT_KEPT_FOR, jobs // JOBS_A_SECOND))
    return _read_night(services().settings, org_id, seconds, int(time.time() // seconds))


@lru_cache(maxsize=64)
def _read_night(settings: Settings, org_id: str, *_span: int) -> Night:  # a new span of time is read anew
    """Read the jobs of the last hours. A job goes into the first lane that is free at its start."""
    until, search = clock.now(), Services.connected(settings).search
    found = Night(until - NIGHT, until, {})
    jobs = list(search.scan(org_id, JobFilter(created_from=found.since), FIELDS))
    found.unlucky = [job for job in jobs if job.status is Status.FAILED]
    begun = [job for job in jobs if job.started_date]
    free_from: list[datetime] = []
    for job in sorted(begun, key=lambda each: each.started_date or until):
        start, end = job.started_date or until, job.completed_date or until
        lane = next((index for index, free in enumerate(free_from) if free <= start), len(free_from))
        if lane == len(free_from):
            free_from.append(end)
            found.lanes.append([])
        free_from[lane] = end
        found.lanes[lane].append(job)
        found.counts[job.status] = found.counts.get(job.status, 0) + 1
        found.quotes += job.quotes_created
        found.failed += job.failed
        found.api_calls += job.api_calls
    return found
