"""Protections that can be taken out, one at a time: histories must then find what they protect from."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any
from unittest.mock import patch

from harness.histories.org import Org
from harness.histories.workers import Workers
from quotejob.jobtypes.quotes import commit, writer
from quotejob.run import waves
from quotejob.run.incomplete import IncompleteQuotes
from quotejob.run.results.listing import Results
from quotejob.store import scripts

FIRST_RECEIPT = "if redis.call('HEXISTS', args.receipts, args.unit) == 1 then return false end"


def _without_first_receipt() -> list[Any]:
    """Count every receipt, and do not let the end of a job put the counts right."""
    lua = scripts._lua
    return [
        patch.object(scripts, "_lua", cache(lambda name: lua(name).replace(FIRST_RECEIPT, ""))),
        patch.object(Results, "recount", lambda *_: None),
    ]


PROTECTIONS: dict[str, Callable[[], list[Any]]] = {
    "unique keys of the org": lambda: [patch.object(Org, "unique", False)],
    "the sweep": lambda: [patch.object(Workers, "sweeping", False)],
    "the look-up of a refused duplicate": lambda: [patch.object(writer, "written", lambda *_: {})],
    "the clean-up": lambda: [
        patch.object(IncompleteQuotes, "due", lambda _: []),
        patch.object(IncompleteQuotes, "jobs_of_org", lambda *_: []),
    ],
    "the second look for late requests": lambda: [patch.object(commit, "LATE_REQUESTS", -10_000)],
    "the mark before a removal": lambda: [patch.object(IncompleteQuotes, "removing", lambda *_: True)],
    "the wait for all pages of a wave": lambda: [patch.object(waves, "wave_is_priced", lambda *_: True)],
    "the first receipt wins": _without_first_receipt,
}


@contextlib.contextmanager
def without(name: str | None) -> Iterator[None]:
    """Take out a protection for the length of the block. None: take out nothing."""
    with contextlib.ExitStack() as stack:
        for each in PROTECTIONS[name]() if name else ():
            stack.enter_context(each)
        yield
