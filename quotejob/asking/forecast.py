"""The forecast of a job that is not submitted yet: two questions to its org, the rest from Redis.

Of a user's own job: see :mod:`quotejob.asking.own`. Of a Quote job:

The first question counts the records. Its answer also says how many API calls the org has left, and how long it takes
says how far away the org is. The second asks for the lines, in one of three ways:

* Few records: the number of lines of each, in the order of the job. Then the calls are exact.
* Many records: the number of all lines, and of the Opportunities that have any.
* The clause has a sub-select of its own, which cannot be nested (SOQL Reference, "Semi-Joins with IN"): the first page
  is read as a sample.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from quotejob import clock
from quotejob.asking.own import OwnFound, look
from quotejob.asking.proof import judging
from quotejob.forecast import ahead
from quotejob.forecast.ahead import Allocation, Basis, JobForecast, Warned, WarningCode
from quotejob.jobs.job import CommitBy, Job, Status
from quotejob.jobs.options import PLAIN, Options
from quotejob.jobs.workers import NO_WORKER
from quotejob.jobtypes import registry
from quotejob.jobtypes.batches.calls import ROWS, Calls, Shape
from quotejob.jobtypes.own.calls import plan_calls as own_plan_calls
from quotejob.jobtypes.quotes import calls, how
from quotejob.jobtypes.quotes.pages import rules
from quotejob.run.silence import silence_of
from quotejob.salesforce import MAX_NODES, OrgClient
from quotejob.salesforce.caller import CallerContext
from quotejob.salesforce.clause import count_opportunities, is_nested
from quotejob.services import Services
from quotejob.store.intake import free_memory
from quotejob.usercode.jobtype import JobType

SAMPLE = 200  # Opportunities of a sample


@dataclass(frozen=True, slots=True)
class _Found:
    """What the org has said of the records. ``sizes``: lines of each, in the order of the job; None: only totals."""

    records: int
    quotes: int  # Opportunities that have lines
    lines: int
    latency: float  # seconds that the org took to answer
    sizes: tuple[int, ...] | None = None
    same_account: int = 0  # most nodes that records of one Account have; 0: not known

    def calls(self, shape: Shape) -> Calls:
        if self.sizes is not None:
            return calls.of_sizes(self.records, self.sizes, shape)
        return calls.of_totals(self.records, self.quotes, self.lines, shape)


def forecast(
    context: CallerContext,
    job_type: str,
    clause: str | None,
    services: Services,
    options: Options = PLAIN,
    parameters: Sequence[tuple[str, str]] = (),
) -> JobForecast:
    """Return what a job would do and cost, with at most two requests to the org.

    ``clause`` and ``parameters`` are checked as text. ``job_type`` is known here, and can be submitted by its name.
    Raises InvalidRequest if the org refuses the clause, or the code of a user's own job cannot decide a sample;
    OrgUnreachable.
    """
    job = registry.of_user(job_type)
    silence = silence_of(services.client, context.org_id)
    with judging(context, clause or "", services, silence, keep=job is None) as org:
        found = look(org, job, clause, parameters, services.settings) if job else _ask(org, clause or "")
        usage, org_calls, records = org.usage, org.calls, found.records
    commit_by = None if job else _commit_by(services, options, records, usage)
    shape = _shape(services, context.org_id, job_type, job, found.latency, commit_by, dry_run=options.dry_run)
    counted = found.calls(shape)
    if options.dry_run:
        counted = replace(counted, write=0)
    elif isinstance(found, _Found) and commit_by is CommitBy.BULK:
        counted = replace(counted, plan=counted.plan + how.PLAN_CALLS, write=calls.by_bulk(found.quotes, shape))
    expected, basis, end = _time(services, context, job_type, found, counted, shape.places)
    kept = usage and Allocation(
        usage[1], usage[0], max(options.keep_api_calls or 0, services.settings.keep_calls.of(usage[1]))
    )
    made = JobForecast(
        records=records,
        pages=ceil(records / shape.page_size),
        calls=counted,
        allocation=kept,
        percent=round(100 * counted.total / kept.limit, 2) if kept and kept.limit else None,
        redis_bytes=calls.redis_bytes(records, found.lines, shape.first_wave),
        seconds=ahead.around(expected, services.forecast_notes.ratios(context.org_id, job_type)),
        basis=basis,
        estimated_end=end,
        org_calls=org_calls,
    )
    if not options.dry_run:
        services.forecast_notes.keep(context.org_id, job_type, clause or "", counted.total, expected)
    return replace(made, warnings=_warnings(made, found, services))


def _commit_by(services: Services, options: Options, records: int, usage: tuple[int, int] | None) -> CommitBy:
    """Return how a Quote job would write: see how.decided."""
    known = how.uncounted(options.commit_by, services.settings, dry_run=options.dry_run)
    return known or how.best(records, usage, options.keep_api_calls, services.settings)


def _ask(org: OrgClient, clause: str) -> _Found:
    began = time.perf_counter()
    records = org.count(count_opportunities(clause))
    latency = time.perf_counter() - began
    return _look(org, clause, records, latency) if records else _Found(0, 0, 0, latency, ())


def _look(org: OrgClient, clause: str, records: int, latency: float) -> _Found:
    """Ask the second question."""
    with org.reading("how many lines the Opportunities have"):
        if is_nested(clause):
            return _sample(org, clause, records, latency)
        inside = f"FROM OpportunityLineItem WHERE OpportunityId IN (SELECT Id FROM Opportunity WHERE ({clause}))"
        if records <= ROWS:
            order = "Opportunity.AccountId, OpportunityId"
            rows = org.first_page(
                f"SELECT Opportunity.AccountId a, COUNT(Id) n {inside} GROUP BY {order} ORDER BY {order}"
            )
            sizes, of_account = tuple(int(row["n"]) for row in rows), Counter[str]()
            for row in rows:
                of_account[str(row["a"])] += 1 + int(row["n"])
            same = max((nodes for account, nodes in of_account.items() if account != "None"), default=0)
            return _Found(records, len(sizes), sum(sizes), latency, sizes, same)
        [row] = org.first_page(f"SELECT COUNT(Id) n, COUNT_DISTINCT(OpportunityId) q {inside}")
        return _Found(records, int(row["q"]), int(row["n"]), latency)


def _sample(org: OrgClient, clause: str, records: int, latency: float) -> _Found:
    lines = "(SELECT Id FROM OpportunityLineItems)"
    rows = org.first_page(f"SELECT Id, {lines} FROM Opportunity WHERE ({clause}) ORDER BY AccountId, Id LIMIT {SAMPLE}")
    sizes = tuple(int(block["totalSize"]) for row in rows if (block := row["OpportunityLineItems"]))
    if len(rows) >= records:
        return _Found(records, len(sizes), sum(sizes), latency, sizes)
    scale = records / max(1, len(rows))
    return _Found(records, round(scale * len(sizes)), round(scale * sum(sizes)), latency)


def _shape(
    services: Services,
    org_id: str,
    job_type: str,
    job: type[JobType[Any]] | None,
    latency: float,
    commit_by: CommitBy | None,
    *,
    dry_run: bool,
) -> Shape:
    settings, known = services.settings, services.forecast_notes.plan_calls(org_id, job_type, dry_run=dry_run)
    if known is None:
        known = own_plan_calls(job) if job else calls.plan_calls(rules(settings.pricing_rules)) + dry_run
    places, prompt = services.gate.places_when_idle(org_id), services.gate.is_prompt(org_id, latency)
    size = job.page_size if job else how.page_size(commit_by, settings)
    prompt = prompt and job is None
    return Shape(size, places, known, prompt, how.queries_of_page(commit_by), how.first_wave(commit_by))


def _time(
    services: Services,
    context: CallerContext,
    job_type: str,
    found: _Found | OwnFound,
    counted: Calls,
    places: int,
) -> tuple[float, Basis, datetime | None]:
    """Return how long the job runs, what that is computed from, and when it ends if it is submitted now."""
    now = clock.now()
    new = Job(
        job_id="new", job_type=job_type, status=Status.HOLDING, org_id=context.org_id, created_date=now,
        created_by_id=context.user_id, number_of_opportunities=found.records,
    )  # fmt: skip
    start, seconds = services.forecast.of_new_job(new)
    basis = Basis.LATENCY if seconds is None else Basis.EARLIER_RUNS
    if seconds is None:
        seconds = ahead.seconds_by_latency(
            counted, found.latency, places, records=found.records, lines=found.lines, quotes=found.quotes
        )
    return seconds, basis, None if start is None else start + timedelta(seconds=seconds)


def _warnings(made: JobForecast, found: _Found | OwnFound, services: Services) -> list[Warned]:
    """Return what may be wrong, the most serious first."""
    free = free_memory(services.client)
    checks: tuple[tuple[bool, WarningCode, Callable[[], str]], ...] = (
        (not made.records, WarningCode.NOTHING_MATCHES, lambda: "No record matches: the job would have nothing to do"),
        (not services.workers.are_there(), WarningCode.NO_WORKER, lambda: NO_WORKER.message),
        (
            free is not None and made.redis_bytes > free,
            WarningCode.REDIS_FULL,
            lambda: f"The job needs about {made.redis_bytes:,} bytes of Redis, and {free:,} are free",
        ),
        (
            found.same_account > MAX_NODES,
            WarningCode.SAME_ACCOUNT,
            lambda: (
                f"Quotes and lines of one Account are {found.same_account:,} records, so several requests write to it "
                "at a time: some may meet its lock and are sent again"
            ),
        ),
        (
            made.estimated_end is None,
            WarningCode.QUEUE_UNKNOWN,
            lambda: "When the job would start is not known: a job before it has no estimated end",
        ),
    )
    return ahead.warnings_of_calls(made.calls.total, made.allocation) + [
        Warned(code, sentence()) for wrong, code, sentence in checks if wrong
    ]
