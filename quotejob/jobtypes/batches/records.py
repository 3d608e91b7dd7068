"""The records of a batch: which they are, what of them is decided, and the receipt of what was done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from quotejob.run.context import Run
from quotejob.run.receipt import Outcome, Receipt, Result


def content(run: Run, wave: int, batch: int) -> dict[str, int]:
    """Return the records of a batch, each with its page."""
    ids_by_page = run.progress.batch(run.id, wave, batch)
    return {record_id: int(page) for page, ids in ids_by_page.items() for record_id in ids}


def undecided(run: Run, wave: int, batch: int) -> tuple[dict[str, int], int]:
    """Return the records of a batch that have no result yet, each with its page, and the number of its parts.

    A part is what was written before the job ended. A resumed job has to do with the rest of the batch.
    """
    parts = run.progress.parts(run.id, wave, batch)
    decided = {result.record_id for part in parts for result in run.progress.unit_results(run.id, part)}
    page_of = content(run, wave, batch)
    return {record_id: page for record_id, page in page_of.items() if record_id not in decided}, len(parts)


def stored(run: Run, pages: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    """Yield the priced work of each page as it is stored, in page order. One page is in memory at a time."""
    for page in pages:
        if stored := run.progress.priced(run.id, page):
            yield page, stored


def receipt_of(unit: str, results: dict[str, Result], page_of: dict[str, int], api_calls: int) -> Receipt:
    """Return the receipt of a batch or a part of one. ``page_of``: the page of each of its records.

    Its results are in the order of the records, and not in that of the org's answers: so their ids need few bytes.
    """
    decided = Counter(page_of[record_id] for record_id in results)
    failed = Counter(page_of[key] for key, result in results.items() if result.outcome is Outcome.FAILED)
    pages = {page: (count, failed[page]) for page, count in decided.items()}
    ordered = tuple(results[record_id] for record_id in page_of if record_id in results)
    return Receipt(unit, ordered, pages=pages, api_calls=api_calls)
