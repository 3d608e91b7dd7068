"""What all steps of a job have in common: the lease, the log lines, the errors, the next try.

A step does not raise into its chord, and does not use Celery's retries. An error of one record is data. After a fault
of the org or the network, the step gives the lease back with a time to wait. When this time has passed, the sweep sends
the unit again. Any other error ends the job as Failed with the reason. A Failed job can be resumed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import wraps
from typing import Any, Concatenate, NoReturn, ParamSpec

import structlog
from celery import Task, states
from kombu.exceptions import OperationalError

from quotejob import tracing
from quotejob.errors import (
    AuthorizationFailed,
    CallsKept,
    JobNotFound,
    JobStopped,
    LeaseLost,
    NewerVersion,
    OrgExhausted,
    OrgSilent,
    OrgUnreachable,
    QuotejobError,
    SessionExpired,
    StoreUnavailable,
    UnknownJobType,
)
from quotejob.jobtypes.living import MOST_MINUTES, nobody_has
from quotejob.run.context import Run, begin, renewed_session
from quotejob.run.leases import LONGEST_WORK
from quotejob.run.processes import ROOM
from quotejob.run.progress import Faults
from quotejob.settings import current
from quotejob.usercode.trouble import Retry
from tasks.app import app, services
from tasks.broker import ORG
from tasks.queues import message, queue_of

# A message could not be sent (OperationalError); another worker may know the type (UnknownJobType).
# Users' code said that something it needs is away (Retry).
PASSING = (OrgUnreachable, StoreUnavailable, OperationalError, UnknownJobType, Retry)
LONGEST_OUTAGE = 1800.0  # seconds of passing faults with no success in between, before the job fails
MAX_UNEXPECTED_ERRORS = 2
SHORTEST_PAUSE = 2.0  # seconds after the first fault; the pause grows as long as faults go on
LONGEST_PAUSE = 60.0  # seconds after a fault
HANDED_ON = 1.0  # seconds until a unit that this worker cannot do is sent again: another worker has its type or version
LONGEST_LOOK = 10.0  # seconds between two looks whether a worker has the job type
WAIT_FOR_ROOM = (1.0, 3.0)  # seconds until a unit that must run alone tries to be alone again
LONGEST_EXHAUSTED_PAUSE = 300.0  # seconds between two tries when the org's daily API allocation is used up

P = ParamSpec("P")
Work = Callable[Concatenate[Run, P], None]
log = structlog.get_logger()


def step(
    name: str,
    *,
    unit: str = "",
    give_up: Callable[..., None] | None = None,
    longest: float = LONGEST_WORK,
    asks_org: bool = False,
    **options: Any,
) -> Any:
    """Make a Celery task from a function of a Run. Its messages hold only the job's id and small numbers.

    ``unit`` is the name of the unit it holds a lease on, for example "page {wave} {page}". A step without a unit only
    sends other steps. ``give_up`` settles a unit that alone has ended its worker process again and again. ``longest``:
    seconds after which a step that still works loses its unit. ``asks_org``: its messages pass the gate of the org.
    """

    def make(work: Callable[Concatenate[Run, P], None]) -> Task:
        @wraps(work)
        def task(job_id: str, **numbers: int) -> None:
            place = ROOM.entered() if unit else nullcontext()
            org_id = made.request.get(ORG)
            bound = {"job_id": job_id, "task": name} | ({"org_id": org_id} if org_id else {})
            with structlog.contextvars.bound_contextvars(**bound), place:
                passage = _Passage(org_id, made.request.id)
                attempt = _Attempt(job_id, unit.format(**numbers), give_up, passage, longest)
                try:
                    with passage:
                        attempt.run(work, numbers)
                except StoreUnavailable as away:  # nothing can be stored: the lease ends, the sweep sends again
                    log.warning(f"Giving the step up: {away}")
            if made.request.called_directly:
                return
            if attempt.job_failed is not None:
                _show(made, attempt.job_failed)
            if attempt.handed_on and not made.request.chord:  # a part of a chord is sent again by the sweep
                _send_on(made, job_id, numbers)

        made: Task = app.task(name=name, throws=(JobFailed,), asks_org=asks_org, **options)(task)
        return made

    return make


class JobFailed(Exception):
    """A step has ended its job as Failed. Celery and Flower show this step as failed, with the reason."""


def _send_on(task: Task, job_id: str, numbers: dict[str, Any]) -> None:
    """Send a step that this worker cannot do once more, after its unit's pause: perhaps another worker takes it."""
    time.sleep(1.2 * HANDED_ON)
    with suppress(OperationalError, StoreUnavailable, JobNotFound):  # then the sweep sends it, if it is still there
        message(services().jobs.get(job_id), task, **numbers).apply_async()


def _show(task: Task, reason: str) -> NoReturn:
    """Let Celery show the step as failed. Its chord counts it as done first: a failed part would fail the chord too."""
    if task.request.chord:
        task.backend.on_chord_part_return(task.request, states.SUCCESS, None)
        task.request.chord = None
    raise JobFailed(reason)


