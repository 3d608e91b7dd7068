"""How good are the estimates? Runs jobs of many sizes on a real system and prints what getJobSummary reports.

    .venv/bin/python bench/estimates.py --jobs 60 --profile seed

The jobs are submitted in three rounds. Before the first one there are no earlier runs. Each round has its own figures.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.api import Api
from harness.org_reader import OrgReader
from harness.stack import Stack

ROUNDS = 3


def main() -> None:
    """Start everything, submit, wait, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=60, help="in all")
    parser.add_argument("--profile", default="seed", help="of the local org: instant or seed")
    asked = parser.parse_args()
    folder, chance = Path(tempfile.mkdtemp(prefix="quotejob-bench-")), random.Random(1)
    try:
        with Stack(folder, extra={"WEB_CONCURRENCY": "1"}) as stack:
            stack.start_redis()
            org = stack.start_org(0, "--opportunities", "2000", "--lines", "2", "--profile", asked.profile)
            stack.start_web()
            for number in range(2):
                stack.start_worker(number + 1, "-c", "2")
            stack.start_beat()
            stack.wait_ready()
            reader = OrgReader(org)
            api = Api(stack.web_url, org, reader.username())
            ids = sorted(row["Id"] for row in reader.query("SELECT Id FROM Opportunity"))
            print(f"load of the machine before: {os.getloadavg()[0]:.1f}")
            for number in range(ROUNDS):
                begin = datetime.now(UTC).isoformat().replace("+00:00", "Z")
                sizes = [chance.choice([5, 20, 100, 400, 1000]) for _ in range(asked.jobs // ROUNDS)]
                jobs = [api.submit(f"Id <= '{ids[size - 1]}'") for size in sizes]
                for job_id in jobs:
                    api.follow(job_id, quiet=600)
                show(number + 1, api.get(f"/api/jobs/summary?createdFrom={begin}"))
    finally:
        shutil.rmtree(folder)


def show(number: int, summary: dict[str, dict[str, float]]) -> None:
    """Print the figures of one round."""
    waiting, run = summary["waitingSeconds"], summary["runSeconds"]
    print(f"\nround {number}: {summary['total']} jobs")
    print(f"  waited   median {waiting['p50']:6.1f} s   p90 {waiting['p90']:6.1f} s")
    print(f"  ran      median {run['p50']:6.1f} s   p90 {run['p90']:6.1f} s")
    for what in ("start", "end"):
        found = summary[f"{what}Estimates"]
        if found["count"]:
            print(
                f"  {what:<8} {found['count']} estimates, off by a median of {found['medianErrorSeconds']:.1f} s "
                f"({found['medianErrorShare']:.0%} of what was ahead), p90 {found['p90ErrorSeconds']:.1f} s, "
                f"bias {found['biasSeconds']:+.1f} s"
            )
        else:
            print(f"  {what:<8} no estimates")


if __name__ == "__main__":
    main()
