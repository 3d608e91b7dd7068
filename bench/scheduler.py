"""Check that the scheduler keeps its promises with thousands of jobs, and measure what one promotion costs.

    .venv/bin/python bench/scheduler.py

The first part runs 10,000 jobs of 200 orgs in simulated time. A plain model checks every event (bench/simulated.py).
The second part measures one promotion, with 10 to 10,000 jobs Holding in the org and with 1 to 2,000 orgs. It also
measures a submission and a move by hand. Absolute times depend on the machine. The ratios and the counts of commands do
not.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import redis

from bench.simulated import START, Found, simulate
from quotejob import testing
from quotejob.jobs.job import Status

PROMOTIONS_PER_SIZE = 200  # promotions measured at each size
HOLDING = (10, 100, 1000, 10_000)
ORGS = (1, 200, 2000)
MEASURING_COMMANDS = ("cmdstat_info", "cmdstat_config", "cmdstat_config|resetstat")  # not counted


@dataclass(frozen=True)
class Setting:
    """How many orgs there are, and how many jobs are Holding in each."""

    orgs: int
    holding: int


@dataclass(frozen=True)
class Cost:
    """The median cost of a step: all its time, the time in the server, and the commands that the server ran."""

    microseconds: float
    server: float  # microseconds
    commands: float  # those inside scripts are counted


def main() -> int:
    """Run and print both parts. Returns the exit code 0."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--orgs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=int, default=10_000, help="the largest size of the second part")
    asked = parser.parse_args()
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}\n")
    tell(simulate(asked.jobs, asked.orgs, asked.seed), asked.seed)
    by_jobs = costs([Setting(1, size) for size in HOLDING if size <= asked.most])
    by_orgs = costs([Setting(size, 10) for size in ORGS if size <= asked.most])
    table("one promotion; jobs Holding in its org", by_jobs, lambda setting: setting.holding, "promotion")
    table("one promotion; orgs, each with 10 jobs Holding", by_orgs, lambda setting: setting.orgs, "promotion")
    table("one submission; jobs Holding in its org", by_jobs, lambda setting: setting.holding, "submission")
    table("one move to the front; jobs Holding in its org", by_jobs, lambda setting: setting.holding, "move")
    return 0


def tell(found: Found, seed: int) -> None:
    """Print the results of the simulation."""
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


def costs(settings: Sequence[Setting], times: int = PROMOTIONS_PER_SIZE) -> dict[Setting, dict[str, Cost]]:
    """Return what each step costs in each of the settings.

    The settings take turns, so that other load on the machine affects all of them alike. Moves by hand come last,
    because a long one leaves the caches of the processor cold.
    """
    with ExitStack() as stack:
        url = stack.enter_context(testing.private_redis())
        client = stack.enter_context(redis.Redis.from_url(url))
        places = [Place(stack, url, number, setting) for number, setting in enumerate(settings)]
        found: dict[Setting, dict[str, list[tuple[float, float, int]]]] = {
            place.setting: {"submission": [], "promotion": [], "move": []} for place in places
        }
        for steps in (("submission", "promotion"), ("move",)):
            for turn in range(times):
                for place, step in itertools.product(places, steps):
                    place.turn(turn, step)
                    found[place.setting][step].append(measured(client, getattr(place, step)))
    return {
        setting: {
            step: Cost(*(statistics.median(figures) for figures in zip(*each, strict=True)))
            for step, each in steps.items()
        }
        for setting, steps in found.items()
    }


class Place:
    """One setting, in its own database. All slots of all orgs are taken."""

    def __init__(self, stack: ExitStack, url: str, number: int, setting: Setting) -> None:
        self.setting = setting
        own = f"{url.rpartition('/')[0]}/{number}"
        first = stack.enter_context(testing.sandbox(at=START, redis_url=own, holding_jobs=setting.holding + 1))
        self.orgs = [first, *(first.another_org() for _ in range(setting.orgs - 1))]
        self.running: dict[str, list[str]] = {}
        for org in self.orgs:
            org.enqueue_jobs(5 + setting.holding)
            self.running[org.id] = org.dispatcher.promote(org.id)

    def turn(self, number: int, step: str) -> None:
        """Prepare the step in the org whose turn it is."""
        self.org = self.orgs[number % len(self.orgs)]
        if step == "promotion":
            self.org.jobs.move(self.running[self.org.id].pop(0), Status.FAILED)
        elif step == "move":
            self.last = self.org.flex_queue_order()[-1]

    def submission(self) -> None:
        """Submit another job."""
        self.org.enqueue_jobs(1)

    def promotion(self) -> None:
        """Give the slot of a job that has ended to the first in the queue."""
        running = self.running[self.org.id]
        running += self.org.dispatcher.promote(self.org.id)
        assert len(running) == 5

    def move(self) -> None:
        """Move the last job to the front."""
        assert self.org.move_job_to_front(self.last)


def measured(client: redis.Redis, call: Callable[[], object]) -> tuple[float, float, int]:
    """Measure a call. Returns its microseconds, those of them in the server, and the commands the server ran."""
    client.config_resetstat()
    began = time.perf_counter()
    call()
    own = (time.perf_counter() - began) * 1e6
    stats = {name: stat for name, stat in client.info("commandstats").items() if name not in MEASURING_COMMANDS}
    server = sum(stats[name]["usec"] for name in ("cmdstat_evalsha", "cmdstat_exec") if name in stats)  # and all inside
    return own, server, sum(stat["calls"] for stat in stats.values())


def table(what: str, costs: dict[Setting, dict[str, Cost]], size: Callable[[Setting], int], step: str) -> None:
    """Print a row for each size, with the ratios to the first."""
    print(f"\n| {what} | time | ratio | of that in Redis | ratio | commands |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    first = next(iter(costs.values()))[step]
    for setting, steps in costs.items():
        cost = steps[step]
        print(
            f"| {size(setting):,} | {cost.microseconds:,.0f} µs | {cost.microseconds / first.microseconds:.2f} | "
            f"{cost.server:,.0f} µs | {cost.server / first.server:.2f} | {cost.commands:,.0f} |",
            flush=True,
        )


def row(what: str, figure: str) -> None:
    """Print one line of the table."""
    print(f"{what:<60} {figure:>50}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
