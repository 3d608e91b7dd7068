"""How late do guaranteed schedules start while the flex queue is full? Measured with real processes in real time.

    .venv/bin/python bench/schedules.py --fires 200

A schedule fires every two seconds. The time from each fire time until its job is Processing is read from the logs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.api import Api
from harness.org_reader import OrgReader
from harness.stack import Stack

FIRE_INTERVAL = 2  # seconds between two fires
WORKERS = {"own": (["-c", "2"], ["-Q", "clock", "-c", "1"]), "shared": (["-c", "2"], ["-c", "1"])}  # options of each


def main() -> None:
    """Start everything, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fires", type=int, default=200)
    parser.add_argument("--workers", choices=list(WORKERS), default="own", help="a worker of its own for the clock?")
    parser.add_argument("--holding", type=int, default=20, help="jobs kept in the flex queue")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="quotejob-bench-"))
    try:
        with Stack(folder, extra={"WEB_CONCURRENCY": "1"}) as stack:
            stack.start_redis()
            org = stack.start_org(0, "--opportunities", "400", "--lines", "2")
            stack.start_web()
            for number, options in enumerate(WORKERS[asked.workers], start=1):
                stack.start_worker(number, *options)
            stack.start_beat()
            stack.wait_ready()
            api = Api(stack.web_url, org, OrgReader(org).username())
            print(f"load of the machine before: {os.getloadavg()[0]:.1f}\n")
            measure(stack, api, asked.fires, asked.holding)
    finally:
        shutil.rmtree(folder)


def measure(stack: Stack, api: Api, fires: int, holding: int) -> None:
    """Keep the queue full until all fire times have passed. Then print how late each job was."""
    schedule = {
        "name": "Guaranteed",
        "cronExpression": f"0/{FIRE_INTERVAL} * * * * ?",
        "soqlWhereClause": "Name = 'none'",
    }
    more = {"guaranteed": True, "overlap": "queue", "authorization": "worker"}
    made = api.post("/api/schedules", {**schedule, **more})
    path, first = f"/api/schedules/{made['scheduleId']}", datetime.fromisoformat(made["nextFireTime"]).timestamp()
    least = holding
    while (fired := api.get(path)["timesTriggered"]) < fires:
        there = len(api.jobs(status="Holding"))
        least = min(least, there) if fired else least
        for _ in range(holding - there):
            api.submit("Name LIKE 'Opportunity %'")
        time.sleep(0.1)
    api.request("DELETE", path)
    time.sleep(3)
    mine = api.jobs(scheduleId=made["scheduleId"], order="asc")
    began = stack.began()
    late = sorted(began[job["jobId"]] - first - FIRE_INTERVAL * place for place, job in enumerate(mine))
    row("fires", str(len(late)))
    row("jobs Holding meanwhile, at least", str(least))
    for name, share in (("median", 0.5), ("95th percentile", 0.95), ("99th percentile", 0.99), ("longest", 1.0)):
        row(f"from the fire time to Processing, {name}", f"{late[min(len(late) - 1, int(share * len(late)))]:.2f} s")


def row(what: str, figure: str) -> None:
    """Print one line of the table."""
    print(f"{what:<60} {figure:>12}", flush=True)


if __name__ == "__main__":
    main()
