"""How long do the commands take that list jobs? bin/quotejob with no job in the org, and with many.

    .venv/bin/python bench/command_line.py --jobs 10000

The jobs have ended but for those of a full flex queue: 5 that run and 100 that hold. Redis, web and org are real. Each
figure is the median of ten calls of the program, with the seconds of a processor that the program and web took for one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.console import processor_seconds
from bench.monitoring import fill
from harness.process import ROOT, clean_environment
from harness.stack import Stack
from quotejob import logs
from quotejob.doors import Doors
from quotejob.salesforce import API_VERSION
from quotejob.salesforce.caller import CallerContext, to18
from quotejob.services import Services
from quotejob.settings import Settings

COMMANDS = ("--version", "jobs", "jobs --status Failed", "queue")
CALLS = 10


def main() -> None:
    """Measure, fill, measure again."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    asked = parser.parse_args()
    logs.configure("ERROR")
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as folder, Stack(Path(folder)) as stack:
        stack.start_redis()
        org = stack.start_org(0, "--profile", "instant")
        stack.start_web()
        key = stack.environment["QUOTEJOB_SECRET_KEY"]
        settings = Settings(redis_url=stack.redis_url or "", secret_keys=(key,), doors=Doors())
        user = CallerContext(
            request_id="r", org_id=to18(org.org_id), org_domain_url=org.url, api_version=API_VERSION, namespace="",
            access_token=org.token, user_id=to18(org.user_id), username="u",
        )  # fmt: skip
        print(f"load of the machine before: {os.getloadavg()[0]:.1f}\n")
        empty = {words: taken(stack, words) for words in COMMANDS}
        fill(Services.connected(settings).jobs, user, asked.jobs)
        for words in COMMANDS:
            (wall, used), (wall_before, used_before) = taken(stack, words), empty[words]
            print(
                f"{words:<27} {wall:5.2f} s, {used:5.2f} s of a processor"
                f"   with no job {wall_before:5.2f} s, {used_before:5.2f} s   ratio {used / used_before:4.1f}"
            )


def taken(stack: Stack, words: str) -> tuple[float, float]:
    """Return the seconds of a call, by the clock and of the processor: the median and the mean of ten."""
    assert stack.org
    named = {"QUOTEJOB_INSTANCE_URL": stack.org.url, "QUOTEJOB_ACCESS_TOKEN": stack.org.token}
    environment = clean_environment() | {"QUOTEJOB_URL": stack.web_url, **named}
    command, walls = [str(ROOT / "bin" / "quotejob"), *words.split()], []
    before = processor_seconds(stack) + children_seconds()
    for _ in range(CALLS):
        began = time.perf_counter()
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        walls.append(time.perf_counter() - began)
    return statistics.median(walls), (processor_seconds(stack) + children_seconds() - before) / CALLS


def children_seconds() -> float:
    """Return what the programs that were called have used of the processor."""
    used = os.times()
    return used.children_user + used.children_system


if __name__ == "__main__":
    main()
