"""The progress of jobs: the plan, receipts of pages and batches, priced quotes, notes.

Counters change only in the Lua script that stores the first receipt of a page or batch, so a repeat does not count.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import count
from typing import cast

import redis

from quotejob import clock
from quotejob.errors import JobConflict, JobNotFound
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.store import client as store
from quotejob.store import keys, rows, scripts

Batch = dict[str, list[str]]  # page -> the Opportunity ids of that page in this batch
UNITS_READ_AT_ONCE = 20  # pages and batches whose results are read from Redis at once, compressed


class Progress:
    """The progress of all jobs. Every method may raise StoreUnavailable if Redis does not answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    # -- the plan ------------------------------------------------------------------------------------------------------

    def store_chosen(self, job_id: str, parts: Iterable[Sequence[str]], kept: int) -> int:
        """Store the records of a job that does not ask the org for them, before it is submitted. Return their number.

        ``parts`` may be a stream. They are kept for ``kept`` seconds.
        """
        key, total = keys.job(job_id, "chosen"), 0
        with store.translated():
            for number, ids in enumerate(parts):
                total += len(ids)
                self._redis.hset(key, str(number), rows.squeeze(list(ids)))
                self._redis.expire(key, kept)
        return total

    def chosen(self, job_id: str) -> Iterator[str]:
        """Yield the records that were chosen for the job. Raises JobConflict if they are no longer stored."""
        for number in count():
            stored = self._get(job_id, "chosen", str(number))
            if stored is None and number == 0:
                raise JobConflict("The list of this job's records is no longer kept; submit the job again")
            if stored is None:
                return
            yield from rows.unsqueeze(stored)

    def forget_chosen(self, job_id: str) -> None:
        """Delete the records that were chosen for a job that was not accepted."""
        with store.translated():
            self._redis.delete(keys.job(job_id, "chosen"))

    def store_plan(
        self, job_id: str, pages: Iterable[Sequence[str]], wave_size: int, api_calls: Callable[[], int]
    ) -> bool:
        """Fix the job's plan. The first plan wins. Return whether this plan was stored. ``pages`` may be a stream."""
        draft = keys.job(job_id, f"draft:{uuid.uuid4()}")
        count = total = 0
        with store.translated():
            for count, ids in enumerate(pages, start=1):
                total += len(ids)
                self._redis.hset(draft, str(count - 1), rows.squeeze(list(ids)))
                self._redis.expire(draft, 3600)
        taken = scripts.run(
            self._redis,
            "run/plan",
            job=keys.job(job_id),
            draft=draft,
            pages=keys.job(job_id, "pages"),
            page_count=count,
            record_count=total,
            waves=-(-count // wave_size),
            api_calls=api_calls(),
        )
        return bool(taken)

    def page(self, job_id: str, page: int) -> list[str]:
        """Return the record ids (or other keys) that the plan has for one page."""
        stored = self._get(job_id, "pages", str(page))
        if stored is None:
            raise JobNotFound(f"Job {job_id} has no page {page}")
        return cast(list[str], rows.unsqueeze(stored))

    # -- pages ---------------------------------------------------------------------------------------------------------

    def record_page(self, job_id: str, wave: int, receipt: Receipt, priced: bytes = b"") -> bool:
        """Store a page's receipt and its priced quotes, once. Return True if it was the first."""
        failed = sum(result.outcome is Outcome.FAILED for result in receipt.results)
        return self._record(job_id, "priced", wave, receipt, priced, [(receipt.unit, receipt.to_write, failed)])

    def priced_units(self, job_id: str, wave: int) -> set[int]:
        """Return the pages of the wave that have reported."""
        return {int(unit) for unit in self._names(keys.stage(job_id, "priced", wave))}

    def priced(self, job_id: str, page: int) -> bytes | None:
        """Return the page's priced quotes, as stored. None: there are none, or no longer."""
        return self._get(job_id, "quotes", str(page))

    def forget_priced(self, job_id: str, pages: Iterable[int]) -> None:
        """Delete the priced quotes of pages that need no more writing."""
        with store.translated():
            self._redis.hdel(keys.job(job_id, "quotes"), *(str(page) for page in pages))

    # -- batches -------------------------------------------------------------------------------------------------------

    def store_batches(self, job_id: str, wave: int, batches: Sequence[Batch]) -> bool:
        """Fix the wave's packing. The first packing wins. Return whether this packing was stored."""
        with store.translated():
            return bool(self._redis.hsetnx(keys.job(job_id, "batches"), str(wave), rows.squeeze(list(batches))))

    def batches(self, job_id: str, wave: int) -> list[Batch] | None:
        """Return the wave's packing. None: it is not packed yet."""
        stored = self._get(job_id, "batches", str(wave))
        return None if stored is None else cast(list[Batch], rows.unsqueeze(stored))

    def record_batch(self, job_id: str, wave: int, receipt: Receipt, *, whole: bool = True) -> bool:
        """Store a batch's receipt, once. Return True if it was the first. Not ``whole``: the job ended meanwhile."""
        pages = [(str(page), -done, failed) for page, (done, failed) in (receipt.pages or {}).items()]
        return self._record(job_id, "written" if whole else "parts", wave, receipt, b"", pages)

    def written_units(self, job_id: str, wave: int) -> set[int]:
        """Return the batches of the wave that have reported."""
        return {int(unit.split(".")[1]) for unit in self._names(keys.stage(job_id, "written", wave))}

    def parts(self, job_id: str, wave: int, batch: int) -> list[str]:
        """Return the parts of a batch that were written before the job ended, as "wave.batch.number"."""
        names = self._names(keys.stage(job_id, "parts", wave))
        return sorted(name for name in names if name.startswith(f"{wave}.{batch}."))

    def units_with_results(self, job_id: str) -> list[str]:
        """Return the pages, batches and parts of batches that reported results, in no order."""
        return self._names(keys.job(job_id, "results"))

    def unit_results(self, job_id: str, unit: str) -> list[Result]:
        """Return the results of one page, batch or part of a batch."""
        return _results(self._get(job_id, "results", unit))

    def results_of(self, job_id: str, units: Sequence[str]) -> Iterator[tuple[str, list[Result]]]:
        """Yield each of the units and its results, in this order. One unit at a time is not compressed in memory."""
        for start in range(0, len(units), UNITS_READ_AT_ONCE):
            some = units[start : start + UNITS_READ_AT_ONCE]
            with store.translated():
                found = cast(list[bytes | None], self._redis.hmget(keys.job(job_id, "results"), list(some)))
            yield from ((unit, _results(stored)) for unit, stored in zip(some, found, strict=True))

    # -- notes ---------------------------------------------------------------------------------------------------------

    def once(self, job_id: str, what: str) -> bool:
        """Return True for the first call only. So several triggers start one step once."""
        with store.translated():
            return bool(self._redis.hsetnx(keys.job(job_id, "marks"), what, clock.now().isoformat()))

    def note(self, job_id: str, what: str, value: str | None = None) -> str | None:
        """Store (with ``value``) or read a small checkpoint of a long step, for example the ids of its Bulk jobs."""
        if value is not None:
            with store.translated():
                self._redis.hset(keys.job(job_id, "marks"), what, value)
            return value
        found = self._get(job_id, "marks", what)
        return None if found is None else found.decode()

    def another_fault(self, job_id: str, kind: str) -> int:
        """Count a fault. Return the number of faults of this kind since the last success."""
        with store.translated():
            count = self._redis.hincrby(keys.job(job_id, "faults"), kind, 1)
            self._redis.expire(keys.job(job_id, "faults"), 24 * 3600)
            return count

    # -- inside --------------------------------------------------------------------------------------------------------

    def _record(
        self, job_id: str, name: str, wave: int, receipt: Receipt, priced: bytes, pages: list[tuple[str, int, int]]
    ) -> bool:
        counts: dict[str, int] = {
            outcome: sum(result.outcome is outcome for result in receipt.results) for outcome in Outcome
        }
        counts["quotesCreated"] = sum(result.quote_id is not None for result in receipt.results)
        counts["apiCalls"] = receipt.api_calls
        taken = scripts.run(
            self._redis,
            "run/record",
            job=keys.job(job_id),
            receipts=keys.stage(job_id, name, wave),
            **{f"{part}_key": keys.job(job_id, part) for part in ("results", "quotes", "left", "errors")},
            faults=keys.job(job_id, "faults"),
            open=keys.OPEN,
            id=job_id,
            unit=receipt.unit,
            results=rows.squeeze([_row(result) for result in receipt.results]) if receipt.results else None,
            priced=priced or None,
            counts=counts,
            pages=pages,
        )
        return bool(taken)

    def _get(self, job_id: str, part: str, field: str) -> bytes | None:
        with store.translated():
            return cast(bytes | None, self._redis.hget(keys.job(job_id, part), field))

    def _names(self, key: str) -> list[str]:
        with store.translated():
            return [name.decode() for name in cast(list[bytes], self._redis.hkeys(key))]


def _results(stored: bytes | None) -> list[Result]:
    """Return the results of a unit from their stored form."""
    reported = rows.unsqueeze(stored) if stored else []
    return [Result(row[0], Outcome(row[1]), *row[2:]) for row in reported]


def _row(result: Result) -> list[str | None]:
    """Return a result as it is stored: its fields in order, without empty fields at the end."""
    row = [getattr(result, field.name) for field in fields(Result)]
    while row[-1] is None:
        row.pop()
    return row
