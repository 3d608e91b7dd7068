"""The jobs before and after a job, as a small graph: each job in a row of its own, and lines between them.

All younger jobs are read to find those that come after, so a page asks for the graph once, when it is there. From then
on only the jobs of the graph are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flask import render_template, request

from console.jobs import own_job
from console.pages import current_tag, part, services, session
from quotejob.jobs.job import Job
from quotejob.jobs.listing import JobFilter
from quotejob.store import keys

STEPS = 3  # so far are jobs shown, before and after
MOST = 12  # jobs on each side
ROW, COLUMN, WIDEST = 48, 26, 182  # pixels
DOT, ARROW = 5, 5  # pixels


@dataclass(frozen=True, slots=True)
class Place:
    """A job in the graph. ``hidden`` is the number of jobs that it depends on and that are not in the graph."""

    job: Job
    x: int
    y: int
    after: tuple[Job, ...]
    hidden: int


@dataclass(frozen=True, slots=True)
class Graph:
    """Jobs from the first to the last, and the lines between them as paths of SVG."""

    places: list[Place]
    lines: list[str]
    arrows: list[str]
    width: int

    @property
    def height(self) -> int:
        """The height in pixels."""
        return ROW * len(self.places)


@part("/jobs/<job_id>/family")
def family(job_id: str) -> str:
    """Show which jobs come before and after. The page asks once."""
    found = own_job(job_id)
    before, (after, left) = _before(found), _after(found)
    jobs = [found, *before, *services().jobs.get_many(after)]
    return render_template("parts/family.html", job=found, graph=drawn(found, jobs), left=left, tag=current_tag())


@part("/jobs/<job_id>/family/now")
def family_now(job_id: str) -> str:
    """Show the same jobs again, as they are now."""
    found = own_job(job_id)
    ids = [each for each in request.args.get("ids", "").split(",") if keys.is_id(each)][: 2 * MOST + 1]
    jobs = [each for each in services().jobs.get_many(ids) if each.org_id == session().org_id]
    return render_template("parts/graph.html", job=found, graph=drawn(found, jobs))


def _before(found: Job) -> list[Job]:
    """Return the jobs that it depends on, and those that these depend on; the nearest first."""
    jobs: dict[str, Job] = {}
    front = [found]
    for _ in range(STEPS):
        ids = dict.fromkeys(each for one in front for each in one.depends_on if each not in jobs)
        front = services().jobs.get_many([*ids][: MOST - len(jobs)])
        jobs |= {job.job_id: job for job in front}
    return list(jobs.values())


def _after(found: Job) -> tuple[list[str], int]:
    """Return the ids of the jobs that depend on it, the nearest first, and how many more there are."""
    later: dict[str, list[str]] = {}  # a job -> those that depend on it, the oldest first
    younger = JobFilter(created_from=found.created_date)
    for job in reversed([*services().search.scan(found.org_id, younger, ("dependsOn",))]):
        for each in job.depends_on:
            later.setdefault(each, []).append(job.job_id)
    ids: dict[str, None] = {}
    front, shown = [found.job_id], 0
    for step in range(len(later) + 1):
        front = list(dict.fromkeys(each for one in front for each in later.get(one, ()) if each not in ids))
        if not front:
            break
        ids |= dict.fromkeys(front)
        shown = min(MOST, len(ids)) if step < STEPS else shown
    return list(ids)[:shown], len(ids) - shown


def drawn(found: Job, jobs: Iterable[Job]) -> Graph:
    """Return the graph of these jobs, ``found`` among them. A line goes down and to the right."""
    known = {job.job_id: job for job in jobs} | {found.job_id: found}
    before = {each.job_id: [one for one in each.depends_on if one in known] for each in known.values()}
    columns = _columns(before)
    order = sorted(known.values(), key=lambda job: (columns[job.job_id], job.created_date, job.job_id))
    step = min(COLUMN, WIDEST // (max(columns.values()) + 1))
    at = {job.job_id: (columns[job.job_id] * step + step // 2, ROW * row + 14) for row, job in enumerate(order)}
    places = [
        Place(job, *at[job.job_id], tuple(known[one] for one in before[job.job_id]), _hidden(job, before))
        for job in order
    ]
    lines = [_line(at[one], at[job_id]) for job_id, ones in before.items() for one in ones]
    arrows = [
        f"M{right - DOT} {down}l-{ARROW}-4v8z" for right, down in (at[each] for each, ones in before.items() if ones)
    ]
    return Graph(places, lines, arrows, step * (max(columns.values()) + 1))


def _line(start: tuple[int, int], end: tuple[int, int]) -> str:
    """Return a line to the right, down between two columns, where no other job is, and to the right again."""
    (x, y), (right, down) = start, end
    lane = x + DOT + 1 + y // ROW % 3 * 2  # those of neighbours are beside each other
    return f"M{x + DOT} {y}H{lane}q3 0 3 3V{down - 3}q0 3 3 3H{right - DOT - ARROW}"


def _hidden(job: Job, before: Mapping[str, Sequence[str]]) -> int:
    return len(job.depends_on) - len(before[job.job_id])


def _columns(before: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the column of each job: one after the last of those that it depends on."""
    columns = dict.fromkeys(before, 0)
    for _ in before:  # the longest way has fewer steps than there are jobs
        for job_id, ones in before.items():
            columns[job_id] = max((columns[one] + 1 for one in ones), default=0)
    return columns
