"""Jobs: what was asked, where it stands, what came of it. The truth of every job is here, in Redis.

Every change that depends on what is there is one Lua script in ``scripts/``: atomic, and harmless when it is sent
twice, for the client repeats a command whose answer was lost. Counters are never a bare +1: they change in the same
step that takes in a page's or batch's first receipt.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

import orjson
import redis
import zstandard

from quotejob import store, tokens
from quotejob.callers import CallerContext
from quotejob.errors import FlexQueueFull, InvalidRequest, JobConflict, JobNotFound
from quotejob.life import ENDED, MOVES, Job, JobType, Outcome, Receipt, Result, Status
from quotejob.settings import Settings

KEPT = 7 * 24 * 3600  # seconds an ended job and its results are kept
IDEMPOTENT_FOR = 24 * 3600  # seconds the same Idempotency-Key means the same job
_OPEN = "quotejob:open"  # every job that has not ended, scored by its last sign of life (ms)


class Jobs:
    """The store of jobs. Every method may raise StoreUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self._redis = client
        self._settings = settings

    # -- the caller's side ---------------------------------------------------------------------------------------------

    def submit(
        self,
        context: CallerContext,
        job_type: JobType,
        *,
        soql_where_clause: str | None = None,
        number_of_opportunities: int | None = None,
        idempotency_key: str | None = None,
    ) -> tuple[Job, bool]:
        """Accept a job into the flex queue of the caller's org; gives it and whether it is new.

        The same idempotency key from the same org within 24 hours gives the job it gave before. Raises FlexQueueFull.
        """
        job_id, now, org = str(uuid.uuid4()), _now(), context.org_id
        described = {
            "jobType": job_type,
            "status": Status.HOLDING,
            "orgId": org,
            "createdDate": now.isoformat(),
            "createdById": context.user_id,
            "soqlWhereClause": soql_where_clause,
            "numberOfOpportunities": number_of_opportunities,
        }
        pairs = [item for pair in described.items() if pair[1] is not None for item in pair]
        digest = hashlib.sha256((idempotency_key or "").encode()).hexdigest()
        answer, known = self._script(
            "submit",
            [
                _job(job_id),
                _job(job_id, "context"),
                _org(org, "holding"),
                _org(org, "active"),
                _org(org, "jobs"),
                _OPEN,
                _org(org, f"idempotency:{digest}"),
            ],
            [
                job_id,
                _ms(now),
                _us(now),
                self._settings.holding_jobs,
                self._settings.active_jobs,
                tokens.seal(context, self._settings),
                tokens.TIME_TO_LIVE,
                int(bool(idempotency_key)),
                IDEMPOTENT_FOR,
                _job(""),
                *pairs,
            ],
        )
        if answer == b"full":
            raise FlexQueueFull(
                f"This org already has {self._settings.holding_jobs} jobs waiting in its flex queue; "
                "abort one, or submit again when some have started"
            )
        return self.get(known.decode()), answer == b"new"

    def get(self, job_id: str, org_id: str | None = None) -> Job:
        """The job as it stands; JobNotFound when there is none, or (with ``org_id``) when it is another org's."""
        with store.translated():
            found = cast(dict[bytes, bytes], self._redis.hgetall(_job(job_id)))
        if not found or (org_id is not None and found[b"orgId"].decode() != org_id):
            raise JobNotFound(f"There is no job {job_id} in this org; ended jobs are kept for {KEPT // 86400} days")
        return _read(job_id, found)

    def recent(
        self,
        org_id: str,
        *,
        statuses: Iterable[Status] = (),
        job_types: Iterable[JobType] = (),
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[list[Job], str | None]:
        """The org's jobs, newest first, at most ``limit``; the cursor gives the next ones (None: there are no more)."""
        wanted, kinds = frozenset(statuses), frozenset(job_types)
        found: list[Job] = []
        for job in self._newest_first(org_id, cursor):
            if (wanted and job.status not in wanted) or (kinds and job.job_type not in kinds):
                continue
            if len(found) == limit:
                return found, f"{_us(found[-1].created_date)}:{found[-1].job_id}"
            found.append(job)
        return found, None

    def results(
        self, job_id: str, outcome: Outcome | str | None = None, limit: int = 1000, cursor: str | None = None
    ) -> tuple[list[Result], str | None]:
        """What came of the job's records so far, at most ``limit``; the cursor gives the next ones."""
        found: list[Result] = []
        for place, result in self._results(job_id, cursor):
            if outcome is not None and result.outcome != outcome:
                continue
            if len(found) == limit:
                return found, place
            found.append(result)
        return found, None

    def iter_results(self, job_id: str, outcome: Outcome | str | None = None) -> Iterator[Result]:
        """All of the job's results so far, a page's or batch's worth in memory at a time."""
        return (result for _, result in self._results(job_id, None) if outcome is None or result.outcome == outcome)

    def abort(self, job_id: str) -> Job:
        """Stop the job; what is already written stays in the org. JobConflict when it had ended before."""
        reason = "Aborted on request; quotes already written stay in the org, see the job's results"
        if not self.move(job_id, Status.ABORTED, extendedStatus=reason):
            job = self.get(job_id)
            raise JobConflict(f"The job already ended: it is {job.status}")
        return self.get(job_id)

    def ping(self) -> None:
        """Raise StoreUnavailable unless Redis answers."""
        with store.translated():
            self._redis.ping()

    # -- the workers' side ---------------------------------------------------------------------------------------------

    def promote(self, org_id: str) -> list[str]:
        """Give the org's free slots to the jobs waiting longest; the ids that became Queued just now."""
        promoted = self._script(
            "promote",
            [_org(org_id, "holding"), _org(org_id, "active"), _OPEN],
            [self._settings.active_jobs, _ms(_now()), _job("")],
        )
        return [job_id.decode() for job_id in promoted]

    def move(self, job_id: str, status: Status, **also: Any) -> bool:
        """Take the job to ``status`` if its life allows; whether this call did it. ``also``: more fields to set."""
        job = self.get(job_id)
        now = _now()
        if status in ENDED:
            also["completedDate"] = now.isoformat()
        elif status is Status.PREPARING:
            also["startedDate"] = now.isoformat()
        origins = MOVES[status]
        before = self._script(
            "move",
            [
                _job(job_id),
                _job(job_id, "context"),
                _org(job.org_id, "holding"),
                _org(job.org_id, "active"),
                _OPEN,
                *_further_keys(job),
            ],
            [
                job_id,
                status,
                int(status in ENDED),
                KEPT,
                _ms(now),
                len(origins),
                *origins,
                *(item for pair in also.items() for item in pair),
            ],
        ).decode()
        return before in origins

    def fail(self, job_id: str, reason: str) -> bool:
        """End the job as Failed, saying why; whether this call did it."""
        return self.move(job_id, Status.FAILED, extendedStatus=reason[:1000])

    def context(self, job_id: str) -> CallerContext:
        """The caller the job works for; SessionExpired when their session is no longer kept."""
        with store.translated():
            return tokens.unseal(cast(bytes | None, self._redis.get(_job(job_id, "context"))), self._settings)

    def store_plan(
        self, job_id: str, pages: Iterable[Sequence[str]], wave_size: int, api_calls: Callable[[], int]
    ) -> bool:
        """Fix the job's records: the first plan wins, whole. ``pages`` may be a stream. Whether this one was taken."""
        draft = _job(job_id, f"draft:{uuid.uuid4()}")
        count = total = 0
        with store.translated():
            for count, ids in enumerate(pages, start=1):
                total += len(ids)
                self._redis.hset(draft, str(count - 1), _squeeze(list(ids)))
                self._redis.expire(draft, 3600)
        waves = -(-count // wave_size)
        return bool(
            self._script("plan", [_job(job_id), draft, _job(job_id, "pages")], [count, total, waves, api_calls()])
        )

    def page(self, job_id: str, page: int) -> list[str]:
        """The record ids (or other keys) planned for one page."""
        with store.translated():
            stored = cast(bytes | None, self._redis.hget(_job(job_id, "pages"), str(page)))
        if stored is None:
            raise JobNotFound(f"Job {job_id} has no page {page}")
        return cast(list[str], _unsqueeze(stored))

    def record_page(self, job_id: str, wave: int, receipt: Receipt, priced: bytes = b"") -> bool:
        """Take in a page's receipt and its priced quotes, once; True for the first."""
        failed = sum(result.outcome is Outcome.FAILED for result in receipt.results)
        return self._record(
            job_id, _stage(job_id, "priced", wave), receipt, priced, [receipt.unit, receipt.to_write, failed]
        )

    def record_batch(self, job_id: str, wave: int, receipt: Receipt) -> bool:
        """Take in a batch's receipt, once; True for the first."""
        triples = [item for page, (done, failed) in (receipt.pages or {}).items() for item in (page, -done, failed)]
        return self._record(job_id, _stage(job_id, "written", wave), receipt, b"", triples)

    def priced_units(self, job_id: str, wave: int) -> set[int]:
        """The pages of the wave that have reported."""
        return {int(unit) for unit in self._hkeys(_stage(job_id, "priced", wave))}

    def written_units(self, job_id: str, wave: int) -> set[int]:
        """The batches of the wave that have reported."""
        return {int(unit.split(".")[1]) for unit in self._hkeys(_stage(job_id, "written", wave))}

    def priced(self, job_id: str, page: int) -> bytes | None:
        """The page's priced quotes, as stored; None when there are none (any more)."""
        with store.translated():
            return cast(bytes | None, self._redis.hget(_job(job_id, "quotes"), str(page)))

    def forget_priced(self, job_id: str, pages: Iterable[int]) -> None:
        """Drop the priced quotes of pages whose writing has been decided."""
        with store.translated():
            self._redis.hdel(_job(job_id, "quotes"), *(str(page) for page in pages))

    def store_batches(
        self, job_id: str, wave: int, batches: Sequence[dict[str, list[str]]]
    ) -> list[dict[str, list[str]]]:
        """Fix how the wave's quotes are packed (a batch: page -> Opportunity ids); the first packing wins."""
        with store.translated():
            self._redis.hsetnx(_job(job_id, "batches"), str(wave), _squeeze(list(batches)))
        return self.batches(job_id, wave) or []

    def batches(self, job_id: str, wave: int) -> list[dict[str, list[str]]] | None:
        """The wave's packing, or None before it is packed."""
        with store.translated():
            stored = cast(bytes | None, self._redis.hget(_job(job_id, "batches"), str(wave)))
        return None if stored is None else cast(list[dict[str, list[str]]], _unsqueeze(stored))

    def once(self, job_id: str, what: str) -> bool:
        """True for the first who asks, so that several triggers of one step start it once."""
        with store.translated():
            return bool(self._redis.hsetnx(_job(job_id, "marks"), what, _now().isoformat()))

    def note(self, job_id: str, what: str, value: str | None = None) -> str | None:
        """Keep (with ``value``) or read a small checkpoint of a long step, as the ids of its Bulk jobs."""
        with store.translated():
            if value is not None:
                self._redis.hset(_job(job_id, "marks"), what, value)
                return value
            found = cast(bytes | None, self._redis.hget(_job(job_id, "marks"), what))
            return None if found is None else found.decode()

    def touch(self, job_id: str) -> None:
        """Say that the job is being worked on."""
        with store.translated():
            self._redis.zadd(_OPEN, {job_id: _ms(_now())}, xx=True)

    def silent(self, seconds: float) -> list[str]:
        """The jobs that have not ended and gave no sign of life for so many seconds."""
        with store.translated():
            found = cast(list[bytes], self._redis.zrangebyscore(_OPEN, "-inf", _ms(_now()) - int(seconds * 1000)))
        return [job_id.decode() for job_id in found]

    def stir(self, job_id: str) -> Job:
        """Touch a silent job and give it; one that is gone altogether leaves the list of open jobs (JobNotFound)."""
        self.touch(job_id)
        try:
            return self.get(job_id)
        except JobNotFound:
            with store.translated():
                self._redis.zrem(_OPEN, job_id)
            raise

    # -- inside --------------------------------------------------------------------------------------------------------

    def _record(self, job_id: str, stage: str, receipt: Receipt, priced: bytes, triples: list[Any]) -> bool:
        tally = {outcome: sum(result.outcome is outcome for result in receipt.results) for outcome in Outcome}
        quotes = sum(result.quote_id is not None for result in receipt.results)
        results = _squeeze([_row(result) for result in receipt.results]) if receipt.results else b""
        taken, _ = self._script(
            "record",
            [_job(job_id), stage, *(_job(job_id, part) for part in ("results", "quotes", "left", "errors")), _OPEN],
            [
                job_id,
                receipt.unit,
                "1",
                results,
                priced,
                _ms(_now()),
                tally[Outcome.SUCCEEDED],
                tally[Outcome.SKIPPED],
                tally[Outcome.FAILED],
                quotes,
                receipt.api_calls,
                *triples,
            ],
        )
        return bool(taken)

    def _newest_first(self, org_id: str, cursor: str | None) -> Iterator[Job]:
        """The org's jobs, newest first, from behind the cursor on; jobs that are no longer kept leave the list."""
        key, after, start, step = _org(org_id, "jobs"), _place(cursor), 0, 100
        while True:
            with store.translated():
                listed = cast(
                    list[tuple[bytes, float]],
                    self._redis.zrevrangebyscore(key, after[0], "-inf", start, step, withscores=True),
                )
                pipe = self._redis.pipeline(transaction=False)
                for member, _ in listed:
                    pipe.hgetall(_job(member.decode()))
                rows = cast(list[dict[bytes, bytes]], pipe.execute())
                gone = [member for (member, _), row in zip(listed, rows, strict=True) if not row]
                if gone:
                    self._redis.zrem(key, *gone)
            for (member, score), row in zip(listed, rows, strict=True):
                if row and (score, member.decode()) < after:
                    yield _read(member.decode(), row)
            if len(listed) < step:
                return
            start += step - len(gone)

    def _results(self, job_id: str, cursor: str | None) -> Iterator[tuple[str, Result]]:
        """Results with the cursor of each, unit by unit in one order: pages, then batches of each wave."""
        first_unit, first_place = _cursor(cursor)
        for unit in sorted(self._hkeys(_job(job_id, "results")), key=_unit_order):
            if _unit_order(unit) < _unit_order(first_unit):
                continue
            with store.translated():
                stored = cast(bytes | None, self._redis.hget(_job(job_id, "results"), unit))
            for place, row in enumerate(_unsqueeze(stored) if stored else []):
                if unit != first_unit or place >= first_place:
                    yield f"{unit}:{place}", Result(row[0], Outcome(row[1]), *row[2:])

    def _hkeys(self, key: str) -> list[str]:
        with store.translated():
            return [name.decode() for name in cast(list[bytes], self._redis.hkeys(key))]

    def _script(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        with store.translated():
            return self._redis.register_script(_lua(name))(keys=keys, args=args)


@cache
def _lua(name: str) -> str:
    return (Path(__file__).parent / "scripts" / f"{name}.lua").read_text()


def _job(job_id: str, part: str = "") -> str:
    return f"quotejob:job:{job_id}:{part}" if part else f"quotejob:job:{job_id}"


def _org(org_id: str, part: str) -> str:
    return f"quotejob:org:{org_id}:{part}"


def _stage(job_id: str, stage: str, wave: int) -> str:
    return _job(job_id, f"{stage}:{wave}")


def _further_keys(job: Job) -> list[str]:
    """Every key of the job beside its hash and its caller's context."""
    parts = ["pages", "results", "quotes", "left", "errors", "batches", "marks"]
    waves = range(job.waves or 0)
    return [_job(job.job_id, part) for part in parts] + [
        _stage(job.job_id, stage, wave) for wave in waves for stage in ("priced", "written")
    ]


def _now() -> datetime:
    return datetime.now(UTC)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _us(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


def _squeeze(document: Any) -> bytes:
    return zstandard.compress(orjson.dumps(document))


def _unsqueeze(stored: bytes) -> Any:
    return orjson.loads(zstandard.decompress(stored))


def _row(result: Result) -> list[str | None]:
    """A result as stored: its fields in order, the empty end cut off."""
    row = [getattr(result, field.name) for field in fields(Result)]
    while row[-1] is None:
        row.pop()
    return row


def _unit_order(unit: str) -> tuple[int, ...]:
    """Pages ("12") before batches ("0.3"), each in number order."""
    numbers = tuple(int(part) for part in unit.split("."))
    return (len(numbers), *numbers)


def _place(cursor: str | None) -> tuple[float, str]:
    """Where in the list of jobs a cursor stands: the created date (us) and the id of the last job given."""
    if cursor is None:
        return (float("inf"), "")
    found = re.fullmatch(r"([0-9]{1,20}):([0-9a-f-]{36})", cursor)
    if found is None:
        raise InvalidRequest.field("cursor", "is not one this API gave out")
    return (float(found[1]), found[2])


def _cursor(cursor: str | None) -> tuple[str, int]:
    """Where in the results a cursor stands: the unit, and the place of the next result in it."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?):([0-9]{1,9})", cursor or "0:0")
    if found is None:
        raise InvalidRequest.field("cursor", "is not one this API gave out")
    return found[1], int(found[2])


_DATES = {"createdDate", "startedDate", "completedDate"}
_NUMBERS = {
    "numberOfOpportunities",
    "totalJobItems",
    "jobItemsProcessed",
    "numberOfErrors",
    "total",
    "succeeded",
    "skipped",
    "failed",
    "quotesCreated",
    "apiCalls",
    "waves",
}


def _read(job_id: str, stored: dict[bytes, bytes]) -> Job:
    """A Job from its hash; names in Redis are those of the API, in Python those of Python."""
    values: dict[str, Any] = {}
    for name, raw in ((key.decode(), value.decode()) for key, value in stored.items()):
        snake = "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)
        values[snake] = datetime.fromisoformat(raw) if name in _DATES else int(raw) if name in _NUMBERS else raw
    values["job_type"], values["status"] = JobType(values["job_type"]), Status(values["status"])
    return Job(job_id=job_id, **values)
