"""Retries: submit a new job for the failed records of a job that has ended. And what else has a list of records."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from quotejob import audit
from quotejob.errors import QuotejobError, StoreUnavailable
from quotejob.jobs import idempotency
from quotejob.jobs.job import Job
from quotejob.jobs.options import Options
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
        seen: set[str] = set()

        def chosen() -> Iterator[str]:
            for result in self._results.stream(retry.of.job_id, Outcome.FAILED):
                seen.add(result.code or "")
                if retry.takes(result.code):
                    yield result.record_id

        lists = ListedJobs(self._redis, self._jobs, self._progress)
        return lists.submit(
            context, retry.of, retry, chosen(), lambda: nothing_to_retry(retry, seen), idempotency_key, retry=retry
        )


@dataclass(frozen=True)
class ListedJobs:
    """Submits a job whose records are a list, made from another job's results."""

    redis: RedisClient
    jobs: JobStore
    progress: Progress

    def submit(
        self,
        context: CallerContext,
        of: Job,
        asked: Retry | Options,
        records: Iterable[str],
        none: Callable[[], QuotejobError],
        idempotency_key: str | None,
        **how: Any,
    ) -> tuple[Job, bool]:
        """Copy the list, then submit the job, with ``how``. Return it and whether it is new. It is in the audit trail.

        The list is read only if there is no job with this key. ``asked`` is checked then. A list without records raises
        what ``none`` returns. The list is deleted if the job is not accepted.
        """
        request = idempotency.fingerprint({"jobType": of.job_type, **asked.stored()})
        known = idempotency.known(self.redis, context.org_id, idempotency_key, request)
        if known is not None:
            return self.jobs.get(known), False
        asked.check()
        job_id = str(uuid.uuid4())
        if not self.progress.store_chosen(job_id, batched(records, COPIED_AT_ONCE), session.WHILE_HOLDING):
            raise none()
        try:
            job, new = self.jobs.submit(context, of.job_type, idempotency_key=idempotency_key, job_id=job_id, **how)
        except StoreUnavailable:  # the job may be there: it needs its list, which expires by itself
            raise
        except QuotejobError:
            self.progress.forget_chosen(job_id)
            raise
        if new:
            action = "retryFailedRecords" if isinstance(asked, Retry) else "runAfterDryRun"
            audit.note(self.redis, context.org_id, action, job_id=of.job_id, name=of.name)
        else:
            self.progress.forget_chosen(job_id)
        return job, new
