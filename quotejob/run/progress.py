"""The progress of jobs: the plan, receipts of pages and batches, priced quotes, notes.

Counters change only in the Lua script that stores the first receipt of a page or batch, so a repeat does not count.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

import msgspec
import structlog

from quotejob import clock, formats
from quotejob.errors import JobConflict, JobNotFound, LeaseLost, StoreUnavailable
from quotejob.run.incomplete import IncompleteQuotes
from quotejob.run.leases import Lease
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.run.stored_results import pack_results, unpack_results
from quotejob.store import keys, rows, scripts
from quotejob.store.client import RedisClient

Batch = dict[str, list[str]]  # page -> the Opportunity ids of that page in this batch
UNITS_READ_AT_ONCE = 20  # pages and batches whose results are read from Redis at once, compressed
MOST_SPANS = 60  # of the pace of a job; with one more, each two become one
_PAGES = b"pages "  # instead of the reasons of a batch

log = structlog.get_logger()
LONGEST_COUNTED_PAUSE = 120.0  # seconds that the time since the fault before may count


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults of one kind that a job has met since something succeeded."""

    count: int
    waited: float  # seconds since the first of them, however many steps met one


@dataclass(frozen=True, slots=True)
class Span:
    """The records that got their result in a span of time."""

    start: datetime
    records: int


@dataclass(frozen=True, slots=True)
class Pace:
    """The records of a job by time: spans of equal length in order, without those in which nothing got a result."""

    span_seconds: int
    spans: list[Span]

    @property
    def most(self) -> float:
        """The records a second of the fastest span; 0 if there is none."""
        return max((span.records for span in self.spans), default=0) / self.span_seconds


