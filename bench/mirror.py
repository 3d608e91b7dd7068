"""Count what the mirror costs: the org calls of one job with it and without it, of the whole system on this machine.

.venv/bin/python bench/mirror.py --opportunities 50000
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cli.client import Api
from harness.org_reader import OrgReader
from harness.stack import Stack

SETTLED = 15.0  # seconds until the org was told of the end


def main() -> None:
    """Run the job twice, print the calls."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--opportunities", type=int, default=50_000)
    parser.add_argument("--profile", default="instant", help="of the local org: instant or seed")
    asked = parser.parse_args()
    without, with_it = (run(on, asked.opportunities, asked.profile) for on in ("0", "1"))
    for name, (calls, told, seconds) in (("without", without), ("with", with_it)):
        print(f"{name:>8} the mirror: {calls} calls to the org, {told} of them composite, {seconds:.1f} s")
    print(f"   added: {(with_it[0] - without[0]) / without[0]:.2%} calls, {with_it[2] / without[2] - 1:+.1%} time")


def run(on: str, opportunities: int, profile: str) -> tuple[int, int, float]:
    """Return the calls, those of the mirror, and the seconds of one job."""
    folder = Path(tempfile.mkdtemp(prefix="quotejob-bench-"))
    try:
        with Stack(folder, extra={"WEB_CONCURRENCY": "1", "QUOTEJOB_MIRROR": on}) as stack:
            stack.start_redis()
            words = ("--opportunities", str(opportunities), "--lines", "2", "--profile", profile)
            org = stack.start_org(0, *words)
            stack.start_web()
            stack.start_worker(1)
            stack.start_beat()
            stack.wait_ready()
            reader = OrgReader(org)
            api = Api(stack.web_url, org, reader.username())
            reader.reset_stats()
            began = time.perf_counter()
            job = api.follow(api.submit("Name LIKE 'Opportunity %'"), quiet=300)
            seconds = time.perf_counter() - began
            assert job["status"] == "Completed", job
            time.sleep(SETTLED)
            found = reader.stats()["requests"]
            return found["total"], found["byResource"].get("composite", 0), seconds
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
