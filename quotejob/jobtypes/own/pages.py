"""Decide a page: read its records as they are now, let the job's code decide, and store the decisions.

An expected problem of one record is data in the page's receipt. Only a problem with the org itself is raised.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import structlog

from quotejob.errors import AnswerTooLarge, OrgClosed, OrgRefused
from quotejob.jobtypes.own import calling, dry, parcels
from quotejob.run.context import Run
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.salesforce.translate import URI_TOO_LONG
from quotejob.usercode.decisions import Decision, as_tallies, summed
from quotejob.usercode.jobtype import JobType
from quotejob.usercode.rows import Key, Row, columns, flat, object_of, select_list

TOO_MANY_FAILED = "TOO_MANY_FAILED"
_GONE = "The record was deleted, or is no longer visible to the user, since the job was planned"

log = structlog.get_logger()


def decide_page(run: Run, job: type[JobType[Any]], wave: int, page: int, version: str) -> None:
    """Decide one page, by this version of the job's code.

    Twice, or at the same time, is harmless: the first receipt wins, with its decisions.
    Raises OrgClosed if more records have failed than the job type allows.
    """
    run.go_on()
    check_failed(run, job)
    ids = run.progress.page(run.id, page)
    records, names, results = _records(run, job.row, ids)
    decided = calling.execute(run, job, records) if records else []
    if run.job.after_dry_run is not None:
        decided, others = dry.without_changed(run, page, decided, names)
        results += others
    if run.job.dry_run:
        decided, planned = dry.planned(run, decided, names)
        results += planned
    results += [_result(one, names.get(one.source)) for one in decided if one.outcome != "write"]
    writing = [one for one in decided if one.outcome == "write"]
    counted = summed(tally for one in decided if one.outcome == "counted" for tally in one.tallies)
    receipt = Receipt(
        str(page),
        tuple(results),
        to_write=len(writing),
        api_calls=run.org.calls,
        totals=tuple(as_tallies(counted)),
        code_version=version,
    )
    run.record_page(wave, receipt, parcels.pack(writing) if writing else b"")
    log.info(f"Decided a page of {len(ids)} records", wave=wave, page=page, **run.figures())


def check_failed(run: Run, job: type[JobType[Any]]) -> None:
    """Raise OrgClosed if more records have failed than the job type allows."""
    if job.most_failed is not None:
        failed = run.jobs.get(run.id).failed
        if failed > job.most_failed:
            reason = f"{failed} records have failed; {job.__name__} allows {job.most_failed}. It can be resumed"
            raise OrgClosed(reason, code=TOO_MANY_FAILED)


def _result(one: Decision, name: str | None) -> Result:
    if one.outcome == "counted":
        return Result(one.source, Outcome.SUCCEEDED)
    outcome = Outcome.SKIPPED if one.outcome == "skipped" else Outcome.FAILED
    return Result(one.source, outcome, code=one.code, message=one.message, record_name=name)


def _records(
    run: Run, row: type[Row], ids: Sequence[str]
) -> tuple[list[tuple[str, list[Any]]], dict[str, str | None], list[Result]]:
    """Return the ids of a page with the values for its rows, the names, and the results of what cannot be read."""
    if issubclass(row, Key):
        return [(key, [key]) for key in ids], {}, []
    of = columns(row)
    found: dict[str, list[Any]] = {}
    names: dict[str, str | None] = {}
    lost: dict[str, Result] = {}
    for record in _read(run, row, ids):
        if isinstance(record, Result):
            lost[record.record_id] = record
        else:
            found[record["Id"]], names[record["Id"]] = flat(of, record), record.get("Name")
    there = found.keys() | lost.keys()
    gone = [Result(key, Outcome.SKIPPED, code="NOT_FOUND", message=_GONE) for key in ids if key not in there]
    return [(key, found[key]) for key in ids if key in found], names, gone + list(lost.values())


def _read(run: Run, row: type[Row], ids: Sequence[str]) -> Iterator[dict[str, Any] | Result]:
    """Yield the org's records. In halves, if the answer for all or the query is too long."""
    listed = ", ".join(f"'{record_id}'" for record_id in ids)
    try:
        found = list(run.org.query(f"SELECT {select_list(columns(row))} FROM {object_of(row)} WHERE Id IN ({listed})"))
    except AnswerTooLarge as reason:
        if len(ids) == 1:
            yield Result(ids[0], Outcome.FAILED, code=reason.code, message=reason.message)
            return
        found = None
    except OrgRefused as refused:
        if refused.code != URI_TOO_LONG or len(ids) == 1:
            raise OrgClosed(f"The org does not give the fields of {row.__name__}: {refused.message}") from refused
        found = None
    if found is not None:
        yield from found
        return
    yield from _read(run, row, ids[: len(ids) // 2])
    yield from _read(run, row, ids[len(ids) // 2 :])
