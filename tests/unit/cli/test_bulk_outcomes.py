"""Outcomes of the parts of a load: matched by their rows, and in memory one part at a time."""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path
from typing import Any, cast

import requests

from cli.commands.bulk.ledger import Ledger, Part
from cli.commands.bulk.org import Org
from cli.commands.bulk.outcome import FAILED, SUCCESS, UNKNOWN, Outcomes

PARTS = 5


class Answer:
    """A result file, as it arrives."""

    def __init__(self, text: str) -> None:
        self._text = text.encode()
        self.encoding = ""

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def iter_content(self, _size: int) -> list[bytes]:
        return [self._text[:20], self._text[20:]]


class Results:
    """An org that has written the first row of each job, refused the second, and does not know of the third."""

    def send(self, _method: str, path: str, **_: Any) -> requests.Response:
        assert open_databases() == 1
        job, kind = path.split("/")[-2:]
        texts = {
            "successfulResults": f'"sf__Id","sf__Created","Name"\n"id of {job}","true","{job} first"\n',
            "failedResults": f'"sf__Id","sf__Error","Name"\n"","WHY:because:--","{job} second"\n',
        }
        return cast(requests.Response, Answer(texts.get(kind, '"Name"\n')))


def open_databases() -> int:
    """Those of this process. The folder of its descriptors is one of them, and gone when it is looked at."""
    links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
    return sum(Path(os.readlink(link)).match("outcomes-*.db") for link in links if os.path.lexists(link))


def test_one_database_is_open_at_a_time(tmp_path: Path) -> None:
    """However many parts a load has: each open database takes some megabytes."""
    parts = [Part(3, 2, 4, f"job{number}") for number in range(PARTS)]
    ledger = Ledger(tmp_path, {}, parts)
    outcomes = [Outcomes(ledger, number) for number in range(PARTS)]
    for number, (each, part) in enumerate(zip(outcomes, ledger.parts, strict=True)):
        ledger.part_file(number).write_text(f"Name\n{part.job} first\n{part.job} second\n{part.job} third\n")
        each.collect(cast(Org, Results()), part)
    assert open_databases() == 0
    found = []
    for outcome in chain.from_iterable(each.each() for each in outcomes):
        assert open_databases() == 1
        found.append((outcome.kind, outcome.first, outcome.second))
    assert open_databases() == 0
    for number in range(PARTS):
        of_part = found[3 * number : 3 * number + 3]
        assert of_part == [(SUCCESS, f"id of job{number}", "true"), (FAILED, "", "WHY:because:--"), (UNKNOWN, "", "")]
