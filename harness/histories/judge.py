"""The judge of a history: what must be true at its end, whatever happened. It reads the org and the stores."""

from __future__ import annotations

from collections import Counter

from harness.histories.older import OlderCopy
from harness.histories.org import Deal, Org
from quotejob.jobs.job import Job, Status
from quotejob.run.receipt import Outcome, Result
from quotejob.services import Services


def judge(made: Services, org: Org, jobs: dict[str, str], older: OlderCopy) -> list[str]:
    """Return what is wrong. ``jobs``: the group of Opportunities of each job id that can be judged."""
    wrong: list[str] = []
    completed = set()
    for job_id, group in jobs.items():
        job = made.jobs.get(job_id)
        results = list(made.results.stream(job_id))
        wrong += [f"job {job_id} ({job.status}): {reason}" for reason in _of_job(job, results, org, group)]
        if job.status is Status.COMPLETED:
            completed.add(job.key_id)
    keys = Counter(quote.key for quote in org.quotes.values())
    wrong += [f"{count} Quotes have the key {key}" for key, count in keys.items() if count > 1]
    for quote in org.quotes.values():
        if older.is_back and quote.key.partition(":")[0] not in completed:
            continue  # Redis may not know that its job had begun it
        if len(quote.lines) != org.deals[quote.opportunity_id].lines:
            wrong.append(f"Quote {quote.key} has {len(quote.lines)} of {org.deals[quote.opportunity_id].lines} lines")
    return wrong


def _of_job(job: Job, results: list[Result], org: Org, group: str) -> list[str]:
    if not job.ended:
        return [f"it has not ended: {job.extended_status}"]
    wrong = [
        f"{record_id} has {count} results"
        for record_id, count in Counter(result.record_id for result in results).items()
        if count > 1
    ]
    there = {quote.opportunity_id: quote for quote in org.quotes.values() if quote.key.startswith(f"{job.key_id}:")}
    if job.dry_run and there:
        wrong.append(f"a dry run wrote {list(there)}")
    for result in results:
        quote = there.get(result.record_id)
        if result.outcome is Outcome.SUCCEEDED and (quote is None or quote.id != result.quote_id):
            wrong.append(f"{result.record_id} succeeded as {result.quote_id}, and the org has {quote}")
        if result.outcome is Outcome.FAILED and quote is not None:
            wrong.append(f"{result.record_id} failed ({result.code}: {result.message}), and the org has {quote}")
    if job.status is Status.COMPLETED:
        wrong += _of_completed(job, results, org, group)
    return wrong


def _of_completed(job: Job, results: list[Result], org: Org, group: str) -> list[str]:
    """Return what is wrong with a Completed job: each of its records has the result that its nature asks for."""
    wrong = []
    outcomes = Counter(result.outcome for result in results)
    said = (job.succeeded + job.planned, job.failed, job.skipped)
    good = Outcome.PLANNED if job.dry_run else Outcome.SUCCEEDED
    true = tuple(outcomes[outcome] for outcome in (good, Outcome.FAILED, Outcome.SKIPPED))
    if said != true:
        wrong.append(f"it says {said}, its results say {true}")
    by_record = {result.record_id: result for result in results}
    for deal in org.deals.values():
        result = by_record.get(deal.id)
        if job.retry_of is None and deal.group == group and result is None:
            wrong.append(f"{deal.id} has no result")
        if result is None or result.code == "WORKER_LOST":
            continue
        if job.dry_run and result.outcome is Outcome.FAILED:
            continue  # foreseen from the fields of the org, of which this one has few; that has other tests
        expected = _expected(deal, job)
        if result.outcome is not expected:
            wrong.append(f"{deal.id} is {result.outcome} ({result.code}), and {expected} is right")
    return wrong


def _expected(deal: Deal, job: Job) -> Outcome:
    if not deal.lines:
        return Outcome.SKIPPED
    if job.dry_run:
        return Outcome.PLANNED
    return Outcome.SUCCEEDED if deal.refused is None else Outcome.FAILED
