"""Reading jobs from Redis, and running their scripts: what submission and moves have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from msgspec.structs import replace

from quotejob import clock, formats
from quotejob.errors import JobNotFound
from quotejob.jobs.conditions import waiting
from quotejob.jobs.job import Job, Status
from quotejob.jobs.rows import read_job
from quotejob.settings import Settings
from quotejob.store import keys, rows, scripts
from quotejob.store.client import RedisClient

NOTICES_KEPT_FOR = 24 * 3600  # seconds that the notice of a job's end is tried, and its session kept
SESSION_KEPT_FOR = 3600  # seconds that the session of an ended job is kept at most, to tell its org of the end
ENDED_JOB_KEPT_FOR = 7 * 24 * 3600  # seconds that an ended job and its results are stored

log = structlog.get_logger()


class JobReader:
    """Reads jobs. ``now`` is another clock than the real one, for simulated time."""

    def __init__(self, client: RedisClient, settings: Settings, now: Callable[[], datetime] | None = None) -> None:
        self._redis = client
        self._settings = settings
        self._now = now or clock.now
        self._simulated = now is not None

    @property
    def settings(self) -> Settings:
        """The settings that jobs go by."""
        return self._settings

    def get(self, job_id: str, org_id: str | None = None) -> Job:
        """Return the job. Raises JobNotFound if it does not exist or, with ``org_id``, if it belongs to another org."""
        found = self._redis.hash(keys.job(job_id))
        if not found or (org_id is not None and found[b"orgId"].decode() != org_id):
            days = ENDED_JOB_KEPT_FOR // 86400
            raise JobNotFound(f"There is no job {job_id} in this org; ended jobs are kept for {days} days")
        return self._with_waiting([read_job(job_id, found)])[0]

    def of_row(self, job_id: str, row: Sequence[bytes], position: int | None) -> Job:
        """Return the job of a hash that a script has read, as names and values in turn, with its position."""
        found = dict(zip(row[::2], row[1::2], strict=True))
        return self._with_waiting([read_job(job_id, found)], {job_id: position})[0]

    def get_mine(self, job_id: str, org_id: str | None = None) -> Job:
        """Return the job, to change it. Raises NewerVersion if only a newer version understands it."""
        job = self.get(job_id, org_id)
        formats.check(f"Job {job_id}", job.format)
        return job

    def get_many(self, job_ids: Sequence[str], ranks: Mapping[str, int] | None = None) -> list[Job]:
        """Return those of the jobs that exist and that this version can read, in the given order.

        ``ranks``: the positions of Holding jobs, if the caller has just read them.
        """
        stored = self._redis.hashes(keys.job(job_id) for job_id in job_ids)
        return self._with_waiting(list(rows.readable(read_job, zip(job_ids, stored, strict=True))), ranks)

    def format_of(self, job_id: str) -> int:
        """Return the format that the job needs; 1 if it is no longer there."""
        return int(self._redis.field(keys.job(job_id), "format") or 1)

    def run(self, script: str, /, *, now: datetime | None = None, **arguments: Any) -> Any:
        """Run a script that needs jobs/queue.lua. The script uses Redis's clock, which all processes share.

        ``now`` is the time that the script writes for people to read. In simulated time the script also works with it.
        """
        now = now or self._now()
        simulated = clock.ms(now) if self._simulated else None
        return scripts.run(
            self._redis,
            script,
            now=simulated,
            now_iso=now.isoformat(),
            format=formats.FORMAT,
            kept=ENDED_JOB_KEPT_FOR,
            webhooks=[webhook.name for webhook in self._settings.webhooks],
            notices_kept=NOTICES_KEPT_FOR,
            mirror_kept=SESSION_KEPT_FOR if self._settings.mirror else None,
            **arguments,
        )

    def log_move(self, job: Job, status: Status, before: str = "", **figures: int) -> None:
        """Write the line of a move: how long the job has run, or has waited. Not in simulated time."""
        if not self._simulated:
            began = job.started_date or job.created_date
            seconds = max(0.0, round((self._now() - began).total_seconds(), 3))
            about = {"job_id": job.job_id, "org_id": job.org_id, "job_type": job.job_type, "before": before or None}
            log.info(f"Job is {status}", **about, seconds=seconds, **figures)

    def _with_waiting(self, jobs: list[Job], ranks: Mapping[str, int | None] | None = None) -> list[Job]:
        """Return the jobs. Holding jobs have their position, and what they still wait for."""
        holding = [job for job in jobs if job.status is Status.HOLDING]
        held = [job.job_id for job in holding if job.depends_on]
        pipe = self._redis.pipeline(transaction=False)
        for job in holding if ranks is None else ():
            pipe.zrank(keys.jobs_of(job.org_id, "holding"), job.job_id)
        for job_id in held:
            pipe.smembers(keys.job(job_id, "waits"))
        answers: list[Any] = pipe.execute()
        waits: dict[str, set[bytes]] = dict(zip(held, answers[len(answers) - len(held) :], strict=True))
        positions = dict(zip((job.job_id for job in holding), answers, strict=False)) if ranks is None else ranks
        parents = [parent.decode() for parent in set().union(*waits.values())]
        found = self._redis.field_of_each([keys.job(parent) for parent in parents], "status")
        statuses = dict(zip(parents, found, strict=True))
        now = self._now()

        def with_waiting(job: Job) -> Job:
            if job.status is not Status.HOLDING:
                return job
            job = replace(job, position=positions.get(job.job_id))
            if not (job.depends_on or job.not_before):
                return job
            waited = {parent.decode() for parent in waits.get(job.job_id, ())}
            stands = [(one, (statuses[one] or b"gone").decode()) for one in job.depends_on if one in waited]
            return replace(job, waiting_for=waiting(job, stands, now))

        return [with_waiting(job) for job in jobs]
