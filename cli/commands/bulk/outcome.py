"""What became of each row of a part: the org's result files, matched with the rows by what is in them.

The org answers in another order, and sends no line numbers. So each row has a digest of its values; rows with the same
values are the same to the org too. The digests are in a small database on disk, so memory stays flat.
"""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from cli.commands.bulk.ledger import Ledger, Part
from cli.commands.bulk.org import BASE, Org

SUCCESS, FAILED, UNPROCESSED, UNKNOWN = "success", "failed", "unprocessed", "unknown"
_FILES = ((SUCCESS, "successfulResults", 2), (FAILED, "failedResults", 2), (UNPROCESSED, "unprocessedrecords", 0))
_FOUND = "UPDATE rows SET kind = ?, first = ?, second = ? WHERE number = (" + (
    "SELECT MIN(number) FROM rows WHERE digest = ? AND kind = 'unknown')"
)


class Outcome(NamedTuple):
    """Of one row: its kind, and the first two columns of its result file (the id; created, or the error)."""

    kind: str
    first: str
    second: str


class Outcomes:
    """The outcomes of a part, in the order of its rows.

    Its database is open only while it is used: an open one has some megabytes in memory, and a load many parts.
    """

    def __init__(self, ledger: Ledger, number: int) -> None:
        self.path = ledger.folder / f"outcomes-{number}.db"
        self._part = ledger.part_file(number)

    def collect(self, org: Org, part: Part) -> None:
        """Ask the org for the result files of the part's job, and match them with its rows. It can be repeated."""
        with self._opened() as db:
            self._collect(db, org, part)

    def _opened(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self.path, isolation_level=None))

    def _collect(self, db: sqlite3.Connection, org: Org, part: Part) -> None:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        db.execute("DROP TABLE IF EXISTS rows")
        db.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, digest BLOB, kind TEXT, first TEXT, second TEXT)")
        insert = "INSERT INTO rows VALUES (?, ?, 'unknown', '', '')"
        db.executemany(insert, ((number, _digest(row)) for number, row in enumerate(_rows(self._part))))
        db.execute("CREATE INDEX digests ON rows (digest, kind, number)")
        for kind, name, lead in _FILES:
            answer = org.send("GET", f"{BASE}/ingest/{part.job}/{name}", stream=True)
            with answer:
                answer.encoding = "utf-8"
                for row in _records(answer.iter_content(1 << 16)):
                    first, second = (*row[:lead], "", "")[:2]
                    db.execute(_FOUND, (kind, first, second, _digest(row[lead:])))
        db.execute("COMMIT")

    def each(self) -> Iterator[Outcome]:
        """Yield the outcomes in the order of the rows."""
        with self._opened() as db:
            for row in db.execute("SELECT kind, first, second FROM rows ORDER BY number"):
                yield Outcome(*row)


def _digest(values: Sequence[str]) -> bytes:
    """Return the digest of a row. A line ending inside a value may come back in another form."""
    text = "\0".join(values).replace("\r\n", "\n").replace("\r", "\n")
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def _rows(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        yield from rows


def _records(pieces: Iterator[bytes]) -> Iterator[list[str]]:
    """Yield the rows of a result file as it arrives, without its header."""
    rows = csv.reader(_lines(pieces))
    next(rows, None)
    return (row for row in rows if row)


def _lines(pieces: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace") + "\n"
    if rest:
        yield rest.decode("utf-8", "replace")
