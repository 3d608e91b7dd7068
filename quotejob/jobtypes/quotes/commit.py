"""Commit a wave: pack its priced quotes into batches, and write each batch into the org.

A batch is what one composite graph request holds. The packing of a wave is fixed once, so a batch that is written again
sends the same graphs. Results carry the Opportunity's id and are never matched by position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta

import structlog

from quotejob import clock
from quotejob.errors import JobStopped
from quotejob.jobs.job import CommitBy
from quotejob.jobtypes.batches import packing, records
from quotejob.jobtypes.batches.packing import Size
from quotejob.jobtypes.quotes import how, packed
from quotejob.jobtypes.quotes.writer import Writer, nodes, written
from quotejob.pricing import opportunity_name
from quotejob.pricing.model import PricedQuote
from quotejob.run.context import Run
from quotejob.run.incomplete import IncompleteQuote
from quotejob.run.leases import Lease
from quotejob.run.progress import Batch
from quotejob.run.receipt import Outcome, Receipt, Result, lost
from quotejob.run.waves import open_waves, planned
from quotejob.salesforce import MAX_NODES

_SHARES = "shares"  # a note of a job that is shared out: packing.Shares
LATE_REQUESTS = 30  # seconds after the timeout of a request; later, the org does not begin to work on it

log = structlog.get_logger()


def pack(run: Run, wave: int) -> int | None:
    """Fix the wave's batches. Return their number, or None if they were fixed before: then they were sent, too."""
    waves = planned(run.job, run.progress)
    sizes = [size for page, stored in records.stored(run, waves[wave]) for size in _sizes(page, stored)]
    if run.job.commit_by is CommitBy.BULK:
        batches = packing.in_one(sizes)
        return run.fix_batches(wave, batches)
    before, under_way = _requests(run, waves[:wave])
    cuts = run.gate is not None and run.progress.note(run.id, packing.PROMPT) is None
    places = run.gate.places(run.job.org_id, under_way) if run.gate is not None and cuts else 0
    shared = _shared(run, waves, wave, sizes, places) if places else None
    batches = shared if shared is not None else packing.batches(sizes, places, before, last=wave + 1 == run.job.waves)
    return run.fix_batches(wave, batches)


def _shared(run: Run, waves: Sequence[range], wave: int, sizes: Sequence[Size], places: int) -> list[Batch] | None:
    """Return the wave's batches of a job that is shared out. None: it is not.

    The first wave says how large the job is, if the org has said how many records there are.
    """
    of_page = sum(size.nodes for size in sizes) / len(waves[wave])
    if wave == 0:
        records = int(run.progress.note(run.id, packing.EXPECTED) or 0)
        pages = records / how.kept_page_size(run, run.job.commit_by)
        shares = packing.shared_out(of_page * len(waves[0]), of_page * pages, places)
        if shares is None:
            return None
        run.progress.note(run.id, _SHARES, f"{shares.first} {shares.nodes} {shares.full}")
        return packing.evenly(sizes, shares.first)
    noted = (run.progress.note(run.id, _SHARES) or "").split()
    if not noted:
        return None
    first, nodes, *full = noted  # a version before this one has noted no full ones
    shares = packing.Shares(int(first), float(nodes), int(full[0]) if full else 0)
    return shares.cut(sizes, of_page * (waves[wave].start - waves[0].stop))


def _requests(run: Run, waves: Sequence[range]) -> tuple[int, int]:
    """Return how many batches these waves have, and how many of them are not written yet."""
    count = sum(run.progress.batch_count(run.id, wave) or 0 for wave in range(len(waves)))
    left = sum(
        (run.progress.batch_count(run.id, wave) or 0) - len(run.progress.written_units(run.id, wave))
        for wave in open_waves(run.job, run.progress, waves)
    )
    return count, left


def write_batch(run: Run, wave: int, batch: int) -> None:
    """Write one batch. Twice is harmless: each Quote has a unique key, so the org refuses a second one.

    If the job ends meanwhile, what is written by then is recorded as a part. A resumed job writes the rest.
    """
    if batch in run.progress.written_units(run.id, wave):
        return
    run.go_on()
    page_of, parts = records.undecided(run, wave, batch)
    found = quotes(run, page_of)
    log.info(f"Submitting UnitOfWork to create {len(found)} Quotes and {sum(len(q.lines) for q in found)} Line Items")
    writer = _writer(run, wave, batch)
    try:
        writer.write(found)
    except JobStopped:
        log.info("The job ended while a batch was being written", written=len(writer.results))
        part = records.receipt_of(f"{wave}.{batch}.{parts}", writer.results, page_of, run.org.calls)
        run.record_batch(wave, part, whole=False)
    else:
        _record_whole(run, wave, records.receipt_of(f"{wave}.{batch}", writer.results, page_of, run.org.calls), found)
        log.info(f"Wrote a batch of {len(writer.results)} Quotes", wave=wave, batch=batch, **run.figures())


