"""The processor time of a job that is the same for each record: the org's part and the worker's, by piece.

    nice -n 10 .venv/bin/python -m bench.peers.pieces --opportunities 5000

Org and worker are this one thread, with no network, Redis or Celery between them. The requests that the script and the
replay of :mod:`bench.peers.patterns` send are measured in turn with quotejob's. So a busy machine changes the seconds,
and hardly what they are to each other.
"""

from __future__ import annotations

import argparse
import gc
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import orjson

from bench.peers.client import LINES, graph_body
from bench.peers.patterns import FIELDS
from localorg.__main__ import arguments, open_org
from localorg.http.answers import written
from localorg.lab.stats import Work
from localorg.org import Org
from localorg.rest.graph import GraphRunner, read_graphs
from quotejob.jobtypes.quotes import packed
from quotejob.jobtypes.quotes.pages import rules
from quotejob.jobtypes.quotes.reading import read
from quotejob.jobtypes.quotes.writer import Writer
from quotejob.pricing import price
from quotejob.run.context import Run
from quotejob.run.results import explained
from quotejob.salesforce import API_VERSION, Graph, GraphOutcome, OrgClient, graphs, queries
from quotejob.salesforce.connection import read_json

PAGE, BATCH = 200, 117  # Opportunities: a page, and a write of a job of 5,000, which has 43


class Pieces:
    """The processor seconds of each piece, without those of the pieces inside it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside = [0.0]  # seconds of the pieces inside each open one

    @contextmanager
    def piece(self, name: str) -> Iterator[None]:
        """Count what the block takes for this piece."""
        self._inside.append(0.0)
        began = time.thread_time()
        try:
            yield
        finally:
            took = time.thread_time() - began
            self.seconds[name] += took - self._inside.pop()
            self._inside[-1] += took


class Here:
    """An org in this process, behind those methods of OrgClient that pages and batches call."""

    def __init__(self, org: Org, pieces: Pieces) -> None:
        self._org, self._pieces = org, pieces

    def get(self, soql: str, piece: str) -> bytes:
        """Return the first page of a query, as the org sends it."""
        with self._pieces.piece(piece):
            return orjson.dumps(self._org.soql.query(soql).body, default=written)

    def post(self, body: bytes, piece: str) -> bytes:
        """Run graphs, and return the answer."""
        with self._pieces.piece(piece):
            read = read_graphs(orjson.loads(body), API_VERSION)
            answer = self._org.in_transaction(lambda: GraphRunner(self._org, Work()).run(read))
            return orjson.dumps(answer, default=written)

    def query(self, soql: str) -> list[dict[str, Any]]:
        """Return the rows of a query, as OrgClient does."""
        page = self.get(soql, "org: pages of quotejob")
        with self._pieces.piece("worker: read answers"):
            return list(queries.rows(read_json(page), lambda _: {}, queries.child_names(soql)))

    def send_graphs(self, graphs_to_send: Iterable[Graph]) -> dict[str, GraphOutcome]:
        """Write graphs, as OrgClient does."""
        with self._pieces.piece("worker: requests"):
            body, created = graphs.request_of(graphs_to_send, API_VERSION)
        answer = self.post(body, "org: writes of quotejob")
        with self._pieces.piece("worker: read answers"):
            return graphs.outcomes_of(created, read_json(answer))

    def reading(self, _what: str) -> AbstractContextManager[None]:
        """Let errors of reading pass."""
        return nullcontext()


def ours(here: Here, pieces: Pieces, ids: Sequence[str]) -> None:
    """Do what quotejob does with one page of Opportunities."""
    book = rules(Path("pricing.yaml"))
    run = cast(Run, SimpleNamespace(id="", org=here, progress=SimpleNamespace(note=lambda *_: None)))
    with pieces.piece("worker: make Opportunities"):
        found = read(run, ids, book)
    with pieces.piece("worker: price"):
        quotes = [price(each, book) for each in found]
    with pieces.piece("worker: explain"):
        explained.pack(quotes, None, columns=True)
    with pieces.piece("worker: pack, and unpack"):
        quotes = packed.unpack(packed.pack(quotes))
    for part in _parts(quotes):
        writer = Writer(
            cast(OrgClient, here),
            str(uuid.uuid4()),
            go_on=lambda: None,
            slow_down=lambda _: None,
            note_large=lambda *_: None,
        )
        with pieces.piece("worker: nodes, and results"):
            writer.write(part)


def theirs(here: Here, pieces: Pieces, ids: Sequence[str]) -> None:
    """Do what the script does with as many, where it writes by as many requests."""
    listed = ", ".join(f"'{each}'" for each in ids)
    page = here.get(f"SELECT {FIELDS}, {LINES} FROM Opportunity WHERE Id IN ({listed})", "org: pages of the script")
    with pieces.piece("script: all"):
        rows = orjson.loads(page)["records"]
    for part in _parts(rows):
        with pieces.piece("script: all"):
            body = graph_body(part, "Script")
        answer = here.post(body, "org: writes of the script")
        with pieces.piece("script: all"):
            assert all(graph["isSuccessful"] for graph in orjson.loads(answer)["graphs"])


def _parts(rows: Sequence[Any]) -> list[Sequence[Any]]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--opportunities", type=int, default=5000)
    asked = parser.parse_args()
    org = open_org(arguments(["--opportunities", str(asked.opportunities), "--lines", "2"]))
    found = org.connection.execute('SELECT "Id" FROM "Opportunity" ORDER BY "AccountId", "Id"').fetchall()
    ids = [record_id for (record_id,) in found][: asked.opportunities]
    gc.freeze()
    pieces = Pieces()
    here = Here(org, pieces)
    for turn, start in enumerate(range(0, len(ids), PAGE)):
        for way in (ours, theirs) if turn % 2 else (theirs, ours):
            way(here, pieces, ids[start : start + PAGE])
    for name, seconds in sorted(pieces.seconds.items()):
        print(f"{name:30} {seconds:6.2f} s")
    for who in ("org", "worker"):
        total = sum(seconds for name, seconds in pieces.seconds.items() if name.startswith(who))
        print(f"{who}, all: {total:.2f} s")


if __name__ == "__main__":
    main()
