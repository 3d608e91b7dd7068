"""Retries: submit a new job for the failed records of a job that has ended."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

from quotejob import audit
from quotejob.errors import QuotejobError, StoreUnavailable
from quotejob.jobs import idempotency
from quotejob.jobs.job import Job
from quotejob.jobs.retry import Retry, nothing_to_retry
from quotejob.jobs.store import JobStore
from quotejob.run.progress import Progress
from quotejob.run.receipt import Outcome
from quotejob.run.results import Results
from quotejob.run.waves import batched
from quotejob.salesforce import session
from quotejob.salesforce.caller import CallerContext
from quotejob.store.client import RedisClient

COPIED_AT_ONCE = 1000  # record ids


class Retries:
    """Submits retries. Every method may raise StoreUnavailable when Redis does not answer."""

    def __init__(self, client: RedisClient, jobs: JobStore, progress: Progress, results: Results) -> None:
        self._redis = client
        self._jobs = jobs
        self._progress = progress
        self._results = results

    def submit(self, context: CallerContext, retry: Retry, idempotency_key: str | None = None) -> tuple[Job, bool]:
        """Add a job for the failed records to the flex queue. Return it and whether it is new.

        The ids of these records are copied now. So it does not matter when the results of the first job are deleted, or
        what a resume adds to them. Raises JobConflict if there is nothing to retry, FlexQueueFull, and
        IdempotencyKeyReused.
        """
        asked = {"jobType": retry.of.job_type, **retry.stored()}
        known = idempotency.known(self._redis, context.org_id, idempotency_key, idempotency.fingerprint(asked))
        if known is not None:
            return self._jobs.get(known), False
        retry.check()
        job_id = str(uuid.uuid4())
        job, new = submit_with_list(
            self._progress,
            job_id,
            lambda: self._copy_failed(job_id, retry),
            lambda: self._jobs.submit(
                context, retry.of.job_type, retry=retry, idempotency_key=idempotency_key, job_id=job_id
            ),
        )
        if new:
            audit.note(self._redis, context.org_id, "retryFailedRecords", job_id=retry.of.job_id, name=retry.of.name)
        return job, new

    def _copy_failed(self, job_id: str, retry: Retry) -> None:
        """Store the ids of the records to retry for the new job. One part of the results is in memory at a time."""
        seen: set[str] = set()

        def chosen() -> Iterator[str]:
            for result in self._results.stream(retry.of.job_id, Outcome.FAILED):
                seen.add(result.code or "")
                if retry.takes(result.code):
                    yield result.record_id

        if not self._progress.store_chosen(job_id, batched(chosen(), COPIED_AT_ONCE), session.WHILE_HOLDING):
            raise nothing_to_retry(retry, seen)


def submit_with_list(
    progress: Progress, job_id: str, copy: Callable[[], None], submit: Callable[[], tuple[Job, bool]]
) -> tuple[Job, bool]:
    """Copy the list of a job's records, then submit the job. The list is deleted if the job is not accepted."""
    copy()
    try:
        job, new = submit()
    except StoreUnavailable:  # the job may be there: it needs its list, which expires by itself
        raise
    except QuotejobError:
        progress.forget_chosen(job_id)
        raise
    if not new:
        progress.forget_chosen(job_id)
    return job, new
