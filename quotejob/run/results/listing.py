"""The results of a job's records, read in parts with a cursor or as a stream."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from quotejob.errors import InvalidRequest
from quotejob.jobs.job import Job
from quotejob.run.incomplete import IncompleteQuote
from quotejob.run.progress import Progress
from quotejob.run.receipt import Outcome, Result
from quotejob.run.results.explained import Explanations

QUOTE_INCOMPLETE = "QUOTE_INCOMPLETE"  # the code of a Quote that an ended job has left incomplete


class Results:
    """The results of all jobs, in one order: pages, then batches of each wave. May raise StoreUnavailable.

    A Quote that an ended job has left incomplete in the org has a failed result until it is removed.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def page(
        self,
        job_id: str,
        outcome: Outcome | str | None = None,
        limit: int = 1000,
        cursor: str | None = None,
        *,
        explain: bool = False,
    ) -> tuple[list[Result], str | None]:
        """Return at most ``limit`` of the results so far, and the cursor of the next results (None: no more).

        ``explain``: with the reasons of the prices. Raises InvalidRequest for an invalid cursor.
        """
        found: list[Result] = []
        explained = Explanations(self._progress, job_id) if explain else None
        for place, result in self._placed(job_id, cursor):
            if outcome is not None and result.outcome != outcome:
                continue
            if len(found) == limit:
                return found, place
            found.append(explained.put_in(place, result) if explained else result)
        return found, None

    def stream(self, job_id: str, outcome: Outcome | str | None = None, *, explain: bool = False) -> Iterator[Result]:
        """Yield all results so far. Only one page or batch is in memory at a time."""
        explained = Explanations(self._progress, job_id) if explain else None
        for place, result in self._placed(job_id, None):
            if outcome is None or result.outcome == outcome:
                yield explained.put_in(place, result) if explained else result

    def recount(self, job: Job) -> None:
        """Set a job's counts to what its results say: Redis may have lost the end of a script that counted them.

        All its records have a result.
        """
        counts: Counter[str] = Counter({str(outcome): 0 for outcome in Outcome})
        for _, results in self._progress.results_of(job.job_id, self._progress.units_with_results(job.job_id)):
            counts.update(str(result.outcome) for result in results)
            counts["quotesCreated"] += sum(result.quote_id is not None for result in results)
        self._progress.correct(job.job_id, counts | {"jobItemsProcessed": job.total_job_items})

    def _placed(self, job_id: str, cursor: str | None) -> Iterator[tuple[str, Result]]:
        """Yield the results after the cursor, each with its own cursor."""
        first_unit, first_place = _read(cursor)
        for unit, results in self._units(job_id, _unit_order(first_unit)):
            for place, result in enumerate(results):
                if unit != first_unit or place >= first_place:
                    yield f"{unit}:{place}", result

    def _units(self, job_id: str, first: tuple[int, ...]) -> Iterator[tuple[str, list[Result]]]:
        """Yield the units from the first on, each with its results; at last the Quotes that are incomplete."""
        units = sorted(self._progress.units_with_results(job_id), key=_unit_order)
        yield from self._progress.results_of(job_id, [unit for unit in units if _unit_order(unit) >= first])
        for quote in self._progress.incomplete.left_over(job_id):
            if not quote.is_wave and _unit_order(f"{quote.unit}.0.0") >= first:
                yield f"{quote.unit}.0.0", [_incomplete(quote)]


def _unit_order(unit: str) -> tuple[int, ...]:
    """Return a sort key, by number: pages (12), batches (0.3), their parts (0.3.0), incomplete Quotes (0.3.0.0)."""
    numbers = tuple(int(part) for part in unit.split("."))
    return (len(numbers), *numbers)


def _read(cursor: str | None) -> tuple[str, int]:
    """Return the position of a cursor: the unit, and the place of the next result in it."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9}){0,3}):([0-9]{1,9})", cursor or "0:0")
    if found is None:
        raise InvalidRequest.field("cursor", "is not a cursor of this API; send nextCursor of the answer before")
    return found[1], int(found[2])


def _incomplete(quote: IncompleteQuote) -> Result:
    known = f"Quote {quote.quote_id}" if quote.quote_id else f"A Quote with the key {quote.key}"
    message = f"{known} may have only a part of its lines; resume the job to complete it, or wait for its removal"
    return Result(quote.opportunity_id, Outcome.FAILED, quote.quote_id, QUOTE_INCOMPLETE, message)
