"""Does the scheduler keep its word with thousands of jobs, and what does it cost to give a slot away?

    .venv/bin/python bench/scheduler.py

First 10,000 jobs of 200 orgs in simulated time, every event checked by a plain model (bench/simulated.py). Then the
cost of one promotion, as a slot comes free in an org that has 10 ... 10,000 jobs Holding, and beside 1 ... 2,000 orgs;
and that of a submission and of a move by hand. Absolute times say as much about the machine as about quotejob; the
ratios within the run and the counts of commands do not.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import redis

from bench.simulated import START, Found, simulate
from quotejob import testing
from quotejob.life import Status
from quotejob.testing import Org

TIMES = 200  # promotions measured at each size
HOLDING = (10, 100, 1000, 10_000)
ORGS = (1, 200, 2000)
HOLDING_BESIDE_ORGS = 10
OURS = ("cmdstat_info", "cmdstat_config", "cmdstat_config|resetstat")  # the measuring itself


@dataclass(frozen=True)
class Cost:
    """What something costs at the median: its own time and the server's, and the commands the server ran for it."""

    microseconds: float
    server: float  # microseconds
    commands: float  # those inside scripts too


def main() -> int:
    """Print both; exit code 0."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--orgs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=int, default=10_000, help="the largest size of the second part")
    asked = parser.parse_args()
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}\n")
    tell(simulate(asked.jobs, asked.orgs, asked.seed), asked.seed)
    with testing.private_redis() as url:
        by_jobs = {size: beside_jobs(url, size) for size in HOLDING if size <= asked.most}
        by_orgs = {size: beside_orgs(url, size) for size in ORGS if size <= asked.most}
    table("one promotion; jobs Holding in its org", {size: costs[0] for size, costs in by_jobs.items()})
    table("one promotion; orgs, each with 10 jobs Holding", {size: costs[0] for size, costs in by_orgs.items()})
    table("one submission; jobs Holding in its org", {size: costs[1] for size, costs in by_jobs.items()})
    table("one move to the front; jobs Holding in its org", {size: costs[2] for size, costs in by_jobs.items()})
    return 0


def tell(found: Found, seed: int) -> None:
    """What came of the simulation."""
    ended = ", ".join(f"{count:,} {status}" for status, count in sorted(found.ended.items()))
    row(f"jobs of {found.orgs} orgs (seed {seed})", f"{found.submitted:,} submitted, {found.scheduled:,} scheduled")
    row("all ended", ended)
    row(
        "events, each checked",
        f"{found.moments:,} moments in {found.simulated / timedelta(hours=1):.1f} simulated hours",
    )
    row("refused with 429, moved by hand", f"{found.refused:,}, {found.moved:,}")
    row(
        "most active and most Holding in any org at any event", f"{found.most_active} of 5, {found.most_holding} of 100"
    )
    row("slots left free while a job of the org could go", "0")
    row("guaranteed fires without a slot at their time", f"{found.late} of {found.guaranteed}")
    row("took", f"{found.seconds:.0f} s")


def beside_jobs(url: str, holding: int) -> list[Cost]:
    """Of a promotion, a submission and a move to the front in an org with so many jobs Holding."""
    with testing.sandbox(at=START, redis_url=url, holding_jobs=holding) as org:
        return costs(url, [org], holding)


def beside_orgs(url: str, count: int) -> list[Cost]:
    """The same in one of so many orgs after the other."""
    with testing.sandbox(at=START, redis_url=url) as first:
        return costs(url, [first, *(first.another_org() for _ in range(count - 1))], HOLDING_BESIDE_ORGS)


def costs(url: str, orgs: list[Org], holding: int) -> list[Cost]:
    """A job ends, another comes, the last is moved to the front, and the slot goes to the first: TIMES times."""
    running = {}
    for org in orgs:
        org.enqueue_jobs(5 + holding)
        running[org.id] = org.schedules.promote(org.id)
    promotions, submissions, moves = [], [], []
    with redis.Redis.from_url(url) as client:
        for number in range(TIMES):
            org = orgs[number % len(orgs)]
            org.jobs.move(running[org.id].pop(0), Status.FAILED)
            submissions.append(measured(client, org.enqueue_jobs))
            last = org.flex_queue_order()[-1]
            moves.append(measured(client, lambda org=org, last=last: org.move_job_to_front(last)))
            promotions.append(measured(client, lambda org=org: running[org.id].extend(org.schedules.promote(org.id))))
    assert all(len(ids) == 5 for ids in running.values())
    return [
        Cost(*(statistics.median(figures) for figures in zip(*each, strict=True)))
        for each in (promotions, submissions, moves)
    ]


def measured(client: redis.Redis, call: Callable[[], object]) -> tuple[float, float, int]:
    """Its microseconds, those of them in the server, and the commands the server ran."""
    client.config_resetstat()
    began = time.perf_counter()
    call()
    own = (time.perf_counter() - began) * 1e6
    stats = {name: told for name, told in client.info("commandstats").items() if name not in OURS}
    server = sum(stats[name]["usec"] for name in ("cmdstat_evalsha", "cmdstat_exec") if name in stats)  # and all inside
    return own, server, sum(told["calls"] for told in stats.values())


def table(what: str, costs: dict[int, Cost]) -> None:
    """A row for each size, with the ratios to the first."""
    print(f"\n| {what} | time | ratio | of that in Redis | ratio | commands |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    first = next(iter(costs.values()))
    for size, cost in costs.items():
        print(
            f"| {size:,} | {cost.microseconds:,.0f} µs | {cost.microseconds / first.microseconds:.2f} | "
            f"{cost.server:,.0f} µs | {cost.server / first.server:.2f} | {cost.commands:,.0f} |",
            flush=True,
        )


def row(what: str, figure: str) -> None:
    """One line of the table."""
    print(f"{what:<60} {figure:>50}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
