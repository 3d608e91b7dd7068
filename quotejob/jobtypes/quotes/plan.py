"""Plan a Quote job: ask the org once which Opportunities match, and cut them into pages.

A retry does not ask: its records were chosen when it was submitted. From then on the job's set of records is fixed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from quotejob.errors import OrgClosed, OrgRefused
from quotejob.jobs.job import CommitBy
from quotejob.jobtypes import foreseen, key_field
from quotejob.jobtypes.batches.packing import EXPECTED, MAX_RECORDS_PER_WAVE, PROMPT
from quotejob.jobtypes.quotes import how
from quotejob.jobtypes.quotes.pages import EXPLAIN_LENGTH, rules
from quotejob.jobtypes.quotes.reading import CURRENCY_GOES_ALONG, explained, select
from quotejob.pricing import Rules
from quotejob.pricing.fields import LINE_FIELDS, QUOTE_FIELDS, Sources
from quotejob.run import dry_runs
from quotejob.run.context import Run
from quotejob.run.waves import stream_plan
from quotejob.salesforce.clause import select_opportunities
from quotejob.salesforce.queries import Counted
from quotejob.usercode.pricing.pricer import pricer
from quotejob.usercode.rows import Column, missing

_NOBODY = "006000000000000AAA"  # the id of no Opportunity


class Currencies(NamedTuple):
    """The currencies of an org."""

    places: dict[str, int]  # decimals by ISO code; empty: the org has only one currency
    settable: bool  # the currency of a new Quote is to be set: the org would take the user's own


def plan_quotes(run: Run) -> None:
    """Fix which Opportunities the job prices. Harmless when run twice: the first plan stored wins."""
    book = rules(run.settings.pricing_rules)
    if (own := pricer(run.settings)) is not None:
        own.get_ready()
    commit_by = how.decided(run)
    run.jobs.decide(run.id, commit_by)
    if commit_by is CommitBy.BULK and not run.job.dry_run:
        with run.org.reading("the fields of its lines"):
            key_field.check(run.org.describe("QuoteLineItem"))
    began, before = time.perf_counter(), run.org.calls
    currencies = check_org(run, book)
    seconds = (time.perf_counter() - began) / max(1, run.org.calls - before)
    if run.gate is not None and run.gate.is_prompt(run.job.org_id, seconds):
        run.progress.note(run.id, PROMPT, "1")
    run.progress.note(run.id, "decimals", orjson.dumps(currencies.places).decode())
    if currencies.settable:
        run.progress.note(run.id, CURRENCY_GOES_ALONG, "1")
    size = how.kept_page_size(run, commit_by)
    most, first = max(1, MAX_RECORDS_PER_WAVE // size), how.first_wave(commit_by)
    stream_plan(run, _records(run, size), page_size=size, wave_size=most, first_wave=first)


def _records(run: Run, page_size: int) -> Iterator[str]:
    if run.job.retry_of is not None:
        yield from run.progress.chosen(run.id)
        return
    if run.job.after_dry_run is not None:
        yield from dry_runs.records(run.progress, run.id, page_size)
        return
    found = run.org.query(select_opportunities(run.job.soql_where_clause or ""))
    if isinstance(found, Counted):
        run.progress.note(run.id, EXPECTED, str(found.count))
    with run.org.reading("the ids of the Opportunities"):
        yield from (row["Id"] for row in found)


def check_org(run: Run, book: Rules) -> Currencies:
    """Return the currencies of the org. Raises OrgClosed if the org is not ready.

    Raises OrgClosed if the org has no Quotes, not our unique key field, or not the fields that the rules copy. Without
    the key field a repeated write could make a second Quote.
    """
    try:
        described = run.org.describe("Quote")
    except OrgRefused as cause:
        raise OrgClosed("The org has no Quote object, or the user may not see it; enable Quotes in Setup") from cause
    with run.org.reading("the fields of its objects, and its currencies"):
        key_field.check(described)
        if run.job.dry_run:
            foreseen.keep(run, [described, run.org.describe("QuoteLineItem")])
        fields: dict[str, dict[str, Any]] = {field["name"]: field for field in described["fields"]}
        _check_fields(run, book, fields)
        if "CurrencyIsoCode" not in fields:
            return Currencies({}, settable=False)
        # Inactive ones too: Opportunities keep a currency that is no longer active.
        rows = run.org.query("SELECT IsoCode, DecimalPlaces FROM CurrencyType")
        places = {row["IsoCode"]: int(row["DecimalPlaces"]) for row in rows}
        return Currencies(places, settable=bool(fields["CurrencyIsoCode"]["createable"]))


def _check_fields(run: Run, book: Rules, quote_fields: Mapping[str, dict[str, Any]]) -> None:
    """Raise OrgClosed if the org lacks a field of the rules. Rules without ``fields`` cost no request here."""
    _check_settable("Quote", quote_fields.values(), book.quote_fields)
    if book.line_fields.keys() - LINE_FIELDS.keys():
        _check_settable("QuoteLineItem", run.org.describe("QuoteLineItem")["fields"], book.line_fields)
    if run.settings.explain_field:
        _note_length(run, run.settings.explain_field, quote_fields)
    own = pricer(run.settings)
    if own is not None:
        _check_asked(run, own.about.columns, Rules(book.maximum_discount))
    if book.quote_fields != QUOTE_FIELDS or book.line_fields != LINE_FIELDS:
        with explained():
            run.org.explain(select([_NOBODY], book, multi_currency=False))


def _note_length(run: Run, field: str, quote_fields: Mapping[str, dict[str, Any]]) -> None:
    """Note how much text the field for reasons takes. Raises OrgClosed if the user may not set it, or it is no text."""
    sobject, _, name = field.partition(".")
    known = quote_fields.values() if sobject == "Quote" else run.org.describe(sobject)["fields"]
    found = next((each for each in known if each["name"].lower() == name.lower()), None)
    if found is None or not found["createable"] or not found.get("length"):
        raise OrgClosed(
            f"QUOTEJOB_EXPLAIN_FIELD is {field}, but the org has no such text field, or the user may not set it"
        )
    run.progress.note(run.id, EXPLAIN_LENGTH, str(found["length"]))


def _check_asked(run: Run, asked: Sequence[Column], plain: Rules) -> None:
    """Raise OrgClosed with the names of all fields that the pricing function reads and the org does not have.

    A function that reads only what is read anyway costs no request.
    """
    query = select([_NOBODY], plain, multi_currency=False, asked=asked)
    if query == select([_NOBODY], plain, multi_currency=False):
        return
    try:
        run.org.explain(query)
    except OrgRefused as refused:
        lacking = missing("Opportunity", asked, run.org.describe)
        if not lacking:
            raise
        raise OrgClosed(
            f"The pricing function reads fields that the org lacks, or that the user may not read: {', '.join(lacking)}"
        ) from refused


def _check_settable(object_name: str, described: Iterable[dict[str, Any]], wanted: Sources) -> None:
    settable = {field["name"].lower() for field in described if field["createable"]}
    for name in wanted:
        if name.lower() not in settable:
            raise OrgClosed(
                f"The pricing rules set {object_name}.{name}, but the org has no such field, "
                "or the user may not set it; correct 'fields' in the rules, or the org"
            )
