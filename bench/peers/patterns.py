"""The ways in which others do the main job, written anew. Each gets an org and the ids that it needs.

    .venv/bin/python -m bench.peers.patterns script URL TOKEN --opportunities 5000

Prints one line of JSON: seconds, and processor seconds of this process. None of them survives a fault, or writes a
Quote only once: they are a measure of speed, not of the work.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from bench.peers.client import LINES, Org, Row, graph_body, lines_of, quote

CLAUSE = "Name LIKE 'Opportunity %'"
FIELDS = "Id, Name, Pricebook2Id"
SCOPE = 200  # records of one write by composite/sobjects, and of one execute() of Batch Apex
OF_A_GRAPH = 166  # Quotes of two lines in one request of 500 nodes

T = TypeVar("T")


def java(org: Org, count: int) -> None:
    """Work as the Java sample: read everything page after page; 20 threads write Quotes, then their lines."""
    found = list(org.query(f"SELECT {FIELDS}, {LINES} FROM Opportunity WHERE {CLAUSE} LIMIT {count}"))
    with ThreadPoolExecutor(20) as threads:
        quotes = [quote(each, "Java") for each in found]
        ids = [key for part in threads.map(org.insert, _parts(_typed("Quote", quotes))) for key in part]
        lines = [line for each, key in zip(found, ids, strict=True) for line in lines_of(each, key)]
        list(threads.map(org.insert, _parts(_typed("QuoteLineItem", lines))))


def batch_apex(org: Org, count: int) -> None:
    """Work as Batch Apex: one scope of 200 after the other; each reads its records, writes Quotes, then their lines."""
    ids = [row["Id"] for row in org.query(f"SELECT Id FROM Opportunity WHERE {CLAUSE} LIMIT {count}")]
    for scope in _parts(ids):
        found = _read(org, scope)
        keys = org.insert(_typed("Quote", [quote(each, "Batch") for each in found]))
        lines = [line for each, key in zip(found, keys, strict=True) for line in lines_of(each, key)]
        for part in _parts(_typed("QuoteLineItem", lines)):
            org.insert(part)


def script(org: Org, count: int) -> None:
    """Work as a plain script: read the ids; 32 threads each read, price and write as much as a request takes."""
    ids = [row["Id"] for row in org.query(f"SELECT Id FROM Opportunity WHERE {CLAUSE} LIMIT {count}")]
    with ThreadPoolExecutor(32) as threads:
        list(threads.map(lambda part: org.commit(graph_body(_read(org, part), "Script")), _parts(ids, OF_A_GRAPH)))


def node(org: Org, jobs: int) -> None:
    """Work as the Node sample: jobs of 150 side by side; each reads its records and commits one unit of work."""
    ids = [row["Id"] for row in org.query(f"SELECT Id FROM Opportunity WHERE {CLAUSE} LIMIT {150 * jobs}")]
    with ThreadPoolExecutor(jobs) as threads:
        list(threads.map(lambda part: org.commit(graph_body(_read(org, part), "Node")), _parts(ids, 150)))


def replay(org: Org, sizes: Sequence[int], reads: int, at_once: int) -> float:
    """Send prepared writes of so many records each, and reads between them, as many at a time. Return the seconds.

    This is the floor: nothing is computed, and nothing waits for anything but a place.
    """
    count = sum(sizes) // 3
    ids = [row["Id"] for row in org.query(f"SELECT Id FROM Opportunity WHERE {CLAUSE} LIMIT {count}")]
    with ThreadPoolExecutor(at_once) as threads:
        found = [row for part in threads.map(partial(_read, org), _parts(ids)) for row in part]
        bodies, start = [], 0
        for size in sizes:
            bodies.append(graph_body(found[start : start + size // 3], "Replay"))
            start += size // 3
        began = time.perf_counter()
        reading = [threads.submit(_read, org, part) for part in _parts(ids)[:reads]]
        list(threads.map(org.commit, bodies))
        for each in reading:
            each.result()
        return time.perf_counter() - began


def _read(org: Org, ids: Sequence[str]) -> list[Row]:
    listed = ", ".join(f"'{each}'" for each in ids)
    return list(org.query(f"SELECT {FIELDS}, {LINES} FROM Opportunity WHERE Id IN ({listed})"))


def _parts(rows: Sequence[T], size: int = SCOPE) -> list[Sequence[T]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _typed(sobject: str, rows: Sequence[Row]) -> list[Row]:
    return [{"attributes": {"type": sobject}, **row} for row in rows]


PATTERNS: dict[str, Callable[[Org, int], None]] = {
    "java": java,
    "batch_apex": batch_apex,
    "script": script,
    "node": node,
}


def main() -> None:
    """Run one pattern and print what it took."""
    parser = argparse.ArgumentParser(description="Run one pattern against an org.")
    parser.add_argument("pattern", choices=[*PATTERNS, "replay"])
    parser.add_argument("url")
    parser.add_argument("token")
    parser.add_argument("--opportunities", type=int, default=5000, help="for node: how many jobs of 150")
    parser.add_argument("--sizes", default="", help="replay: records of each write, with commas")
    parser.add_argument("--reads", type=int, default=0, help="replay: how many pages are read")
    parser.add_argument("--at-once", type=int, default=25, help="replay: requests at a time")
    asked = parser.parse_args()
    org = Org(asked.url, asked.token)
    began, spent = time.perf_counter(), time.process_time()
    seconds = None
    if asked.pattern == "replay":
        seconds = replay(org, [int(size) for size in asked.sizes.split(",")], asked.reads, asked.at_once)
    else:
        PATTERNS[asked.pattern](org, asked.opportunities)
    took = time.perf_counter() - began if seconds is None else seconds
    json.dump({"seconds": took, "cpu": time.process_time() - spent}, sys.stdout)


if __name__ == "__main__":
    main()
