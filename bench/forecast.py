"""Measure how good forecasts are: jobs of mixed sizes, forecast and then run by the whole system on this machine.

    .venv/bin/python bench/forecast.py --records 100 5000 50000
    .venv/bin/python bench/forecast.py --records 5000 20000 --bulk --profile seed
    .venv/bin/python bench/forecast.py --slow
    .venv/bin/python bench/forecast.py --own --slow

The third is for the seconds: jobs of 111 to 999 Opportunities of three lines, in an org of the profile ``seed``. With
``--own`` a job type of users is measured instead of Quote jobs: it makes an Opportunity of each, with its lines. With
``--bulk`` Quote jobs write by Bulk API 2.0. In another profile than ``instant`` all Opportunities have three lines.
Prints for each job the calls forecast and counted, and the seconds forecast and taken.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.api import Api
from harness.org_reader import OrgReader
from harness.stack import Stack

NODES = 500  # of a graph
LINES = (1, 10)  # of an Opportunity, evenly
FACTOR = 1.5
SLOW = (3, 1, 6, 2, 9, 4, 1, 7, 5, 8, 2, 6)  # digits of each of the smaller jobs


def main() -> None:
    """Start everything, make the Opportunities, forecast and run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, nargs="+", default=[100, 5000, 50000], help="of each job, in turn")
    parser.add_argument("--slow", action="store_true", help="twelve smaller jobs in a slow org instead")
    parser.add_argument("--profile", default="instant", help="of the local org: instant or seed")
    parser.add_argument("--own", action="store_true", help="jobs of a type of users")
    parser.add_argument("--bulk", action="store_true", help="Quote jobs that write by Bulk API 2.0")
    asked = parser.parse_args()
    root = Path(__file__).resolve().parent.parent
    own = {"QUOTEJOB_JOBS": "own_jobs.renewing", "PYTHONPATH": f"{root}:{root / 'tests' / 'helpers'}"}
    what = {"jobType": "Renewing" if asked.own else "BatchQuote"} | ({"commitBy": "bulk"} if asked.bulk else {})
    folder = Path(tempfile.mkdtemp(prefix="quotejob-bench-"))
    try:
        with Stack(folder, extra={"WEB_CONCURRENCY": "1"} | (own if asked.own else {})) as stack:
            stack.start_redis()
            slow = ("--opportunities", "1000", "--lines", "3", "--profile", "seed")
            many = ("--opportunities", str(sum(asked.records)), "--lines", "3", "--profile", asked.profile)
            made_here = asked.profile == "instant"
            org = stack.start_org(0, *(slow if asked.slow else () if made_here else many))
            stack.start_web()
            stack.start_worker(1)
            stack.start_beat()
            stack.wait_ready()
            reader = OrgReader(org)
            api = Api(stack.web_url, org, reader.username())
            clauses = [digits(count) for count in SLOW] if asked.slow else []
            if not asked.slow and not made_here:
                clauses = list(slices(asked.records))
            for number, records in enumerate(asked.records if made_here and not asked.slow else ()):
                make(reader, f"Job {number}", records)
                clauses.append(f"Name = 'Job {number}'")
            print(f"{'records':>8} {'forecast took':>14} {'calls':>7} {'counted':>8} {'off':>7}   seconds")
            near = [measure(api, {**what, "soqlWhereClause": clause}) for clause in clauses]
            print(f"within a factor of {FACTOR}: {sum(near)} of {len(near)}")
    finally:
        shutil.rmtree(folder)


def digits(count: int) -> str:
    """Return a clause for the Opportunities whose number begins with one of so many digits: 111 for each."""
    return " OR ".join(f"Name LIKE 'Opportunity {digit}%'" for digit in range(1, count + 1))


def slices(counts: Sequence[int]) -> Iterator[str]:
    """Yield for each count a clause for so many of the Opportunities that an org begins with. They do not overlap."""
    names = iter(sorted(f"Opportunity {number}" for number in range(sum(counts))))
    for count in counts:
        some = list(islice(names, count))
        yield f"Name >= '{some[0]}' AND Name <= '{some[-1]}'"


def measure(api: Api, asked: dict[str, str]) -> bool:
    """Forecast a job, run it, print both. Return whether its seconds were within the factor."""
    began = time.perf_counter()
    found: dict[str, Any] = api.post("/api/forecast", asked)
    took = time.perf_counter() - began
    job = api.follow(str(api.post("/api/jobs", asked)["jobId"]), quiet=600)
    seconds = (moment(job["completedDate"]) - moment(job["startedDate"])).total_seconds()
    calls, counted, expected = found["calls"]["total"], job["apiCalls"], found["seconds"]
    off = 100 * (calls - counted) / counted
    print(
        f"{found['records']:>8,} {took * 1000:>11.0f} ms {calls:>7,} {counted:>8,} {off:>+6.1f}%   "
        f"{expected['expected']:.1f} ({expected['low']:.1f} to {expected['high']:.1f}), taken {seconds:.1f}, "
        f"{found['basis']}",
        flush=True,
    )
    near: bool = 1 / FACTOR <= seconds / max(0.001, float(expected["expected"])) <= FACTOR
    return near


def make(reader: OrgReader, name: str, count: int) -> None:
    """Write so many Opportunities with 1 to 10 lines each."""
    rng = random.Random(count)
    entry = next(reader.query("SELECT Id, Pricebook2Id FROM PricebookEntry WHERE Pricebook2.IsStandard = true LIMIT 1"))
    accounts = [row["Id"] for row in reader.query("SELECT Id FROM Account")]
    deal = {"Name": name, "StageName": "Prospecting", "CloseDate": "2027-02-27", "Pricebook2Id": entry["Pricebook2Id"]}
    line = {"PricebookEntryId": entry["Id"], "Quantity": 1, "UnitPrice": 100}

    def nodes(number: int) -> Iterator[dict[str, Any]]:
        yield reader.node(f"o{number}", "Opportunity", deal | {"AccountId": rng.choice(accounts)})
        for place in range(rng.randint(*LINES)):
            under = {"OpportunityId": f"@{{o{number}.id}}", **line}
            yield reader.node(f"l{number}x{place}", "OpportunityLineItem", under)

    graph: list[dict[str, Any]] = []
    for number in range(count):
        some = list(nodes(number))
        if len(graph) + len(some) > NODES:
            reader.graph(graph)
            graph = []
        graph += some
    reader.graph(graph)


def moment(text: str) -> datetime:
    """Return a time of the API."""
    return datetime.fromisoformat(text)


if __name__ == "__main__":
    main()
