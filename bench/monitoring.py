"""What does it cost to look? One table: lists, the summary and estimates of one org, on a Redis of its own.

    .venv/bin/python bench/monitoring.py --jobs 10000

The jobs have ended but for those of a full flex queue: 5 that run and 100 that hold. Each figure is the median and the
largest of ten.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
import tracemalloc
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cryptography.fernet import Fernet

from quotejob import clock, testing
from quotejob.forecast.estimate import PastRun, Slots, estimate
from quotejob.forecast.org import Forecast
from quotejob.jobs.conditions import Conditions
from quotejob.jobs.job import BuiltIn, Job, Status
from quotejob.jobs.listing import JobFilter, Sort, Sorting
from quotejob.jobs.moves import PAST_RUNS
from quotejob.jobs.search import JobSearch
from quotejob.jobs.store import JobStore
from quotejob.jobs.summary import FIELDS, summarise
from quotejob.salesforce import API_VERSION
from quotejob.salesforce.caller import CallerContext, to18
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys

CLAUSE = "StageName = 'Proposal/Price Quote' AND Amount > 10000 AND CloseDate = THIS_YEAR"


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    asked = parser.parse_args()
    with testing.private_redis() as url:
        settings = Settings(redis_url=url, secret_keys=(Fernet.generate_key().decode(),))
        services = Services(settings, store.client(url, attempts=1))
        jobs, forecast = services.jobs, services.forecast
        caller = CallerContext(
            request_id="r", org_id=to18("00D" + uuid.uuid4().hex[:12]), org_domain_url="https://x.my.salesforce.com",
            api_version=API_VERSION, namespace="", access_token="t", user_id=to18("005RO0000000001"), username="u",
        )  # fmt: skip
        print(f"load of the machine before: {os.getloadavg()[0]:.1f}\n")
        fill(jobs, caller, asked.jobs)
        measure(jobs, forecast, caller.org_id, asked.jobs)


def fill(jobs: JobStore, caller: CallerContext, count: int) -> None:
    """Store ``count`` ended jobs, one a minute, and the paces of runs. Then submit 105 jobs; five of them run."""
    now = clock.now()
    client = jobs._redis
    pipe = client.pipeline(transaction=False)
    for number in range(count):
        created = now - timedelta(seconds=60 * (count - number))
        job_id = str(uuid.uuid4())
        mapping: dict[Any, Any] = {
            "jobType": BuiltIn.BATCH_QUOTE, "status": Status.COMPLETED, "orgId": caller.org_id,
            "createdDate": created.isoformat(), "createdById": caller.user_id, "soqlWhereClause": CLAUSE,
            "startedDate": (created + timedelta(seconds=1 + number % 7)).isoformat(),
            "completedDate": (created + timedelta(seconds=20 + number % 31)).isoformat(),
            "totalJobItems": 5, "jobItemsProcessed": 5, "total": 1000, "succeeded": 990, "failed": 10, "waves": 1,
            "quotesCreated": 990, "apiCalls": 31, "numberOfErrors": 1,
            "extendedStatus": "UNABLE_TO_LOCK_ROW: unable to obtain exclusive access to this record",
            "startGuess": f"{clock.ms(created)} {clock.ms(created) + 5000}",
            "endGuess": f"{clock.ms(created)} {clock.ms(created) + 30000}",
        }  # fmt: skip
        pipe.hset(keys.job(job_id), mapping=mapping)
        pipe.zadd(keys.jobs_of(caller.org_id, "jobs"), {job_id: clock.us(created)})
        if number % 1000 == 999:
            pipe.execute()
    for number in range(PAST_RUNS):
        pipe.lpush(keys.jobs_of(caller.org_id, "runs:BatchQuote"), f"{500 + 37 * number} {10_000 + 411 * number} ")
    pipe.execute()
    parent = None
    for number in range(105):
        conditions = Conditions((parent,) if parent and number % 10 == 0 else ())
        parent = jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause=CLAUSE, conditions=conditions)[0].job_id
        if number < 5:
            jobs.promote(caller.org_id)
            jobs.move(parent, Status.PREPARING)


def measure(jobs: JobStore, forecast: Forecast, org_id: str, count: int) -> None:
    """Measure each question of the API's readers, and print it."""

    def page(wanted: JobFilter, sort: Sort = Sort.CREATED) -> Callable[[], object]:
        return lambda: JobSearch(jobs._redis, jobs).recent(org_id, wanted, Sorting(sort))

    def summary() -> object:
        return summarise(JobSearch(jobs._redis, jobs).scan(org_id, JobFilter(), FIELDS))

    def note_anew() -> None:
        jobs._redis.delete(keys.jobs_of(org_id, "looked"))
        forecast.note_starts(org_id)

    opened, _ = forecast.open_jobs_with_estimates(org_id)
    past = [PastRun(500 + 37 * number, 10 + 0.411 * number) for number in range(PAST_RUNS)]
    history: dict[str, list[PastRun]] = {BuiltIn.BATCH_QUOTE: past}
    held: list[Job] = [job for job in opened if job.status is Status.HOLDING]
    [first, *_] = [job for job in opened if job.status is not Status.HOLDING]
    row("listJobs, the newest 50", page(JobFilter()))
    row("listJobs, 50 of status Failed (there are none)", page(JobFilter(frozenset([Status.FAILED]))))
    row("listJobs, 50 with a text in extendedStatus", page(JobFilter(extended_status="lock_row")))
    row("listJobs, 50 sorted by completedDate", page(JobFilter(), Sort.COMPLETED))
    row("getJobSummary", summary)
    hour = JobFilter(created_from=clock.now() - timedelta(hours=1))
    row("getJobSummary, of the last hour", lambda: summarise(JobSearch(jobs._redis, jobs).scan(org_id, hour, FIELDS)))
    row("estimates, pure, of 105 open jobs", lambda: estimate(opened, Slots(5), history, clock.now()))
    row("estimates of getFlexQueue, or a Holding getJob", lambda: forecast.with_estimates(org_id, held))
    row("estimates of getJob, running", lambda: forecast.with_estimates(org_id, [first]))
    row("dispatch's note, looking", note_anew)
    row("dispatch's note, having looked", lambda: forecast.note_starts(org_id))
    tracemalloc.start()
    summary()
    print(f"\nmost memory of a summary of {count:,} jobs: {tracemalloc.get_traced_memory()[1] / 1e6:.1f} MB")


def row(what: str, do: Callable[[], object]) -> None:
    """Call ``do`` ten times, and print a line about the time it took."""
    taken = []
    for _ in range(10):
        began = time.perf_counter()
        do()
        taken.append((time.perf_counter() - began) * 1000)
    print(f"{what:<50} {statistics.median(taken):8.1f} ms   at most {max(taken):8.1f} ms")


if __name__ == "__main__":
    main()
