"""Commit: pack a wave's priced quotes into batches, and write each batch into the org.

A batch is what one composite graph request holds. The packing is fixed once for a wave, so a batch written again sends
the same graphs again; results carry the Opportunity's id and are never matched by position.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import structlog

from quotejob import parcels
from quotejob.errors import JobStopped
from quotejob.life import Outcome, Receipt, Result
from quotejob.model import PricedQuote
from quotejob.plan import pages_of_wave
from quotejob.run import Run
from quotejob.salesforce import MAX_NODES
from quotejob.writing import Writer, nodes

log = structlog.get_logger()


def pack(run: Run, wave: int) -> int:
    """Fix the wave's batches; how many there are. Harmless when run twice: the first packing stored wins."""
    stored = run.jobs.batches(run.id, wave)
    if stored is None:
        stored = run.jobs.store_batches(run.id, wave, list(_batches(_priced(run, pages_of_wave(run, wave)))))
    return len(stored)


def write_batch(run: Run, wave: int, batch: int) -> None:
    """Write one batch. Harmless when run twice: the unique key on each Quote lets the org refuse a second one.

    When the job ends meanwhile, what was written up to then is recorded all the same.
    """
    if batch in run.jobs.written_units(run.id, wave):
        return
    run.go_on()
    ids_by_page = (run.jobs.batches(run.id, wave) or [])[batch]
    page_of = {record_id: int(page) for page, ids in ids_by_page.items() for record_id in ids}
    quotes = [quote for _, quote in _priced(run, sorted(set(page_of.values()))) if quote.opportunity_id in page_of]
    log.info(f"Submitting UnitOfWork to create {len(quotes)} Quotes and {sum(len(q.lines) for q in quotes)} Line Items")
    writer = Writer(run.org, run.id, go_on=run.go_on)
    try:
        writer.write(quotes)
    except JobStopped:
        log.info("The job ended while a batch was being written", written=len(writer.results))
    run.jobs.record_batch(run.id, wave, _receipt(f"{wave}.{batch}", writer.results, page_of, run.org.calls))


def may_start(run: Run, wave: int) -> bool:
    """Whether it is the wave's turn to be priced: the one before is priced, and the one before that written.

    So at most two waves of priced quotes wait in Redis, however large the job.
    """
    return (
        wave < (run.job.waves or 0)
        and (wave < 1 or wave_is_priced(run, wave - 1))
        and (wave < 2 or wave_is_written(run, wave - 2))
    )


def wave_is_priced(run: Run, wave: int) -> bool:
    """Whether every page of the wave has reported."""
    return len(run.jobs.priced_units(run.id, wave)) == len(pages_of_wave(run, wave))


def wave_is_written(run: Run, wave: int) -> bool:
    """Whether every batch of the wave has reported; then its priced quotes are dropped."""
    batches = run.jobs.batches(run.id, wave)
    if batches is None or len(run.jobs.written_units(run.id, wave)) < len(batches):
        return False
    run.jobs.forget_priced(run.id, pages_of_wave(run, wave))
    return True


def _priced(run: Run, pages: Iterable[int]) -> Iterator[tuple[int, PricedQuote]]:
    """The priced quotes of the pages, in page order, a page in memory at a time."""
    for page in pages:
        if stored := run.jobs.priced(run.id, page):
            yield from ((page, quote) for quote in parcels.unpack(stored))


def _batches(priced: Iterable[tuple[int, PricedQuote]]) -> Iterator[dict[str, list[str]]]:
    """Fill batches in order up to the nodes of one request; a quote too large for one request gets its own."""
    batch: dict[str, list[str]] = {}
    filled = 0
    for page, quote in priced:
        if batch and filled + nodes(quote) > MAX_NODES:
            yield batch
            batch, filled = {}, 0
        batch.setdefault(str(page), []).append(quote.opportunity_id)
        filled += nodes(quote)
    if batch:
        yield batch


def _receipt(unit: str, results: dict[str, Result], page_of: dict[str, int], api_calls: int) -> Receipt:
    done = Counter(page_of[record_id] for record_id in results)
    failed = Counter(page_of[key] for key, result in results.items() if result.outcome is Outcome.FAILED)
    pages = {page: (count, failed[page]) for page, count in done.items()}
    return Receipt(unit, tuple(results.values()), pages=pages, api_calls=api_calls)
