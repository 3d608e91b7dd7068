"""Count what the mirror costs: the org calls of one job with it and without it, of the whole system on this machine.

.venv/bin/python bench/mirror.py --opportunities 50000 --rounds 3

Time is compared by medians, in one run, and the processor time beside it is less shaken by other work on the machine.
"Telling" is how long the mirror's own tasks ran, beside the job's: what they can have added to its time at the most.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.main_job import cpu_seconds
from harness.api import Api
from harness.org_reader import OrgReader
from harness.stack import Stack

SETTLED = 15.0  # seconds until the org was told of the end


@dataclass(frozen=True)
class Cost:
    """What one job took: calls to the org, those of the mirror, seconds, and processor seconds of all of quotejob."""

    calls: int
    told: int
    telling: float  # seconds that the mirror's tasks ran
    seconds: float
    cpu: float


def main() -> None:
    """Run the job in turn without and with the mirror, print the medians and what the mirror adds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--opportunities", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=1, help="of one job without and one with the mirror")
    parser.add_argument("--profile", default="instant", help="of the local org: instant or seed")
    asked = parser.parse_args()
    found: dict[str, list[Cost]] = {"0": [], "1": []}
    with running(asked.opportunities, asked.profile) as runs:
        for number in range(asked.rounds):
            for on, run in sorted(runs.items(), reverse=number % 2 == 1):  # whoever is first has no advantage
                found[on].append(run())
                print(f"mirror {on}: {found[on][-1]}", flush=True)
    without, with_it = (
        {part: statistics.median(getattr(each, part) for each in costs) for part in ("calls", "seconds", "cpu")}
        for costs in found.values()
    )
    told = statistics.median(each.told for each in found["1"]) / without["calls"]  # all calls differ by a few each time
    added = {part: f"{with_it[part] / without[part] - 1:+.2%}" for part in without}
    telling = statistics.median(each.telling for each in found["1"]) / with_it["seconds"]
    print(f"added: {told:+.2%} calls, {added['seconds']} time, {added['cpu']} processor time; telling {telling:.2%}")


@contextmanager
def running(opportunities: int, profile: str) -> Iterator[dict[str, Callable[[], Cost]]]:
    """Start two systems, without and with the mirror, and yield what runs a job in each. Only one works at a time."""
    with ExitStack() as open_:
        runs: dict[str, Callable[[], Cost]] = {}
        for on in ("0", "1"):
            folder = Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="quotejob-bench-")))
            stack = open_.enter_context(Stack(folder, extra={"WEB_CONCURRENCY": "1", "QUOTEJOB_MIRROR": on}))
            stack.start_redis()
            stack.start_org(0, "--opportunities", str(opportunities), "--lines", "2", "--profile", profile)
            stack.start_web()
            stack.start_worker(1)
            stack.start_beat()
            stack.wait_ready()
            runs[on] = partial(run, stack)
        yield runs


def run(stack: Stack) -> Cost:
    """Run one job over all Opportunities."""
    assert stack.org
    reader = OrgReader(stack.org)
    api = Api(stack.web_url, stack.org, reader.username())
    ours = [each.pid for each in stack.processes if each.name != "localorg"]
    reader.reset_stats()
    before = telling(stack)
    began, spent = time.perf_counter(), cpu_seconds(ours)
    job = api.follow(api.submit("Name LIKE 'Opportunity %'"), quiet=300)
    seconds = time.perf_counter() - began
    assert job["status"] == "Completed", job
    time.sleep(SETTLED)
    found = reader.stats()["requests"]
    told = found["byResource"].get("composite", 0)
    return Cost(found["total"], told, telling(stack) - before, seconds, cpu_seconds(ours) - spent)


def telling(stack: Stack) -> float:
    """Return how long all tasks of the mirror have run so far, by the worker's log."""
    said = (stack.folder / "worker1.log").read_text()
    return sum(map(float, re.findall(r"Task quotejob\.mirror\[\S+\] succeeded in ([0-9.]+)s", said)))


if __name__ == "__main__":
    main()
