"""Commit a wave of a user's own job: pack its decisions into batches, and write each batch into the org."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from quotejob.errors import JobStopped
from quotejob.jobtypes.batches import packing, records
from quotejob.jobtypes.batches.packing import Size
from quotejob.jobtypes.own import beginning, parcels
from quotejob.jobtypes.own.pages import check_failed
from quotejob.jobtypes.own.writer import OwnWriter
from quotejob.run.context import Run
from quotejob.run.receipt import Outcome, Receipt, Result, lost
from quotejob.run.waves import pages_of_wave
from quotejob.usercode.decisions import Decision, as_tallies, summed
from quotejob.usercode.jobtype import JobType

log = structlog.get_logger()


def pack(run: Run, wave: int) -> int | None:
    """Fix the wave's batches. Return their number, or None if they were fixed before."""
    sizes = [
        Size(str(page), one.source, parcels.size(one))
        for page, stored in records.stored(run, pages_of_wave(run.job, wave))
        for one in parcels.unpack(stored)
    ]
    is_last = wave + 1 == (run.job.waves or 1)
    places = run.gate.places(run.job.org_id) if run.gate is not None and is_last else 0
    batches = packing.batches(sizes, places)
    return run.fix_batches(wave, batches)


def write_batch(run: Run, job: type[JobType[Any]], wave: int, batch: int) -> None:
    """Write one batch. Twice is harmless: every unit has a unique key, or writes that change nothing when repeated.

    If the job ends meanwhile, what is written by then is recorded as a part. A resumed job writes the rest.
    """
    if batch in run.progress.written_units(run.id, wave):
        return
    run.go_on()
    check_failed(run, job)
    page_of, parts = records.undecided(run, wave, batch)
    decided = _decisions(run, page_of)
    log.info(f"Writing {len(decided)} records, {sum(len(one.nodes) for one in decided)} writes")
    writer = new_writer(run)
    try:
        writer.write(decided)
    except JobStopped:
        log.info("The job ended while a batch was being written", written=len(writer.results))
        part = _receipt(f"{wave}.{batch}.{parts}", writer.results, page_of, run, decided)
        run.record_batch(wave, part, whole=False)
    else:
        receipt = _receipt(f"{wave}.{batch}", writer.results, page_of, run, decided)
        run.record_batch(wave, receipt)
        log.info(f"Wrote a batch of {len(receipt.results)} records", wave=wave, batch=batch, **run.figures())


def give_up_batch(run: Run, wave: int, batch: int) -> None:
    """Settle a batch that has ended its worker again and again: what the org has succeeded, the rest failed."""
    page_of, _ = records.undecided(run, wave, batch)
    decided, writer = _decisions(run, page_of), new_writer(run)
    writer.already(decided)
    results = {one.source: writer.results.get(one.source, lost(one.source)) for one in decided}
    run.record_batch(wave, _receipt(f"{wave}.{batch}", results, page_of, run, decided))


def new_writer(run: Run) -> OwnWriter:
    """Return a writer for decisions of this job."""
    return OwnWriter(run.org, run.job.key_id, beginning.kept(run), go_on=run.go_on, slow_down=run.slow_down)


def _decisions(run: Run, page_of: Mapping[str, int]) -> list[Decision]:
    pages = sorted(set(page_of.values()))
    return [one for _, stored in records.stored(run, pages) for one in parcels.unpack(stored, page_of.keys())]


def _receipt(
    unit: str, results: dict[str, Result], page_of: dict[str, int], run: Run, decided: Iterable[Decision]
) -> Receipt:
    """Return the receipt, with the totals over those records that have succeeded."""
    well = {record_id for record_id, result in results.items() if result.outcome is Outcome.SUCCEEDED}
    totals = summed(tally for one in decided if one.source in well for tally in one.tallies)
    made = records.receipt_of(unit, results, page_of, run.org.calls)
    return Receipt(
        made.unit, made.results, pages=made.pages, api_calls=made.api_calls, totals=tuple(as_tallies(totals))
    )