class _Passage:
    """A step's passage through the gate, and whether its org had trouble. Without an org there is no gate."""

    def __init__(self, org_id: str | None, task_id: str) -> None:
        self.org_id = org_id
        self._task_id = task_id
        self.well = True

    def __enter__(self) -> _Passage:
        self.stay()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self.org_id is not None:
            services().gate.leave(self.org_id, self._task_id, well=self.well and kind is None)

    def stay(self) -> None:
        """Say that the step is still under way."""
        if self.org_id is not None:
            services().gate.stay(self.org_id, self._task_id)

    def trouble(self) -> None:
        """Note that the org did not answer, or refused the request for now."""
        self.well = False
        if self.org_id is not None:
            services().gate.shrink(self.org_id)


class _Attempt:
    """One try of one step, with the handling of its errors. Raises only StoreUnavailable."""

    def __init__(
        self, job_id: str, unit: str, give_up: Callable[..., None] | None, passage: _Passage, longest: float
    ) -> None:
        self._passage = passage
        self._longest = longest
        self._job_id = job_id
        self._unit = unit
        self._give_up = give_up
        self._run: Run | None = None
        self.handed_on = False  # another worker has the job type, this one has not
        self.job_failed: str | None = None  # the reason, if this step has ended its job as Failed

    def run(self, work: Callable[..., None], numbers: dict[str, int]) -> None:
        try:
            self._run_or_handle(work, numbers)
        except (JobStopped, JobNotFound, LeaseLost) as gone:  # also while an error is handled
            log.info(str(gone))
            self._release()
        except NewerVersion as newer:
            log.warning(str(newer))
            self._leave()

    def _run_or_handle(self, work: Callable[..., None], numbers: dict[str, int]) -> None:
        try:
            self._do(work, numbers)
            self._release()
        except (JobStopped, JobNotFound, LeaseLost, NewerVersion):
            raise
        except PASSING as fault:
            self._pass(fault)
        except OrgExhausted as fault:
            kept = isinstance(fault, CallsKept)
            used_up = "Waiting: the org's daily API allocation is used up; the job goes on by itself"
            services().jobs.explain(self._job_id, fault.message if kept else used_up)
            longest = LONGEST_PAUSE if kept else LONGEST_EXHAUSTED_PAUSE
            self._again(fault, "exhausted", longest, lambda _: False)
        except AuthorizationFailed as error:
            _stop_schedule(self._job_id, error)
            self._fail(f"{error.code}: {error}")
        except SessionExpired as fault:
            self._renew_session(fault)
        except QuotejobError as error:
            self._fail(f"{error.code}: {error}")
        except Exception as error:
            log.exception("A step failed with an unexpected error")
            self._again(error, "surprise", LONGEST_PAUSE, lambda faults: faults.count >= MAX_UNEXPECTED_ERRORS)

    def _do(self, work: Callable[..., None], numbers: dict[str, int]) -> None:
        made = services()
        run = begin(self._job_id, made.jobs, made.progress, made.leases, current(), self._unit or None)
        self._run = run = replace(run, gate=made.gate)
        name = self._unit.partition(" ")[0] or work.__name__
        about = {"quotejob.job_id": run.id, "quotejob.org_id": run.job.org_id, "quotejob.unit": self._unit}
        bound = structlog.contextvars.bound_contextvars(org_id=run.job.org_id)
        with bound, tracing.span(name, "consumer", run.job.trace or "", about):
            self._work(run, work, numbers)

    def _work(self, run: Run, work: Callable[..., None], numbers: dict[str, int]) -> None:
        made = services()
        if run.lease is None:
            work(run, **numbers)
            return
        with run.lease.kept(self._longest, self._passage.stay), made.budget.spending(run, self._unit):
            if run.lease.is_given_up:
                self._do_without(run, numbers)
            elif not run.lease.is_suspected or run.lease.unanswered:  # waiting for a silent org ends no process
                work(run, **numbers)
            elif not self._do_alone(run, work, numbers):
                return
        if run.job.extended_status is not None:
            run.jobs.explain(run.id, None)

    def _do_alone(self, run: Run, work: Callable[..., None], numbers: dict[str, int]) -> bool:
        """Do the step alone in its process, so that a death is clear. Return False if it must wait for that."""
        assert run.lease is not None
        with ROOM.alone(run.lease.longest_alone) as alone:
            if alone:
                log.warning(f"{self._unit} was there when worker processes ended; it runs alone")
                work(run, **numbers)
            else:
                self._release(wait=random.uniform(*WAIT_FOR_ROOM))
        return alone

    def _do_without(self, run: Run, numbers: dict[str, int]) -> None:
        """Settle a unit that is given up. The job fails if it cannot go on without it."""
        reason = f"{self._unit} alone ended its worker process again and again; see the worker's log"
        if self._give_up is None:
            self._fail(f"WORKER_LOST: {reason}")
            return
        log.error(f"Giving up: {reason}")
        self._give_up(run, **numbers)

    def _pass(self, fault: BaseException) -> None:
        """Give the unit back after a fault that passes.

        That another worker has the job type is none. If no worker has it, the job says so, and waits for some minutes.
        """
        lacking = fault.lacking if isinstance(fault, UnknownJobType) else None
        if lacking is None:
            self._again(fault, "passing", LONGEST_PAUSE, lambda faults: faults.waited >= LONGEST_OUTAGE)
        elif services().living.has(*lacking):
            self.handed_on = True
            self._release(wait=HANDED_ON)
        else:
            nobody = nobody_has(*lacking)
            services().jobs.explain(self._job_id, f"{nobody.code}: {nobody}")
            self._again(nobody, "no worker has", LONGEST_LOOK, lambda faults: faults.waited >= MOST_MINUTES * 60)

    def _again(self, fault: BaseException, kind: str, longest_pause: float, too_many: Callable[[Faults], bool]) -> None:
        """Release the unit with a pause, after which the sweep sends it again. After too many faults, fail the job.

        The pause is as long as the faults have gone on, whatever the number of steps that met one.
        """
        if isinstance(fault, OrgUnreachable):
            self._passage.trouble()
        faults = services().progress.another_fault(self._job_id, kind)
        if too_many(faults):
            self._fail(f"{getattr(fault, 'code', type(fault).__name__)}: {fault}")
            return
        pause = min(longest_pause, max(SHORTEST_PAUSE, faults.waited)) * random.uniform(0.5, 1.5)
        if isinstance(fault, OrgSilent):
            pause = fault.wait + random.uniform(0, SHORTEST_PAUSE)
            services().jobs.explain(self._job_id, "Waiting: the org does not answer; the job goes on by itself")
        if isinstance(fault, Retry):
            pause = min(max(fault.after, SHORTEST_PAUSE), LONGEST_EXHAUSTED_PAUSE)
        log.warning(f"Trying again in {pause:.0f} s: {fault}", faults_so_far=faults.count)
        self._release(wait=pause)

    def _renew_session(self, fault: SessionExpired) -> None:
        """Go on with a fresh token of the AppLink authorization. Without one, fail the job; it can be resumed.

        Several steps may meet the end of one session. The first one renews it, the others try again with the new one.
        """
        try:
            renewed = self._is_renewed()
        except LeaseLost:
            self._release(wait=1)
            return
        if renewed:
            log.info("The session expired; going on with a fresh token of the AppLink authorization")
            self._release(wait=0.1)
        else:
            ended = "The session expired; resume the job with a fresh one. " if fault.http_status else ""
            self._fail(f"{SessionExpired.code}: {ended}{fault}")

    def _is_renewed(self) -> bool:
        """Return whether the job has a newer session than this step has used, renewed by this step or by another.

        Raises LeaseLost while another step renews it.
        """
        made = services()
        job = made.jobs.get(self._job_id)
        lease = made.leases.claim(self._job_id, "session", job.org_id)
        try:
            with lease.kept():
                context = made.jobs.context(self._job_id)
                if self._run is not None and context.access_token != self._run.org.address.access_token:
                    return True
                if made.progress.another_fault(self._job_id, "session").count > 1:
                    return False  # the new session was refused too
                fresh = renewed_session(job, context, current())
                if fresh is not None:
                    made.jobs.renew_context(self._job_id, fresh)
                return fresh is not None
        except SessionExpired:  # the session is no longer stored, so the job's user is unknown
            return False
        finally:
            lease.release()

    def _fail(self, reason: str) -> None:
        """End the job as Failed, give the unit back, and dispatch the next job of its org."""
        if services().jobs.fail(self._job_id, reason):
            self.job_failed = reason
            log.error(f"Job processing failed for Job ID: {self._job_id}. {reason}")
        self._release()
        job = services().jobs.get(self._job_id)
        queue = queue_of(app.tasks["quotejob.dispatch"], job.format)
        app.send_task("quotejob.dispatch", kwargs={"org_id": job.org_id}, queue=queue)

    def _leave(self) -> None:
        """Leave the unit to a worker of a newer version: the sweep of one sends it again after a pause."""
        with suppress(JobStopped, LeaseLost):
            if self._unit:
                services().leases.claim(self._job_id, self._unit, self._passage.org_id or "").release(wait=HANDED_ON)

    def _release(self, *, wait: float = 0) -> None:
        if self._run is not None and self._run.lease is not None:
            self._run.lease.release(wait=wait)


def _stop_schedule(job_id: str, error: AuthorizationFailed) -> None:
    """Move the job's schedule, if it has one, to ERROR: its next job would get no session either."""
    schedule_id = services().jobs.get(job_id).schedule_id
    if schedule_id is not None:
        services().schedules.stop(schedule_id, f"{error.code}: {error}")
