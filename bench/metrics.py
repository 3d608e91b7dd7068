"""What does a scrape cost? GET /metrics with many jobs of many orgs, on a Redis of its own.

    .venv/bin/python bench/metrics.py --jobs 10000 --orgs 200

None of the jobs has ended. Five of each org run, with 2 leases each, so 2,000 steps work at once; the others hold. Then
ten times as many ended jobs are added. Each figure is the median and the largest of twenty.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cryptography.fernet import Fernet
from flask.testing import FlaskClient

from api import create_app
from quotejob import testing
from quotejob.jobs.job import BuiltIn, Status
from quotejob.salesforce import API_VERSION
from quotejob.salesforce.caller import CallerContext, to18
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys


def main() -> None:
    """Fill, measure, fill more, measure again."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--orgs", type=int, default=200)
    asked = parser.parse_args()
    with testing.private_redis() as url:
        settings = Settings(
            redis_url=url, secret_keys=(Fernet.generate_key().decode(),), holding_jobs=10_000, log_level="ERROR",
            redis_may_forget=True,
        )  # fmt: skip
        services = Services(settings, store.client(url, attempts=1))
        print(f"load of the machine before: {os.getloadavg()[0]:.1f}\n")
        client = create_app(settings).test_client()
        row("no job", client)
        for _ in range(asked.orgs):
            fill_org(services, asked.jobs // asked.orgs)
        row(f"{asked.jobs:,} jobs of {asked.orgs} orgs", client)
        add_ended(services, asked.jobs * 10)
        row(f"and {asked.jobs * 10:,} ended ones", client)


def fill_org(services: Services, count: int) -> None:
    """Submit the jobs of one more org, and let five of them run."""
    caller = CallerContext(
        request_id="r", org_id=to18("00D" + uuid.uuid4().hex[:12]), org_domain_url="https://x.my.salesforce.com",
        api_version=API_VERSION, namespace="", access_token="t", user_id=to18("005RO0000000001"), username="u",
    )  # fmt: skip
    for _ in range(count):
        services.jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause="Amount > 1")
    for job_id in services.jobs.promote(caller.org_id):
        services.jobs.move(job_id, Status.PREPARING)
        for page in range(2):
            services.leases.claim(job_id, f"page 0 {page}", caller.org_id)


def add_ended(services: Services, count: int) -> None:
    """Store ended jobs, as they are kept for seven days."""
    pipe = services.client.pipeline(transaction=False)
    for number in range(count):
        job_id = str(uuid.uuid4())
        pipe.hset(keys.job(job_id), mapping={"jobType": BuiltIn.BATCH_QUOTE, "status": Status.COMPLETED, "orgId": "o"})
        pipe.zadd(keys.jobs_of("o", "jobs"), {job_id: number})
        if number % 1000 == 999:
            pipe.execute()
    pipe.execute()


def row(what: str, client: FlaskClient) -> None:
    """Scrape twenty times, and print a line about the time it took."""
    taken = []
    for _ in range(20):
        began = time.perf_counter()
        answer = client.get("/metrics")
        taken.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200
    print(f"{what:<30} {statistics.median(taken):8.1f} ms   at most {max(taken):8.1f} ms   {len(answer.data):,} bytes")


if __name__ == "__main__":
    main()
