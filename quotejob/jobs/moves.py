"""The moves of a job from status to status. :data:`quotejob.jobs.job.MOVES` says which are allowed.

Each is one Lua script in ``store/lua/jobs/``. It also checks the jobs that depend on a job that has ended.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from quotejob import audit, clock, rights
from quotejob.errors import JobConflict
from quotejob.jobs.job import ENDED, MOVES, CommitBy, Job, Status
from quotejob.jobs.reading import JobReader
from quotejob.salesforce import session as tokens
from quotejob.store import keys, scripts

PAST_RUNS = 50  # Completed runs that are stored for each job type of an org, for estimates
PAST_RUNS_KEPT_FOR = 30 * 24 * 3600  # seconds that these runs are stored after the last one


class Moves(JobReader):
    """Moves jobs from status to status: into a slot, through their run, to their end."""

    def promote(self, org_id: str, *, reserved: int = 0, first: str | None = None) -> list[str]:
        """Give the org's free slots to its ready jobs, in order. Return the ids that this call made Queued.

        ``reserved`` slots stay free. Only the job ``first`` may take any free slot; it goes before all others.
        """
        promoted = self.run(
            "jobs/promote",
            org=org_id,
            most_active=self._settings.active_jobs,
            reserved=reserved,
            first=first,
            context_kept=tokens.TIME_TO_LIVE,
        )
        ids = [job_id.decode() for job_id in promoted]
        if ids and not self._simulated:
            for job in self.get_many(ids):
                self.log_move(job, Status.QUEUED, Status.HOLDING)
        return ids

    def waking(self) -> list[str]:
        """Return the orgs in which the time of a waiting job has come. Call promote() for each of them."""
        found = self.run("jobs/waking")
        return [org_id.decode() for org_id in found]

    def look_again(self, silence: float, most: int) -> list[str]:
        """Check again the Holding jobs and orgs that were not checked for ``silence`` seconds, ``most`` of each.

        A job becomes ready, or is Aborted because a condition can no longer hold. Returns the orgs that have ready
        jobs. Call promote() for each of them.
        """
        found = self.run("jobs/look_again", silence=int(silence * 1000), most=most)
        return [org_id.decode() for org_id in found]

    def move(self, job_id: str, status: Status, seen: Job | None = None, **also: Any) -> bool:
        """Move the job to ``status`` if MOVES allows it. Return whether it did. ``also``: more fields to set.

        ``seen``: the job as the caller knows it. It is not moved if Redis has come back with an older copy since.

        Raises NewerVersion if only a newer version understands the job.
        """
        job, now = self.get_mine(job_id), self._now()
        if status in ENDED:
            also["completedDate"] = now.isoformat()
        elif status is Status.PREPARING and job.started_date is None:
            also["startedDate"] = now.isoformat()
        elif status is Status.PREPARING:
            also |= {"resumedDate": now.isoformat(), "resumedItems": job.job_items_processed}
        keep, drop = _parts(job, status)
        origins = MOVES[status]
        before = self.run(
            "jobs/move",
            now=now,
            id=job_id,
            org=job.org_id,
            status=status,
            origins=origins,
            fields=also,
            ends=status in ENDED,
            counts=_counts(seen, status) if seen is not None else None,
            keep=keep,
            drop=drop,
            past_run=_past_run(job, now) if status is Status.COMPLETED else None,
            runs_remembered=PAST_RUNS,
            runs_kept=PAST_RUNS_KEPT_FOR,
        ).decode()
        if before not in origins:
            return False
        self.log_move(job, status, before, calls=job.api_calls)
        return True

    def forget(self, job_id: str, ended: Job | None = None) -> None:
        """Remove a job that has ended, or no longer exists, from those that the sweep looks at.

        ``ended``: the job. What comes of its end is done first, if Redis has lost the end of the script that ended it.
        """
        keep, drop = _parts(ended, ended.status) if ended else ([], [])
        self.run("jobs/forget", id=job_id, keep=keep, drop=drop)

    def fail(self, job_id: str, reason: str) -> bool:
        """End the job as Failed with this reason. Return whether this call did it."""
        return self.move(job_id, Status.FAILED, extendedStatus=reason[:1000])

    def abort(self, job_id: str) -> Job:
        """Abort the job. What is already written stays in the org. Raises JobConflict if the job had ended.

        Raises NotAManager if the person who acts may not do that.
        """
        reason = "Aborted on request; quotes already written stay in the org, see the job's results"
        before = self.get(job_id)
        rights.check(self._settings, before.created_by_id)
        if not self.move(job_id, Status.ABORTED, extendedStatus=reason):
            raise JobConflict(f"The job already ended: it is {self.get(job_id).status}")
        audit.note(
            self._redis, before.org_id, "abortJob", job_id=job_id, name=before.name, before={"status": before.status}
        )
        return self.get(job_id)

    def decide(self, job_id: str, commit_by: CommitBy) -> None:
        """Store how a job writes, when it is planned."""
        self._change(job_id, commitBy=commit_by)

    def explain(self, job_id: str, reason: str | None) -> None:
        """Set extendedStatus to what a job that has not ended waits for. None: it continues."""
        if reason is None:
            self._redis.hdel(keys.job(job_id), "extendedStatus")
        else:
            self._change(job_id, extendedStatus=reason[:1000], waited="1")

    def _change(self, job_id: str, **fields: str) -> None:
        scripts.run(self._redis, "jobs/change", job=keys.job(job_id), fields=fields)


def _parts(job: Job, status: Status) -> tuple[list[str], list[str]]:
    """Return the keys that expire with a job that ends so, and those that are deleted at once."""
    keep, drop = keys.kept_after_end(job.job_id), keys.deleted_at_end(job.job_id)
    part = drop if status is Status.COMPLETED else keep
    part += keys.needed_for_resume(job.job_id, job.waves or job.waves_begun)
    return keep, drop


def _counts(job: Job, status: Status) -> dict[str, int]:
    """Return what Redis must know for the move: the plan, and before the end what has grown with every receipt."""
    if status not in ENDED:
        return {"waves": job.waves or 0}
    counts = {"succeeded": job.succeeded, "failed": job.failed, "skipped": job.skipped, "planned": job.planned}
    return {"waves": job.waves or 0, **counts}


def _past_run(job: Job, now: datetime) -> str | None:
    """Return what is stored of a run for estimates: records, milliseconds, schedule. None: not like others."""
    if job.dry_run or job.waited or job.started_date is None or job.resumed_date is not None:
        return None
    return f"{job.total} {clock.ms(now) - clock.ms(job.started_date)} {job.schedule_id or ''}"
