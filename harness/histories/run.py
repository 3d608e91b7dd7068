"""bin/histories: run many histories by seed, or one of them again.

A history runs the real steps, stores and scripts of jobs in one process, on a real Redis, in simulated time. Its seed
draws the order of all commands, what becomes of each message and each request to the org, when processes die, and when
users abort, resume and retry. At the end the org and the stores are asked whether every Quote is there once and whole,
and whether every result is true. A history that fails prints its seed, what is wrong, and its last events.
``bin/histories --seed N --count 1`` repeats it exactly. The exit code is 0 only if all were right.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field

import structlog
from cryptography.fernet import Fernet

from harness.histories.history import History, Verdict
from harness.histories.patched import connected
from harness.histories.protections import PROTECTIONS, without
from harness.process import clean_environment
from quotejob.settings import current
from quotejob.testing import redis_server

SHARE = 50  # histories that one process runs before it reports
SHOWN = 3  # failed histories that are shown with their events
SETTINGS = {"QUOTEJOB_PAGE_SIZE": "2", "QUOTEJOB_ACTIVE_JOBS": "2"}


@dataclass
class Figures:
    """What came of the histories so far."""

    histories: int = 0
    faults: int = 0
    ends: Counter[str] = field(default_factory=Counter)  # of jobs, by status
    failed: list[Verdict] = field(default_factory=list)

    def add(self, verdicts: list[Verdict]) -> None:
        """Count some histories."""
        for verdict in verdicts:
            self.histories += 1
            self.faults += verdict.faults
            self.ends.update(verdict.ends)
            if verdict.wrong:
                self.failed.append(verdict)


def main(arguments: list[str] | None = None) -> int:
    """Run the histories and print what came of them. Return the exit code."""
    asked = _parser().parse_args(arguments)
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is a part of a history
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | {"PYTHONHASHSEED": "0"})
    if asked.without:
        return max(_without(name, asked.seed, asked.count) for name in asked.without)
    began, figures = time.monotonic(), Figures()
    firsts = range(asked.seed, asked.seed + asked.count, SHARE)
    with ProcessPoolExecutor(asked.processes) as pool:
        shares = [pool.submit(_share, first, min(SHARE, asked.seed + asked.count - first)) for first in firsts]
        for share in as_completed(shares):
            figures.add(share.result())
            if sys.stderr.isatty():
                print(f"\r{figures.histories} of {asked.count} histories", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    _report(figures, time.monotonic() - began)
    return 1 if figures.failed else 0


def run(seeds: Iterable[int]) -> Iterator[Verdict]:
    """Yield the verdict of each seed's history. They use a Redis of their own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))  # a history has its own events
    with redis_server.private() as url:
        for name in set(os.environ) - set(clean_environment()):
            del os.environ[name]
        os.environ |= SETTINGS | {"REDIS_URL": url, "QUOTEJOB_SECRET_KEY": Fernet.generate_key().decode()}
        current.cache_clear()
        client = connected(url)
        for seed in seeds:
            yield History(seed, client, current()).run()


def _share(first: int, count: int) -> list[Verdict]:
    return list(run(range(first, first + count)))


def _without(name: str, first: int, count: int) -> int:
    """Say which history finds that a protection is missing. Return 0 if one of them does."""
    with without(name):
        for verdict in run(range(first, first + count)):
            if verdict.wrong:
                print(f"Without {name}: history {verdict.seed} goes wrong: {verdict.wrong[0][:300]}")
                return 0
    print(f"Without {name}: {count} histories do not find that it is missing")
    return 1


def _report(figures: Figures, seconds: float) -> None:
    for verdict in sorted(figures.failed, key=lambda each: each.seed)[:SHOWN]:
        print(f"\nSeed {verdict.seed} went wrong:", *verdict.wrong, "Its last events:", *verdict.trace, sep="\n")
    ends = ", ".join(f"{count} {status}" for status, count in figures.ends.most_common())
    each = 1000 * seconds / max(1, figures.histories)
    print(
        f"{figures.histories} histories in {seconds:.0f} s ({each:.0f} ms each); {figures.faults} faults; jobs: {ends}"
    )
    if figures.failed:
        seeds = " ".join(str(seed) for seed in sorted(verdict.seed for verdict in figures.failed)[:20])
        print(f"{len(figures.failed)} went wrong: seeds {seeds}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bin/histories", description=(__doc__ or "").partition("\n")[2])
    parser.add_argument("--seed", type=int, default=1, help="of the first history (1)")
    parser.add_argument("--count", type=int, default=2000, help="how many histories (2000)")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="at the same time (one for each core)")
    parser.add_argument(
        "--without",
        action="append",
        choices=sorted(PROTECTIONS),
        metavar="PROTECTION",
        help="take this protection out and stop at the first history that finds it missing; exit with 1 if none does. "
        "May be given several times: " + "; ".join(sorted(PROTECTIONS)),
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
