"""A run: a job as one step works on it, with its stores and its org."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from quotejob.errors import JobStopped, SessionExpired
from quotejob.jobs.job import Job
from quotejob.jobs.store import JobStore
from quotejob.run.gate import Gate
from quotejob.run.leases import Lease, Leases
from quotejob.run.progress import Batch, Progress
from quotejob.run.receipt import Receipt
from quotejob.run.silence import Silence
from quotejob.salesforce import OrgAddress, OrgClient, applink
from quotejob.salesforce.caller import CallerContext
from quotejob.settings import Settings


@dataclass(frozen=True)
class Run:
    """A job as one step works on it."""

    job: Job
    jobs: JobStore
    progress: Progress
    leases: Leases
    settings: Settings
    lease: Lease | None = None  # on the unit of this step; None for steps that only send others
    gate: Gate | None = None
    context: CallerContext | None = None  # instead of the job's own session
    wave_added: Callable[[int], None] | None = None  # told of each wave that may run before the plan is complete
    begun: float = field(default_factory=lambda: time.monotonic())  # seconds of the monotonic clock

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job.job_id

    @property
    def calls(self) -> int:
        """The requests of this step to the org so far."""
        return self.org.calls if "org" in self.__dict__ else 0  # to make the client needs a session

    def figures(self) -> dict[str, float]:
        """Return what a log line says of the step so far: its seconds, and its calls to the org."""
        return {"seconds": round(time.monotonic() - self.begun, 3), "calls": self.calls}

    @cached_property
    def org(self) -> OrgClient:
        """The client of the job's org, made at first use. A step that only sends others does not need it.

        Raises SessionExpired if the caller's session is no longer stored; AuthorizationFailed and OrgUnreachable if
        AppLink gives no session to a scheduled job; OrgSilent if the org does not answer and another step asks it.
        """
        silence = self._silence
        context = self.context or session(self.job, self.jobs, self.settings)
        return OrgClient(
            OrgAddress.of(context),
            read_timeout=self.settings.org_timeout,
            max_answer=self.settings.org_answer_mb * 1_000_000,
            watch=silence,
        )

    @cached_property
    def _silence(self) -> Silence:
        """The silence of the org, once it allows a call. Without calls that it has not answered, nothing is asked."""
        silence = self.leases.silence(self.job.org_id, self.settings.org_timeout)
        silence.known = self.lease is None or self.lease.unanswered > 0
        if silence.known:
            silence.ask()
        if self.lease is not None:
            self.lease.silence = silence
        return silence

    def go_on(self) -> None:
        """Renew the lease, and sleep if the org needs a slowdown. Call it before every request that writes.

        Raises JobStopped if the job has ended, LeaseLost if another step has taken this unit.
        """
        if self.lease is not None:
            self.lease.go_on()

    def record_page(self, wave: int, receipt: Receipt, priced: bytes = b"") -> None:
        """Store the receipt of a page and its priced quotes, once. Raises LeaseLost if another step has taken it."""
        self.progress.record_page(self.id, wave, receipt, priced, lease=self.lease)

    def fix_batches(self, wave: int, batches: Sequence[Batch]) -> int | None:
        """Fix the packing of a wave. Return the number of its batches, or None if they were fixed before.

        Raises LeaseLost if another step has taken the wave.
        """
        return len(batches) if self.progress.store_batches(self.id, wave, batches, lease=self.lease) else None

    def record_batch(
        self, wave: int, receipt: Receipt, *, whole: bool = True, incomplete: tuple[str, str, str | None] | None = None
    ) -> None:
        """Store the receipt of a batch, once, as Progress.record_batch does.

        Raises LeaseLost if another step has taken the batch.
        """
        self.progress.record_batch(self.id, wave, receipt, whole=whole, incomplete=incomplete, lease=self.lease)

    def slow_down(self, seconds: float) -> None:
        """Make every step that works for this org sleep before its next request, and let fewer of them go at a time."""
        self.leases.slow_down(self.job.org_id, seconds)
        if self.gate is not None:
            self.gate.shrink(self.job.org_id)


def begin(
    job_id: str, jobs: JobStore, progress: Progress, leases: Leases, settings: Settings, unit: str | None = None
) -> Run:
    """Begin a step of the job, and take the lease of ``unit``. Sends no request to the org or to AppLink.

    Raises JobStopped if the job has ended, LeaseLost if another step works on the unit, NewerVersion if only a newer
    version understands the job.
    """
    job = jobs.get_mine(job_id)
    if job.ended:
        raise JobStopped(f"Job {job_id} has ended: it is {job.status}")
    lease = leases.claim(job_id, unit, job.org_id) if unit else None
    return Run(job, jobs, progress, leases, settings, lease)


def session(job: Job, jobs: JobStore, settings: Settings) -> CallerContext:
    """Return the context that the job works with: its caller's, or for a scheduled job its authorization's."""
    if job.authorization is None:
        return jobs.context(job.job_id)
    with contextlib.suppress(SessionExpired):
        context = jobs.context(job.job_id)
        if context.access_token:
            return context
    context = applink.session(job.authorization, job.org_id, settings)
    jobs.renew_context(job.job_id, context)
    return context


def renewed_session(job: Job, context: CallerContext, settings: Settings) -> CallerContext | None:
    """Return the context with a fresh token, by the authorization of the job or of the settings. None: no token."""
    return applink.renewed(context, replace(settings, authorization=job.authorization or settings.authorization))
