"""Incomplete Quotes: those that are written in several requests, until all their lines are in the org.

A step notes such a Quote before its first request. The receipt of its batch ends the note, in the same script. A note
that is left when the job ends is a duty: the Quote must be removed from the org. :mod:`tasks.clean_up` does that.
"""

from __future__ import annotations

from dataclasses import dataclass

from quotejob.errors import JobStopped, LeaseLost
from quotejob.jobs.job import Job
from quotejob.store import keys, scripts
from quotejob.store.client import RedisClient

FIRST_PAUSE = 15.0  # seconds between the first two tries to remove a Quote; more than the length of a lease
LONGEST_PAUSE = 600.0  # seconds between two tries
JOBS_PER_SWEEP = 100  # ended jobs whose Quotes one sweep sends to be removed
NOTES_KEPT_FOR = 30 * 24 * 3600  # seconds; longer than an ended job is
WAVE = "wave"  # in place of the Quote's id: all Quotes of a batch by Bulk.
REMOVED = "-"  # in place of the Quote's id: it was removed, and a late request could still write it again
REMOVING = "~"  # before the Quote's id: it is being removed


@dataclass(frozen=True, slots=True)
class IncompleteQuote:
    """A Quote of which the org may have only some lines."""

    key: str  # its unique key in the org
    opportunity_id: str
    unit: str  # its batch, "wave.batch"
    quote_id: str | None  # None: not known
    removed: bool  # it was removed once; it is looked for once more

    @classmethod
    def of_batch(cls, job_id: str, unit: str) -> str:
        """Return what a note has in place of the Opportunity if it stands for a batch."""
        return f"{job_id}/{unit}"

    @property
    def is_wave(self) -> bool:
        """Whether it stands for all Quotes of a batch, which is written by Bulk."""
        return "/" in self.opportunity_id

    @property
    def batch(self) -> tuple[int, int]:
        """The wave and the batch."""
        wave, batch = self.unit.split(".")
        return int(wave), int(batch)


class IncompleteQuotes:
    """The incomplete Quotes of all jobs. Every method may raise StoreUnavailable if Redis does not answer."""

    def __init__(self, client: RedisClient) -> None:
        self._redis = client

    def note(self, job: Job, unit: str, opportunity_id: str, quote_id: str | None = None) -> None:
        """Note that a Quote is being written: before its first request, and again when its id is known.

        Raises JobStopped if the job has ended. Raises LeaseLost if another step has stored the receipt of this batch,
        or if another job of the same chain of retries writes or removes this Quote now.
        """
        answer = scripts.run(
            self._redis,
            "run/incomplete",
            **self._keys(job),
            receipts=keys.stage(job.job_id, "written", int(unit.split(".")[0])),
            id=job.job_id,
            unit=unit,
            record=opportunity_id,
            quote=quote_id,
            kept=NOTES_KEPT_FOR,
        ).decode()
        if answer == "ended":
            raise JobStopped(f"Job {job.job_id} has ended")
        if answer == "reported":
            raise LeaseLost(f"Batch {unit} of job {job.job_id} is written already")
        if answer == "held":
            raise LeaseLost(f"Another retry of the same job writes or removes the Quote of {opportunity_id} now")

    def of_job(self, job: Job) -> list[IncompleteQuote]:
        """Return the noted Quotes of a job, by Opportunity. While the job runs, these are the ones being written."""
        return self._read(job.job_id, job.key_id)

    def left_over(self, job_id: str) -> list[IncompleteQuote]:
        """Return the Quotes that the org may still have incomplete although the job has ended."""
        if self._redis.zscore(keys.CLEAN_UPS, job_id) is None:
            return []
        first = self._redis.field(keys.job(job_id), "firstJobId")
        return [quote for quote in self._read(job_id, first.decode() if first else job_id) if not quote.removed]

    def due(self) -> list[str]:
        """Return ended jobs whose Quotes should be removed now. Of several calls at once, one gets a job."""
        pauses = {"first_pause": int(FIRST_PAUSE * 1000), "longest_pause": int(LONGEST_PAUSE * 1000)}
        found = scripts.run(self._redis, "run/due_clean_ups", clean_ups=keys.CLEAN_UPS, most=JOBS_PER_SWEEP, **pauses)
        return [job_id.decode() for job_id in found]

    def jobs_of_org(self, org_id: str) -> list[str]:
        """Return the ended jobs of an org whose Quotes have to be removed."""
        return sorted(self._redis.members(keys.jobs_of(org_id, "clean-ups")))

    def removing(self, job: Job, quote: IncompleteQuote) -> bool:
        """Note that a Quote is being removed, so that no receipt of a slow step can call it written any more.

        Return False if such a receipt came first, or if the job was resumed: then the Quote must stay.
        """
        arguments = {"job": keys.job(job.job_id), "incomplete": keys.job(job.key_id, "incomplete")}
        return bool(scripts.run(self._redis, "run/removing", **arguments, id=job.job_id, record=quote.opportunity_id))

    def removed(
        self, job: Job, quote: IncompleteQuote | None = None, *, final: bool = True, api_calls: int = 0
    ) -> bool:
        """Store that a Quote is removed; not ``final``: it must be looked for again. Return whether nothing is left.

        Without a Quote only the duty is checked. Nothing changes if the job was resumed meanwhile.
        """
        return bool(
            scripts.run(
                self._redis,
                "run/removed",
                **self._keys(job),
                context=keys.job(job.job_id, "context"),
                lent=keys.job(job.job_id, "lent"),
                leases=keys.job(job.job_id, "leases"),
                id=job.job_id,
                record=None if quote is None else quote.opportunity_id,
                final=final,
                api_calls=api_calls,
            )
        )

    def forget(self, job_id: str, org_id: str | None) -> None:
        """Forget a job that is no longer stored; None: its org is not known, and forgets it at its next job."""
        self._redis.zrem(keys.CLEAN_UPS, job_id)
        if org_id is not None:
            self._redis.srem(keys.jobs_of(org_id, "clean-ups"), job_id)

    def _read(self, job_id: str, key_id: str) -> list[IncompleteQuote]:
        """Return the notes of this job. The hash has those of all jobs of the chain: "job unit Quote"."""
        found = []
        for record, note in sorted(self._redis.hash(keys.job(key_id, "incomplete")).items()):
            opportunity_id, [holder, unit, *known] = record.decode(), note.decode().split()
            if holder == job_id:
                removed = known == [REMOVED]
                quote_id = None if removed else "".join(known).removeprefix(REMOVING) or None
                found.append(IncompleteQuote(f"{key_id}:{opportunity_id}", opportunity_id, unit, quote_id, removed))
        return found

    def _keys(self, job: Job) -> dict[str, str]:
        return {
            "job": keys.job(job.job_id),
            "incomplete": keys.job(job.key_id, "incomplete"),
            "clean_ups": keys.CLEAN_UPS,
            "org_clean_ups": keys.jobs_of(job.org_id, "clean-ups"),
        }
