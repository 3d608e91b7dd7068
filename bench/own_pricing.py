"""Measure how well a pricing function that computes much uses the cores: 5 ms of CPU for each Opportunity.

    .venv/bin/python bench/own_pricing.py --opportunities 5000
    .venv/bin/python bench/own_pricing.py --opportunities 5000 --job

The second measures a whole job, by one worker with a local org: its plan, the start of the processes and the last
writes are in its time.

Pages come from threads, as in a worker. "At work" is the share of time in which the processes used a core or were ready
to: on a machine with other work they get less of the cores, but are not idle (/proc/PID/schedstat, Linux).
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quotejob.pricing.model import PricedLine, PricedQuote
from quotejob.usercode.isolation.crew import Crew
from quotejob.usercode.isolation.hands import Limits
from quotejob.usercode.pricing.opportunities import Opportunity
from quotejob.usercode.pricing.pricer import Pair, Pricer

PAGE, SECONDS = 200, 0.005


def busy(deal: Opportunity, priced: PricedQuote) -> PricedQuote:  # noqa: ARG001 (the form of pricing functions)
    """Compute for 5 ms."""
    until = time.process_time() + SECONDS
    while time.process_time() < until:
        pass
    return priced


def light(deal: Opportunity, priced: PricedQuote) -> PricedQuote:  # noqa: ARG001 (the form of pricing functions)
    """Do nothing: what remains is the cost of the isolation."""
    return priced


def main() -> None:
    """Measure both functions, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--opportunities", type=int, default=5000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--job", action="store_true", help="a whole job, by the whole system")
    asked = parser.parse_args()
    if asked.job:
        measure_job(asked.opportunities, asked.processes)
        return
    pages = [[pair(n) for n in range(PAGE)] for _ in range(asked.opportunities // PAGE)]
    for name in ("light", "busy"):
        measure(name, pages, asked.processes)


def pair(number: int) -> Pair:
    """Return one Opportunity of two lines, as it is read, and its Quote."""
    lines: list[list[Any]] = [[f"00k{number:012}{n}AA", "01u", "2", "10.00", None, None, None, None] for n in range(2)]
    values = [f"006{number:012}AAA", "Deal", "2030-01-31", None, None, "DE", lines]
    priced = (PricedLine(line[0], "01u", Decimal(2), Decimal(10), Decimal(9), Decimal("0.1")) for line in lines)
    return values, PricedQuote(str(values[0]), "Quote for Deal", None, date(2030, 3, 1), tuple(priced))


def measure(name: str, pages: Sequence[Sequence[Pair]], processes: int) -> None:
    """Price all pages by a function, and print how busy its processes were."""
    crew = Crew(processes)
    pricer = Pricer(f"bench.own_pricing:{name}", crew, Limits())
    with ThreadPoolExecutor(processes) as threads:
        list(threads.map(lambda _: pricer.price(pages[0]), range(processes)))
    children = psutil.Process().children()
    (used, waited), own, began = spent(children), time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(25) as threads:
        done = sum(len(made) for made in threads.map(pricer.price, pages))
    sizes = [child.memory_info().rss for child in psutil.Process().children()]
    wall, own = time.perf_counter() - began, time.process_time() - own
    used, waited = (after - before for after, before in zip(spent(children), (used, waited), strict=True))
    print(
        f"{name}: {done:,} Opportunities in {wall:.1f} s; {processes} processes used {used:.1f} s of CPU, "
        f"at work {100 * (used + waited) / (processes * wall):.0f} % of the time; "
        f"the worker itself {own / done * 1e6:.0f} microseconds an Opportunity; "
        f"{max(size / 1e6 for size in sizes):.0f} MB a process"
    )
    crew.stop()


def measure_job(opportunities: int, processes: int) -> None:
    """Price so many Opportunities by a job with the busy function, and print how busy its processes were."""
    # Here, because the processes import this file too.
    from harness.api import Api
    from harness.org_reader import OrgReader
    from harness.stack import Stack

    root = Path(__file__).resolve().parent.parent
    extra = {
        "QUOTEJOB_PRICING": "bench.own_pricing:busy", "QUOTEJOB_CODE_PROCESSES": str(processes),
        "PYTHONPATH": str(root), "WEB_CONCURRENCY": "1",
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="quotejob-bench-") as folder, Stack(Path(folder), extra=extra) as stack:
        stack.start_redis()
        org = stack.start_org(0, "--opportunities", str(opportunities), "--lines", "2")
        stack.start_web()
        worker = psutil.Process(stack.start_worker(1).pid)
        stack.start_beat()
        stack.wait_ready()
        api = Api(stack.web_url, org, OrgReader(org).username())
        seen: dict[int, tuple[float, float]] = {}  # of each process: what it had spent when it was looked at last
        own = worker.cpu_times()
        worked: list[tuple[float, float]] = []  # when somebody looked, and what all had spent by then

        def look(_: object) -> None:
            for child in worker.children(recursive=True):
                with contextlib.suppress(OSError, psutil.NoSuchProcess):
                    if "quotejob.usercode.isolation.child" in child.cmdline():
                        seen[child.pid] = spent([child])
            worked.append((time.time(), sum(map(sum, seen.values()))))

        job = api.follow(api.submit("Name LIKE 'Opportunity %'"), quiet=600, each=look, pause=0.05)
        wall = (moment(job["completedDate"]) - moment(job["startedDate"])).total_seconds()
        used, waited = (sum(each) for each in zip(*seen.values(), strict=True))
        after = worker.cpu_times()
        first = next(at for at, total in worked if total)
        steps = itertools.pairwise(worked)
        last = max(at for (before, less), (at, total) in steps if total - less > (at - before) / 2)
        began, ended = (moment(job[name]).timestamp() for name in ("startedDate", "completedDate"))
        print(
            f"job: {job['records']['succeeded']:,} Quotes in {wall:.1f} s; {processes} processes used {used:.1f} s of "
            f"CPU, at work {100 * (used + waited) / (processes * wall):.0f} % of the time, from {first - began:.1f} s "
            f"after its start to {ended - last:.1f} s before its end; the worker itself used "
            f"{after.user + after.system - own.user - own.system:.1f} s"
        )


def moment(text: str) -> datetime:
    """Return a time of the API."""
    return datetime.fromisoformat(text)


def spent(children: Sequence[psutil.Process]) -> tuple[float, float]:
    """Return for how many seconds these processes have used a core, and for how many they were ready but got none."""
    # Of each thread: nanoseconds on a core, nanoseconds in the queue for one.
    files = [file for child in children for file in Path(f"/proc/{child.pid}/task").glob("*/schedstat")]
    found = [file.read_text().split() for file in files]
    return sum(int(each[0]) for each in found) / 1e9, sum(int(each[1]) for each in found) / 1e9


if __name__ == "__main__":
    main()
