"""Plan: which Opportunities match, asked once, and cut into pages. From here on the job's set of records is fixed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import orjson

from quotejob.clause import wrap
from quotejob.errors import OrgClosed, OrgRefused
from quotejob.run import Run
from quotejob.writing import KEY_FIELD

WAVE = 20_000  # records a wave (one chord): bounds what waits in Redis between pricing and writing
_DEPLOY = (
    "deploy it with: sf project deploy start --source-dir force-app; "
    "then assign it with: sf org assign permset --name QuoteJob"
)


def plan_quotes(run: Run) -> None:
    """Fix which Opportunities the job prices. Harmless when run twice: the first plan stored wins."""
    run.work.note(run.id, "decimals", orjson.dumps(check_org(run)).decode())
    # Those of one Account stand together, so that two writers seldom want the same parent's lock.
    found = run.org.query(
        f"SELECT Id FROM Opportunity WHERE {wrap(run.job.soql_where_clause or '')} ORDER BY AccountId, Id"
    )
    size = run.settings.page_size
    store(run, (row["Id"] for row in found), page_size=size, wave_size=max(1, WAVE // size))


def store(run: Run, keys: Iterable[str], *, page_size: int, wave_size: int) -> None:
    """Cut the keys into pages, and these into waves (of that many pages), and fix them as the job's plan."""
    run.work.store_plan(run.id, batched(keys, page_size), wave_size, lambda: run.org.calls)


def check_org(run: Run) -> dict[str, int]:
    """The decimals of each currency in use ({} in an org with one currency); OrgClosed when the org is not ready.

    The org must have Quotes and our unique key field: without it a repeated write could make a second Quote.
    """
    try:
        described = run.org.describe("Quote")
    except OrgRefused as cause:
        raise OrgClosed("The org has no Quote object, or the user may not see it; enable Quotes in Setup") from cause
    fields: dict[str, dict[str, Any]] = {field["name"]: field for field in described["fields"]}
    key = fields.get(KEY_FIELD)
    if key is None:
        raise OrgClosed(f"The org lacks the field Quote.{KEY_FIELD}, or the user may not see it; {_DEPLOY}")
    if not (key["unique"] and key["createable"]):
        raise OrgClosed(f"Quote.{KEY_FIELD} must be unique, and the user must be allowed to set it; {_DEPLOY}")
    if "CurrencyIsoCode" not in fields:
        return {}
    rows = run.org.query("SELECT IsoCode, DecimalPlaces FROM CurrencyType WHERE IsActive = true")
    return {row["IsoCode"]: int(row["DecimalPlaces"]) for row in rows}


def pages_of_wave(run: Run, wave: int) -> range:
    """The page numbers of a wave."""
    size = -(-run.job.total_job_items // (run.job.waves or 1))
    return range(wave * size, min((wave + 1) * size, run.job.total_job_items))


def batched(keys: Iterable[str], size: int) -> Iterator[list[str]]:
    """The keys in lists of ``size``, the last one shorter (itertools.batched is of Python 3.12)."""
    stream = iter(keys)
    while chunk := list(islice(stream, size)):
        yield chunk
