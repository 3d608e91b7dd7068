"""The lists of an org's jobs: filtered, sorted, page by page, in a bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import cast

import redis

from quotejob.jobs.job import Job
from quotejob.jobs.listing import EVERY_JOB, NEWEST_FIRST, JobFilter, ListPosition, Sort, Sorting, span
from quotejob.jobs.rows import ALWAYS, read_job
from quotejob.jobs.store import JobStore
from quotejob.store import client as store
from quotejob.store import keys

FIRST_CHUNK, LARGEST_CHUNK = 100, 800  # ids read at a time


class JobSearch:
    """Lists of jobs. Every method may raise StoreUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, jobs: JobStore) -> None:
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
        """Return at most ``limit`` jobs of the org, newest first or as ``sorting`` says, and the next ones' cursor.

        The cursor is None when there are no more. No job comes twice or is missed while others are added. Raises
        InvalidRequest for a cursor that is not one of this order.
        """
        after = sorting.read(cursor)
        if sorting.sort is Sort.CREATED:  # as the list is kept: read from where it goes on, as far as it takes
            stream = self.scan(org_id, wanted, sorting=sorting, after=after)
            places = [sorting.place(job) for job in islice(stream, limit + 1)]
        else:
            scanned = (sorting.place(job) for job in self.scan(org_id, wanted, (sorting.sort,)))
            places = sorting.first(limit + 1, (place for place in scanned if sorting.comes_after(place, after)))
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
        """Yield the org's jobs that are wanted, by when they were created, from behind a place of that ``sorting`` on.

        Each has what all jobs have, what the filter looks at and these fields of its hash, no more. A chunk is in
        memory at a time; jobs that are no longer kept leave the list.
        """
        names = tuple(dict.fromkeys((*ALWAYS, *wanted.fields, *fields)))
        for job_ids in self._chunks(org_id, wanted, sorting, after and after[2:]):
            for job_id, row in zip(job_ids, self._parts(org_id, job_ids, names), strict=True):
                if row is not None and wanted.takes(job := read_job(job_id, row)):
                    yield job

    def _parts(self, org_id: str, job_ids: Sequence[str], names: Sequence[str]) -> list[dict[str, bytes] | None]:
        """These fields of each job's hash; None for a job that is no longer kept, which leaves the list."""
        with store.translated():
            pipe = self._redis.pipeline(transaction=False)
            for job_id in job_ids:
                pipe.hmget(keys.job(job_id), names)
            rows = cast(list[list[bytes | None]], pipe.execute())
            gone = [job_id for job_id, row in zip(job_ids, rows, strict=True) if row[0] is None]
            if gone:
                self._redis.zrem(keys.jobs_of(org_id, "jobs"), *gone)
        return [
            None if row[0] is None else {name: raw for name, raw in zip(names, row, strict=True) if raw} for row in rows
        ]

    def _chunks(
        self, org_id: str, wanted: JobFilter, sorting: Sorting, after: tuple[int, str] | None
    ) -> Iterator[list[str]]:
        """Yield the ids of the org's jobs in chunks that grow, from behind ``after`` (when created in us, id) on.

        Goes by place and not by count, so that jobs added or forgotten meanwhile move nothing.
        """
        key, (low, high) = keys.jobs_of(org_id, "jobs"), span(wanted)
        read = self._redis.zrevrangebyscore if sorting.descending else self._redis.zrangebyscore
        begin, end = (high, low) if sorting.descending else (low, high)
        size = FIRST_CHUNK
        while True:
            with store.translated():
                scored = read(key, begin if after is None else after[0], end, 0, size, withscores=True)
            chunk = [(int(score), member.decode()) for member, score in cast(list[tuple[bytes, float]], scored)]
            fresh = [
                place for place in chunk if after is None or (place < after if sorting.descending else place > after)
            ]
            if fresh:
                after = fresh[-1]
                yield [job_id for _, job_id in fresh]
            if len(chunk) < size:
                return
            if size < LARGEST_CHUNK or not fresh:  # nothing new in so many: they are of one moment
                size *= 2
