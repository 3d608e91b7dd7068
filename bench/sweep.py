"""Measure what a sweep costs while thousands of jobs are Holding: `.venv/bin/python bench/sweep.py --jobs 10000`.

The jobs are Holding for ten seconds, no slot is free, and no worker runs. Then this process makes five sweeps, one
after the other. It prints the round trips to Redis, the commands that Redis ran (also those in scripts), and
the messages that a sweep sent to workers.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import redis
from cryptography.fernet import Fernet

from quotejob import testing

SWEEPS = 5
JOBS_PER_ORG = 100  # Holding


def main() -> None:
    """Start Redis, fill it, sweep, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    asked = parser.parse_args()
    with testing.private_redis() as url:
        secret = Fernet.generate_key().decode()
        os.environ.update(REDIS_URL=url, QUOTEJOB_SECRET_KEY=secret, QUOTEJOB_ACTIVE_JOBS="1", QUOTEJOB_LOCAL_ORG="1")
        measure(asked.jobs, redis.Redis.from_url(url))


def measure(jobs: int, client: redis.Redis) -> None:
    """Print one line for each sweep."""
    from quotejob.jobs.job import BuiltIn
    from quotejob.salesforce import API_VERSION
    from quotejob.salesforce.caller import CallerContext, to18
    from tasks.app import services
    from tasks.sweep import sweep

    for number in range(jobs):
        org = to18(f"00D{number // JOBS_PER_ORG:012d}")
        caller = CallerContext(
            request_id="r", org_id=org, org_domain_url="http://127.0.0.1:1", api_version=API_VERSION, namespace="",
            access_token="x", user_id=to18("005RO0000000001"), username="u@x.org",
        )  # fmt: skip
        services().jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause="a")
        client.sadd(f"quotejob:org:{org}:active", "none")  # its one slot is taken
    time.sleep(10)
    trips = count_round_trips()
    print(f"{jobs} jobs Holding, {-(-jobs // JOBS_PER_ORG)} orgs")
    for number in range(SWEEPS):
        sent, ran, messages = trips[0], commands(client), client.llen("control")
        began = time.perf_counter()
        sweep()
        seconds = time.perf_counter() - began
        print(
            f"sweep {number + 1}: {trips[0] - sent} round trips, {commands(client) - ran} commands, "
            f"{client.llen('control') - messages} messages, {seconds:.3f} s"
        )


def commands(client: redis.Redis) -> int:
    """Return how many commands Redis has run."""
    return int(client.info("stats")["total_commands_processed"])


def count_round_trips() -> list[int]:
    """Return a list whose one item counts what redis-py sends from now on."""
    count = [0]
    send: Callable[..., object] = redis.Connection.send_packed_command

    def counted(*args: object, **options: object) -> object:
        count[0] += 1
        return send(*args, **options)

    redis.Connection.send_packed_command = counted  # type: ignore[method-assign]
    return count


if __name__ == "__main__":
    main()