class Progress:
    """The progress of all jobs. Every method may raise StoreUnavailable if Redis does not answer."""

    def __init__(self, client: RedisClient) -> None:
        self._redis = client
        self.incomplete = IncompleteQuotes(client)

    # -- the plan ------------------------------------------------------------------------------------------------------

    def store_chosen(self, job_id: str, parts: Iterable[Sequence[str]], kept: int) -> int:
        """Store the records of a job that does not ask the org for them, before it is submitted. Return their number.

        ``parts`` may be a stream. They are kept for ``kept`` seconds.
        """
        key, total = keys.job(job_id, "chosen"), 0
        for number, ids in enumerate(parts):
            total += len(ids)
            self._redis.hset(key, str(number), rows.squeeze(list(ids)))
            self._redis.expire(key, kept)
        return total

    def chosen(self, job_id: str) -> Iterator[str]:
        """Yield the records that were chosen for the job. Raises JobConflict if they are no longer stored."""
        for number in count():
            stored = self._redis.field(keys.job(job_id, "chosen"), str(number))
            if stored is None and number == 0:
                raise JobConflict("The list of this job's records is no longer kept; submit the job again")
            if stored is None:
                return
            yield from rows.unsqueeze(stored, list[str])

    def store_seen(self, job_id: str, page: int, fingerprints: Mapping[str, str]) -> None:
        """Store what a dry run has shown of the records of a page: record id -> fingerprint of the decision."""
        self._redis.hset(keys.job(job_id, "seen"), str(page), rows.squeeze(dict(fingerprints)))

    def seen(self, job_id: str, page: int) -> dict[str, str]:
        """Return what a dry run has shown of the records of a page. Nothing is known: nothing was shown."""
        stored = self._redis.field(keys.job(job_id, "seen"), str(page))
        return rows.unsqueeze(stored, dict[str, str]) if stored else {}

    def forget_chosen(self, job_id: str) -> None:
        """Delete the records that were chosen for a job that was not accepted."""
        self._redis.delete(keys.job(job_id, "chosen"))

    def store_plan(
        self, job_id: str, pages: Iterable[Sequence[str]], wave_size: int, api_calls: Callable[[], int]
    ) -> bool:
        """Fix the job's plan. The first plan wins. Return whether this plan was stored. ``pages`` may be a stream."""
        draft = keys.job(job_id, f"draft:{uuid.uuid4()}")
        count = total = 0
        for count, ids in enumerate(pages, start=1):
            total += len(ids)
            self._redis.hset(draft, str(count - 1), rows.squeeze(list(ids)))
            self._redis.expire(draft, 3600)
        return self._fix_plan(job_id, draft, (count, total, -(-count // wave_size)), api_calls())

    def add_wave(self, job_id: str, wave: int, first: int, pages: Sequence[Sequence[str]]) -> bool:
        """Add a wave to a plan that is still being made, so that its pages may run. Return False if it was not added.

        Then the job has ended, or somebody else makes its plan. ``first`` is the number of its first page.
        """
        added = scripts.run(
            self._redis,
            "plan/add",
            job=keys.job(job_id),
            waves=keys.job(job_id, "plan"),
            pages=keys.job(job_id, "pages"),
            open=keys.OPEN,
            id=job_id,
            wave=wave,
            first=first,
            ids=[rows.squeeze(list(ids)) for ids in pages],
        )
        return bool(added)

    def added_waves(self, job_id: str) -> list[range]:
        """Return the pages of each wave that was added. Empty: the plan was stored at once, or there is none yet."""
        found = self._redis.hash(keys.job(job_id, "plan"))
        bounds = [tuple(map(int, found[str(wave).encode()].split())) for wave in range(len(found))]
        return [range(first, first + count) for first, count in bounds]

    def end_plan(self, job_id: str, waves: Sequence[range], record_count: int, api_calls: int) -> bool:
        """Fix a plan whose waves were added. Return whether it is this one."""
        pages = waves[-1].stop if waves else 0
        return self._fix_plan(job_id, keys.job(job_id, "draft:none"), (pages, record_count, len(waves)), api_calls)

    def _fix_plan(self, job_id: str, draft: str, sizes: tuple[int, int, int], api_calls: int) -> bool:
        """Fix the plan, with the pages of ``draft`` if it exists. ``sizes``: its pages, records and waves.

        Raises StoreUnavailable if Redis has lost pages since they were stored: the plan has to be made again.
        """
        page_count, record_count, waves = sizes
        taken = scripts.run(
            self._redis,
            "plan/fix",
            job=keys.job(job_id),
            draft=draft,
            pages=keys.job(job_id, "pages"),
            page_count=page_count,
            record_count=record_count,
            waves=waves,
            api_calls=api_calls,
        )
        if taken < 0:
            raise StoreUnavailable("Redis has lost pages of the plan, which is made again")
        return bool(taken)

    def page(self, job_id: str, page: int) -> list[str]:
        """Return the record ids (or other keys) that the plan has for one page."""
        stored = self._redis.field(keys.job(job_id, "pages"), str(page))
        if stored is None:
            raise JobNotFound(f"Job {job_id} has no page {page}")
        return rows.unsqueeze(stored, list[str])

    # -- pages ---------------------------------------------------------------------------------------------------------

    def record_page(
        self, job_id: str, wave: int, receipt: Receipt, priced: bytes = b"", *, lease: Lease | None = None
    ) -> bool:
        """Store a page's receipt and its priced quotes, once. Return True if it was the first.

        Raises LeaseLost if the step does not hold its ``lease`` any more.
        """
        failed = sum(result.outcome is Outcome.FAILED for result in receipt.results)
        pages = [(receipt.unit, receipt.to_write, failed)]
        return self._record(job_id, "priced", wave, receipt, priced, pages, lease)

    def priced_units(self, job_id: str, wave: int) -> set[int]:
        """Return the pages of the wave that have reported."""
        return {int(unit) for unit in self._redis.field_names(keys.stage(job_id, "priced", wave))}

    def page_marks(self, job_id: str, wave: int) -> tuple[set[int], set[int], set[int]]:
        """Return the pages of the wave that have reported, those of the job to write, and those with failed records."""
        left = self._redis.field_names(keys.job(job_id, "left"))
        errors = self._redis.smembers(keys.job(job_id, "errors"))
        return self.priced_units(job_id, wave), set(map(int, left)), set(map(int, errors))

    def priced(self, job_id: str, page: int) -> bytes | None:
        """Return the page's priced quotes, as stored. None: there are none, or no longer."""
        return self._redis.field(keys.job(job_id, "quotes"), str(page))

    def explained(self, job_id: str, unit: str) -> list[bytes]:
        """Return the reasons of the prices of a page, or of the pages whose quotes a batch has, as they are stored."""
        key = keys.job(job_id, "explained")
        stored = self._redis.field(key, unit)
        if stored is not None and stored.startswith(_PAGES):
            pages = stored.removeprefix(_PAGES).decode().split()
            return [page for page in self._redis.fields(key, pages) if page]
        return [stored] if stored else []

    # -- batches -------------------------------------------------------------------------------------------------------

    def store_batches(self, job_id: str, wave: int, batches: Sequence[Batch], *, lease: Lease | None = None) -> bool:
        """Fix the wave's packing. The first packing wins. Return whether this packing was stored.

        Raises LeaseLost if the step does not hold its ``lease`` any more.
        """
        return self._mark(job_id, "batches", str(wave), rows.squeeze(list(batches)), first=True, lease=lease)

    def batch_count(self, job_id: str, wave: int) -> int | None:
        """Return the number of batches in the wave's packing. None: it is not packed yet."""
        stored = self._redis.field(keys.job(job_id, "batches"), str(wave))
        return None if stored is None else len(rows.unsqueeze(stored, list[msgspec.Raw]))

    def batch(self, job_id: str, wave: int, batch: int) -> Batch:
        """Return one batch of a wave. Empty: the wave is written. Raises JobNotFound if it is not packed."""
        stored = self._redis.field(keys.job(job_id, "batches"), str(wave))
        if stored is None:
            raise JobNotFound(f"Job {job_id} has no batches of wave {wave}")
        # A packing has some megabytes of ids as Python has them, and each of its batches is looked for in it.
        return msgspec.json.decode(rows.unsqueeze(stored, list[msgspec.Raw])[batch], type=Batch)

    def end_wave(self, job_id: str, wave: int, batches: int, waves: Mapping[str, range]) -> bool:
        """Note that a wave is over, of which so many batches have reported, and delete what only its steps needed.

        ``waves``: the pages of each wave, by the name of its note. Of its batches their number is kept. Returns False
        if Redis has fewer receipts than that: it came back with an older copy.
        """
        names = ("batches", "marks", "quotes", "pages")
        is_over = scripts.run(
            self._redis,
            "plan/end_wave",
            job=keys.job(job_id),
            receipts=keys.stage(job_id, "written", wave),
            **{name: keys.job(job_id, name) for name in names},
            wave=wave,
            count=batches,
            packing=rows.squeeze([{}] * batches),
            waves=[[note, pages.start, len(pages)] for note, pages in waves.items()],
        )
        return bool(is_over)

    def record_batch(
        self,
        job_id: str,
        wave: int,
        receipt: Receipt,
        *,
        whole: bool = True,
        incomplete: tuple[str, str, str | None] | None = None,
        lease: Lease | None = None,
    ) -> bool:
        """Store a batch's receipt, once. Return True if it was the first. Not ``whole``: the job ended meanwhile.

        ``incomplete``: the batch was noted as incomplete; these are the Job.key_id, the record of the note and its
        Quote. The note ends with the receipt. If somebody has removed the Quote meanwhile, nothing is stored.
        Raises LeaseLost if the step does not hold its ``lease`` any more.
        """
        pages = [(str(page), -done, failed) for page, (done, failed) in (receipt.pages or {}).items()]
        large = None
        if incomplete is not None:
            key_id, record, quote = incomplete
            large = {"incomplete": keys.job(key_id, "incomplete"), "record": record, "quote": quote}
        return self._record(job_id, "written" if whole else "parts", wave, receipt, b"", pages, lease, large)

    def written_units(self, job_id: str, wave: int) -> set[int]:
        """Return the batches of the wave that have reported."""
        return {int(unit.split(".")[1]) for unit in self._redis.field_names(keys.stage(job_id, "written", wave))}

    def parts(self, job_id: str, wave: int, batch: int) -> list[str]:
        """Return the parts of a batch that were written before the job ended, as "wave.batch.number"."""
        names = self._redis.field_names(keys.stage(job_id, "parts", wave))
        return sorted(name for name in names if name.startswith(f"{wave}.{batch}."))

    def units_with_results(self, job_id: str) -> list[str]:
        """Return the pages, batches and parts of batches that reported results, in no order."""
        return self._redis.field_names(keys.job(job_id, "results"))

    def unit_results(self, job_id: str, unit: str) -> list[Result]:
        """Return the results of one page, batch or part of a batch."""
        return _results(self._redis.field(keys.job(job_id, "results"), unit))

    def results_of(self, job_id: str, units: Sequence[str]) -> Iterator[tuple[str, list[Result]]]:
        """Yield each of the units and its results, in this order. One unit at a time is not compressed in memory."""
        for start in range(0, len(units), UNITS_READ_AT_ONCE):
            some = units[start : start + UNITS_READ_AT_ONCE]
            found = self._redis.fields(keys.job(job_id, "results"), some)
            yield from ((unit, _results(stored)) for unit, stored in zip(some, found, strict=True))

    def totals(self, job_id: str) -> Iterator[tuple[str, str, str]]:
        """Yield the name, the group and the amount of each total of every page and batch that has reported."""
        for stored in self._redis.hash(keys.job(job_id, "totals")).values():
            yield from rows.unsqueeze(stored, list[tuple[str, str, str]])

    # -- notes ---------------------------------------------------------------------------------------------------------

    def once(self, job_id: str, what: str) -> bool:
        """Return True for the first call only. So several triggers start one step once."""
        return self._mark(job_id, "marks", what, clock.now().isoformat().encode(), first=True)

    def note(self, job_id: str, what: str, value: str | None = None, *, lease: Lease | None = None) -> str | None:
        """Store (with ``value``) or read a small checkpoint of a long step, for example the ids of its Bulk jobs.

        ``lease``: of the step, if the checkpoint is only right with what the step has read. Then it raises LeaseLost
        if Redis does not know the lease.
        """
        if value is not None:
            self._mark(job_id, "marks", what, value.encode(), lease=lease)
            return value
        found = self._redis.field(keys.job(job_id, "marks"), what)
        return None if found is None else found.decode()

    def noted(self, job_id: str, names: Sequence[str]) -> list[bool]:
        """Return for each of these notes whether there is one."""
        if not names:
            return []
        return [value is not None for value in self._redis.fields(keys.job(job_id, "marks"), names)]

    def first_note(self, job_id: str, what: str, value: str) -> str:
        """Store a note if there is none of this name. Return the note that is stored then."""
        self._mark(job_id, "marks", what, value.encode(), first=True)
        return self.note(job_id, what) or value

    def _mark(
        self, job_id: str, what: str, field: str, value: bytes, *, first: bool = False, lease: Lease | None = None
    ) -> bool:
        """Write a field of a job that is not Completed. Return whether it was written. ``first``: if there is none."""
        of_job = {"job": keys.job(job_id), "key": keys.job(job_id, what)}
        fence = lease and lease.fence
        written = scripts.run(self._redis, "jobs/mark", **of_job, field=field, value=value, first=first, fence=fence)
        if written < 0:
            raise _lost(job_id, f"{what} {field}")
        return bool(written)

    def forget_note(self, job_id: str, what: str) -> None:
        """Delete a note."""
        self._redis.hdel(keys.job(job_id, "marks"), what)

    def notes(self, job_id: str, beginning: str) -> list[str]:
        """Return the values of all notes whose names begin so."""
        found = self._redis.hash(keys.job(job_id, "marks"))
        return [value.decode() for name, value in found.items() if name.decode().startswith(beginning)]

    def pace(self, job_id: str) -> Pace:
        """Return how many records got their result in which time."""
        found = {name.decode(): int(value) for name, value in self._redis.hash(keys.job(job_id, "pace")).items()}
        width = found.pop("width", 1)
        spans = sorted((int(number) * width, records) for number, records in found.items())
        return Pace(width, [Span(datetime.fromtimestamp(start, UTC), records) for start, records in spans])

    def add_calls(self, job_id: str, calls: int) -> None:
        """Count requests to the org that no receipt counts."""
        scripts.run(self._redis, "jobs/change", job=keys.job(job_id), counts={"apiCalls": calls})

    def correct(self, job_id: str, counts: Mapping[str, int]) -> None:
        """Set counts of a job, by the names of their fields."""
        scripts.run(self._redis, "jobs/change", job=keys.job(job_id), fields=dict(counts))

    def another_fault(self, job_id: str, kind: str) -> Faults:
        """Count a fault, of whichever step. Return the faults of this kind since the last success of the job."""
        longest = int(LONGEST_COUNTED_PAUSE * 1000)
        count, waited = scripts.run(
            self._redis, "run/fault", faults=keys.job(job_id, "faults"), kind=kind, longest=longest
        )
        return Faults(count, waited / 1000)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _record(
        self,
        job_id: str,
        name: str,
        wave: int,
        receipt: Receipt,
        priced: bytes,
        pages: list[tuple[str, int, int]],
        lease: Lease | None,
        large: dict[str, str | None] | None = None,
    ) -> bool:
        counts: dict[str, int] = {
            outcome: sum(result.outcome is outcome for result in receipt.results) for outcome in Outcome
        }
        counts["quotesCreated"] = sum(result.quote_id is not None for result in receipt.results)
        counts["apiCalls"] = receipt.api_calls
        failed = {str(r.code): r for r in reversed(receipt.results) if r.outcome is Outcome.FAILED}
        columns = formats.in_columns(wave)
        firsts = scripts.run(
            self._redis,
            "run/record",
            job=keys.job(job_id),
            receipts=keys.stage(job_id, name, wave),
            **{
                f"{part}_key": keys.job(job_id, part)
                for part in ("results", "quotes", "explained", "left", "errors", "marks", "totals", "pace")
            },
            faults=keys.job(job_id, "faults"),
            totals=rows.squeeze(list(receipt.totals)) if receipt.totals else None,
            open=keys.OPEN,
            id=job_id,
            unit=receipt.unit,
            results=pack_results(receipt.results, columns=columns) if receipt.results else None,
            priced=priced or None,
            explained=receipt.explained or _pages_of(receipt),
            code_version=receipt.code_version,
            decided=len(receipt.results),
            most_spans=MOST_SPANS,
            counts=counts,
            codes=list(failed),
            pages=pages,
            large=large,
            fence=lease and lease.fence,
        )
        if firsts == 0:
            raise _lost(job_id, receipt.unit)
        for code in firsts or ():  # the others are only counted, when the job is Completed
            first = failed[code.decode()]
            log.warning(f"A record failed: {first.record_id}: {first.code}: {first.message}")
        return firsts is not None


def _lost(job_id: str, what: str) -> LeaseLost:
    return LeaseLost(f"{what} of job {job_id} is not stored: Redis does not know the lease of this step")


def _pages_of(receipt: Receipt) -> bytes | None:
    """Return where the reasons of a batch are: with its pages."""
    return _PAGES + " ".join(map(str, receipt.pages)).encode() if receipt.pages else None


def _results(stored: bytes | None) -> list[Result]:
    """Return the results of a unit from their stored form."""
    return unpack_results(stored) if stored else []
