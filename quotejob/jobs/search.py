"""Lists of an org's jobs: filtered, sorted, page by page, in limited memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from quotejob.jobs.job import Job
from quotejob.jobs.listing import EVERY_JOB, NEWEST_FIRST, JobFilter, ListPosition, Sort, Sorting, span
from quotejob.jobs.rows import ALWAYS, read_job
from quotejob.jobs.store import JobStore
from quotejob.store import keys, rows
from quotejob.store.client import RedisClient

FIRST_CHUNK, LARGEST_CHUNK = 100, 800  # ids read at a time


class JobSearch:
    """Lists of jobs. Every method may raise StoreUnavailable when Redis does not answer."""

    def __init__(self, client: RedisClient, jobs: JobStore) -> None:
        self._redis = client
        self._jobs = jobs

    def recent(
        self,
        org_id: str,
        wanted: JobFilter = EVERY_JOB,
        sorting: Sorting = NEWEST_FIRST,
        *,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[list[Job], str | None]:
        """Return at most ``limit`` jobs of the org, in the order of ``sorting``, and the cursor of the next jobs.

        The cursor is None if there are no more. When jobs are added meanwhile, no job comes twice and none is missed.
        Raises InvalidRequest for a cursor that does not belong to this order.
        """
        after = sorting.read(cursor)
        if sorting.sort is Sort.CREATED:  # Redis keeps this order: read from the cursor on, only as much as needed
            stream = self.scan(org_id, wanted, sorting=sorting, after=after)
            places = [sorting.place(job) for job in islice(stream, limit + 1)]
        else:
            scanned = (sorting.place(job) for job in self.scan(org_id, wanted, (sorting.sort,)))
            places = sorting.top(limit + 1, (place for place in scanned if sorting.comes_after(place, after)))
        return self._jobs_at(places, wanted, sorting, limit)

    def counted(
        self, org_id: str, wanted: JobFilter, sorting: Sorting, *, limit: int, cursor: str | None = None
    ) -> tuple[int, list[Job], str | None]:
        """Return how many jobs match in all, and what :meth:`recent` returns, by creation time. Reads each job once."""
        after, matched, places = sorting.read(cursor), 0, list[ListPosition]()
        for job in self.scan(org_id, wanted, sorting=sorting):
            matched += 1
            if len(places) <= limit and sorting.comes_after(place := sorting.place(job), after):
                places.append(place)
        return matched, *self._jobs_at(places, wanted, sorting, limit)

    def _jobs_at(
        self, places: list[ListPosition], wanted: JobFilter, sorting: Sorting, limit: int
    ) -> tuple[list[Job], str | None]:
        found = [job for job in self._jobs.get_many([place[-1] for place in places[:limit]]) if wanted.takes(job)]
        return found, sorting.cursor(places[limit - 1]) if len(places) > limit else None

    def scan(
        self,
        org_id: str,
        wanted: JobFilter = EVERY_JOB,
        fields: Sequence[str] = (),
        sorting: Sorting = NEWEST_FIRST,
        after: ListPosition | None = None,
    ) -> Iterator[Job]:
        """Yield the org's jobs that pass the filter, by creation time, starting after a place of ``sorting``.

        Each job has only ALWAYS, the fields that the filter reads, and ``fields``. One chunk is in memory at a time.
        Jobs that are no longer stored are removed from the list.
        """
        names = tuple(dict.fromkeys((*ALWAYS, *wanted.fields, *fields)))
        for job_ids in self._chunks(org_id, wanted, sorting, after and after[2:]):
            found = zip(job_ids, self._parts(org_id, job_ids, names), strict=True)
            yield from (job for job in rows.readable(read_job, found) if wanted.takes(job))

    def _parts(self, org_id: str, job_ids: Sequence[str], names: Sequence[str]) -> list[rows.Row]:
        """Return these fields of each job's hash. {}: the job is no longer stored, and is removed from the list."""
        pipe = self._redis.pipeline(transaction=False)
        for job_id in job_ids:
            pipe.hmget(keys.job(job_id), names)
        encoded = [name.encode() for name in names]
        answers: list[list[bytes | None]] = pipe.execute()
        if gone := [job_id for job_id, answer in zip(job_ids, answers, strict=True) if answer[0] is None]:
            self._redis.zrem(keys.jobs_of(org_id, "jobs"), *gone)
        return [
            {} if answer[0] is None else {name: raw for name, raw in zip(encoded, answer, strict=True) if raw}
            for answer in answers
        ]

    def _chunks(
        self, org_id: str, wanted: JobFilter, sorting: Sorting, after: tuple[int, str] | None
    ) -> Iterator[list[str]]:
        """Yield the ids of the org's jobs in growing chunks, starting after ``after`` (creation time in us, id).

        Uses the place and not the count, so that jobs added or removed meanwhile make no difference.
        """
        key, (low, high) = keys.jobs_of(org_id, "jobs"), span(wanted)
        size = FIRST_CHUNK
        while True:
            if after is not None:
                low, high = (low, after[0]) if sorting.descending else (after[0], high)
            scored = self._redis.scored(key, low, high, size, descending=sorting.descending)
            chunk = [(int(score), job_id) for job_id, score in scored]
            fresh = [
                place for place in chunk if after is None or (place < after if sorting.descending else place > after)
            ]
            if fresh:
                after = fresh[-1]
                yield [job_id for _, job_id in fresh]
            if len(chunk) < size:
                return
            if size < LARGEST_CHUNK or not fresh:  # no new ids in a full chunk: all have the same time
                size *= 2
