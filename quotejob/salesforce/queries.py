"""All rows of a query: its pages, and the pages of its sub-queries. No network here: the caller fetches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

Record = dict[str, Any]
More = Callable[[str], Record]  # nextRecordsUrl -> the page there

_TOKEN = re.compile(r"'(?:\\.|[^'\\])*'|[()]|[\w.]+", re.DOTALL)


class Counted(Iterator[Record]):
    """Rows that are still being read, and how many there are."""

    def __init__(self, rows: Iterator[Record], count: int) -> None:
        self._rows = rows
        self.count = count

    def __next__(self) -> Record:
        """Return the next row."""
        return next(self._rows)


def rows(page: Record, more: More, children: frozenset[str] = frozenset()) -> Iterator[Record]:
    """Yield the records of ``page`` and of the pages after it. Sub-queries become plain lists.

    The sub-queries of a page are read to their end before the next page is fetched, because that fetch makes their
    cursors invalid (SOAP API guide, queryMore). ``children`` has the names of the sub-queries, lower case. A parent
    without such rows has null in the answer, and an empty list here.
    """
    while True:
        yield from [_filled(record, more, children) for record in page["records"]]
        if page.get("done", True):
            return
        page = more(page["nextRecordsUrl"])


def _filled(record: Record, more: More, children: frozenset[str]) -> Record:
    for name, value in record.items():
        if isinstance(value, dict) and "records" in value:
            record[name] = list(rows(value, more, children))
        elif value is None and name.lower() in children:
            record[name] = []
    return record


def child_names(soql: str) -> frozenset[str]:
    """Return the relationship names of the sub-queries in the SELECT list, at any depth, lower case."""
    names: set[str] = set()
    opened: list[bool] = []  # for each open parenthesis: whether it holds a sub-query
    before, last = "", ""
    for token in _TOKEN.findall(soql):
        word = token.lower()
        if last == "from" and opened and opened[-1]:
            names.add(word.rpartition(".")[2])
        if word == "(":
            opened.append(False)
        elif word == ")" and opened:
            opened.pop()
        elif word == "select" and last == "(" and opened:
            opened[-1] = before != "in"  # a semi-join is not in the answer
        before, last = last, word
    return frozenset(names)