def give_up_batch(run: Run, wave: int, batch: int) -> None:
    """Settle a batch that has ended its worker again and again: what the org has succeeded, the rest failed."""
    (page_of, _), writer = records.undecided(run, wave, batch), _writer(run, wave, batch)
    there = written(run.org, run.job.key_id, list(page_of))
    found = quotes(run, page_of)
    if _is_large(found):
        [large] = found
        run.progress.incomplete.note(run.job, f"{wave}.{batch}", large.opportunity_id)
        if large.opportunity_id in there and not writer.is_complete(large, there[large.opportunity_id]):
            run.org.delete("Quote", there.pop(large.opportunity_id))
    names = {quote.opportunity_id: opportunity_name(quote.name) for quote in found}
    results = {
        key: Result(key, Outcome.SUCCEEDED, there[key]) if key in there else lost(key, names.get(key))
        for key in page_of
    }
    _record_whole(run, wave, records.receipt_of(f"{wave}.{batch}", results, page_of, run.org.calls), found)


def remove_incomplete(run: Run, of_wave: Callable[[Run, IncompleteQuote, Lease], None]) -> None:
    """Remove the Quotes that this ended job has left incomplete in the org. Twice is harmless.

    ``of_wave`` does that for a note that stands for a whole wave.

    A request that was sent before the end may still reach the org. So a Quote is looked for once more when no such
    request can be on its way. Raises LeaseLost while a step still writes, JobStopped if the job was resumed, OrgError.
    """
    final = run.job.completed_date is not None and (
        clock.now() - run.job.completed_date > timedelta(seconds=run.settings.org_timeout + LATE_REQUESTS)
    )
    for quote in run.progress.incomplete.of_job(run.job):
        wave, batch = quote.batch
        lease = run.leases.claim(run.id, f"batch {wave} {batch}", run.job.org_id, after_end=True)
        calls = run.org.calls
        try:
            with lease.kept():
                if not run.progress.incomplete.removing(run.job, quote):
                    continue
                (of_wave if quote.is_wave else _remove)(run, quote, lease)
            run.progress.incomplete.removed(run.job, quote, final=final, api_calls=run.org.calls - calls)
        finally:
            lease.release()
    run.progress.incomplete.removed(run.job)


def _remove(run: Run, quote: IncompleteQuote, lease: Lease) -> None:
    for quote_id in written(run.org, run.job.key_id, [quote.opportunity_id]).values():
        lease.go_on()
        run.org.delete("Quote", quote_id)
        log.warning(f"Removed Quote {quote_id}: the job ended before all its lines were written")


def _writer(run: Run, wave: int, batch: int) -> Writer:
    def note_large(opportunity_id: str, quote_id: str | None) -> None:
        run.progress.incomplete.note(run.job, f"{wave}.{batch}", opportunity_id, quote_id)

    return Writer(run.org, run.job.key_id, go_on=run.go_on, slow_down=run.slow_down, note_large=note_large)


def _record_whole(run: Run, wave: int, receipt: Receipt, quotes: Sequence[PricedQuote]) -> None:
    """Store the receipt of a batch of which nothing is left to write. ``quotes``: those it had still to write."""
    note = None
    if _is_large(quotes):
        [result] = receipt.results
        note = (run.job.key_id, result.record_id, result.quote_id)
    run.record_batch(wave, receipt, incomplete=note)


def _is_large(quotes: Sequence[PricedQuote]) -> bool:
    """Return whether this is a batch of one quote that needs several requests: such a quote has a batch of its own."""
    return len(quotes) == 1 and nodes(quotes[0]) > MAX_NODES


def quotes(run: Run, page_of: Mapping[str, int]) -> list[PricedQuote]:
    """Return the priced quotes of these Opportunities, given with their pages."""
    pages = sorted(set(page_of.values()))
    return [quote for _, stored in records.stored(run, pages) for quote in packed.unpack(stored, page_of.keys())]


def _sizes(page: int, stored: bytes) -> Iterator[Size]:
    return (Size(str(page), opportunity_id, 1 + lines) for opportunity_id, lines in packed.sizes(stored))
