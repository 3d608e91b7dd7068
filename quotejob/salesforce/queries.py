"""All rows of a query: its pages, and the pages of its sub-queries. No network here: the caller fetches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

MOST_TOGETHER = 5  # queries in one composite request (REST API guide, "Composite")

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


class Answer(msgspec.Struct, rename="camel"):
    """The answer to one query of several. Its body is read when its rows are wanted, so that memory stays small."""

    http_status_code: int
    reference_id: str
    body: msgspec.Raw


class _Together(msgspec.Struct, rename="camel"):
    composite_response: list[Answer]


_together = msgspec.json.Decoder(_Together).decode


def together_body(soqls: Sequence[str], api_version: str) -> bytes:
    """Return the body of a composite request with these queries. Raises ValueError if there are too many."""
    if len(soqls) > MOST_TOGETHER:
        raise ValueError(f"{len(soqls)} queries are too many for one request")
    requests = [
        {"method": "GET", "url": f"/services/data/v{api_version}/query?{urlencode({'q': soql})}", "referenceId": name}
        for name, soql in zip(_names(soqls), soqls, strict=True)
    ]
    return msgspec.json.encode({"allOrNone": False, "compositeRequest": requests})


def answers_together(soqls: Sequence[str], content: bytes) -> list[Answer]:
    """Return the answers, one for each query and in this order. Raises ValueError for another body."""
    found = {answer.reference_id: answer for answer in _together(content).composite_response}
    try:
        return [found[name] for name in _names(soqls)]
    except KeyError as missing:
        raise ValueError(f"no answer to {missing}") from missing


def _names(soqls: Sequence[str]) -> list[str]:
    return [f"query{number}" for number in range(len(soqls))]
