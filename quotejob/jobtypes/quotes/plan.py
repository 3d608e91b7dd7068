"""Plan a Quote job: ask the org once which Opportunities match, and cut them into pages.

A retry does not ask: its records were chosen when it was submitted. From then on the job's set of records is fixed.
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from quotejob.errors import OrgClosed, OrgRefused
from quotejob.jobtypes import key_field
from quotejob.run.context import Run
from quotejob.run.waves import store_plan
from quotejob.salesforce.clause import select_opportunities

MAX_RECORDS_PER_WAVE = 20_000  # in one chord: bounds what waits in Redis between pricing and writing


def plan_quotes(run: Run) -> None:
    """Fix which Opportunities the job prices. Harmless when run twice: the first plan stored wins."""
    run.progress.note(run.id, "decimals", orjson.dumps(check_org(run)).decode())
    size = run.settings.page_size
    store_plan(run, _records(run), page_size=size, wave_size=max(1, MAX_RECORDS_PER_WAVE // size))


def _records(run: Run) -> Iterator[str]:
    if run.job.retry_of is not None:
        return run.progress.chosen(run.id)
    return (row["Id"] for row in run.org.query(select_opportunities(run.job.soql_where_clause or "")))


def check_org(run: Run) -> dict[str, int]:
    """Return the decimals of each currency in use ({} if there is one). Raises OrgClosed if the org is not ready.

    Raises OrgClosed if the org has no Quotes or not our unique key field.
    """
    try:
        described = run.org.describe("Quote")
    except OrgRefused as cause:
        raise OrgClosed("The org has no Quote object, or the user may not see it; enable Quotes in Setup") from cause
    key_field.check(described)
    if not any(field["name"] == "CurrencyIsoCode" for field in described["fields"]):
        return {}
    rows = run.org.query("SELECT IsoCode, DecimalPlaces FROM CurrencyType WHERE IsActive = true")
    return {row["IsoCode"]: int(row["DecimalPlaces"]) for row in rows}
