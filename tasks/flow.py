"""The run, top to bottom: dispatch, plan, pages (a chord), commit (its body), finish; in waves.

    dispatch -> plan -> [page page page ...] -> commit -> [batch batch ...] -> wave_written -> finish
                          chord of wave 0        body         chord of its own    body
                        [page page ...]   wave 1 is priced while wave 0 is written; and so on

The chord is the trigger, the job's state in Redis is the truth: each step looks there what is done, so any of them may
run twice, at the same time, or after the job ended. ``sweep`` reads off that truth what should be going on and is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from celery import Signature, chord

from quotejob.errors import (
    AuthorizationFailed,
    JobNotFound,
    JobStopped,
    OrgUnreachable,
    QuotejobError,
    StoreUnavailable,
)
from quotejob.jobs.job import JobType, Status
from quotejob.jobtypes import sample_data
from quotejob.jobtypes.quotes import commit as committing
from quotejob.jobtypes.quotes import pages
from quotejob.jobtypes.quotes import plan as planning
from quotejob.run import waves
from quotejob.run.context import Run, begin
from quotejob.run.leases import SENT
from quotejob.run.outstanding import Outstanding, outstanding, sent
from quotejob.run.receipt import Outcome
from quotejob.settings import current
from quotejob.store.client import connect
from tasks.app import app, services
from tasks.queues import Message, key, share, waiting
from tasks.steps import step, stop_schedule

SILENCE = 9.0  # seconds without a sign of life after which the sweep looks whether a job's messages are still there
LOOKS = 200  # jobs, and orgs, that one sweep looks at because they have been Holding for so long
LOADING: dict[str, Any] = {"soft_time_limit": 3300, "time_limit": 3400}  # seconds; Bulk API 2.0 may take its time

PLANS = {
    JobType.BATCH_QUOTE: planning.plan_quotes,
    JobType.SAMPLE_DATA_CREATE: sample_data.plan_create,
    JobType.SAMPLE_DATA_DELETE: sample_data.plan_delete,
}
LOADS = {JobType.SAMPLE_DATA_CREATE: sample_data.create_page, JobType.SAMPLE_DATA_DELETE: sample_data.delete_page}

log = structlog.get_logger()


@app.task(name="quotejob.dispatch")
def dispatch(org_id: str) -> None:
    """Give the org's free slots to the jobs waiting longest. Twice is harmless: a job is promoted once."""
    for job_id in services().schedules.promote(org_id):
        queue = "clock" if services().jobs.get(job_id).guaranteed else None
        plan.apply_async(kwargs={"job_id": job_id}, queue=queue)
    if not dispatch.request.called_directly:  # by a tick, which has other orgs to see to
        services().forecast.note_starts(org_id)


@step("quotejob.plan", unit="plan", **LOADING)
def plan(run: Run) -> None:
    """Fix the job's pages, then set it going. Twice is harmless: the first plan stored wins.

    A resumed job has its plan and goes on with what it lacks.
    """
    run.jobs.move(run.id, Status.PREPARING)
    log.info(f"Worker received job with ID: {run.id} {_wish(run)}")
    if run.job.waves is None:
        PLANS[run.job.job_type](run)
    run.jobs.move(run.id, Status.PROCESSING)
    planned = begin(run.id, run.jobs, run.leases, run.settings)
    log.info(f"Processing {planned.job.total} Opportunities", pages=planned.job.total_job_items)
    for lacking in outstanding(planned):
        send(planned, lacking)
    services().forecast.note_end(planned.job)


@step("quotejob.start_wave")
def start_wave(run: Run, wave: int) -> None:
    """Send the wave's pages as a chord whose body is its commit, when it is the wave's turn.

    Twice is harmless: only the first who asks sends.
    """
    if waves.may_start(run, wave) and run.work.once(run.id, sent(wave)):
        send(run, Outstanding("pages", wave, tuple(waves.pages_of_wave(run, wave))))


@step("quotejob.price_page", unit="page {wave} {page}", give_up=pages.give_up_page)
def price_page(run: Run, wave: int, page: int) -> None:
    """Read and price one page. Twice is harmless: its first receipt wins."""
    pages.price_page(run, wave, page)


@step("quotejob.load_page", unit="page {wave} {page}", give_up=pages.give_up_page, **LOADING)
def load_page(run: Run, wave: int, page: int) -> None:
    """Make or delete one page of sample data. Twice is harmless: its Bulk jobs are kept as checkpoints."""
    LOADS[run.job.job_type](run, wave, page)


@step("quotejob.commit", unit="commit {wave}")
def commit(run: Run, wave: int) -> None:
    """The body of a wave's pages: write its quotes in parallel, and meanwhile price the next wave.

    Twice is harmless: the packing is fixed once, and whoever fixed it sends the batches.
    """
    if not waves.wave_is_priced(run, wave):
        return  # a copy of this message came early
    batches = committing.pack(run, wave)
    if batches:
        send(run, Outstanding("batches", wave, tuple(range(batches))))
    elif batches == 0:
        wave_written.delay(job_id=run.id, wave=wave)
    if batches is not None:
        send_next_wave(run, wave + 1)


@step("quotejob.write_batch", unit="batch {wave} {batch}", give_up=committing.give_up_batch)
def write_batch(run: Run, wave: int, batch: int) -> None:
    """Write one batch of quotes into the org. Twice is harmless: each Quote has a unique key."""
    committing.write_batch(run, wave, batch)


@step("quotejob.wave_written")
def wave_written(run: Run, wave: int) -> None:
    """The body of a wave's batches: make room for a further wave, or end the job. Twice is harmless."""
    if waves.wave_is_written(run, wave):
        send_next_wave(run, wave + 2)
        finish.delay(job_id=run.id)


@step("quotejob.finish")
def finish(run: Run) -> None:
    """Complete the job when all of it is written, and give its slot away. Twice is harmless: the move happens once."""
    if outstanding(run) != [Outstanding("finish")]:
        return
    refused = next(run.jobs.iter_results(run.id, Outcome.FAILED), None)
    reason = {} if refused is None else {"extendedStatus": f"{refused.code}: {refused.message}"}
    if run.jobs.move(run.id, Status.COMPLETED, **reason):
        results = f"{run.job.succeeded} succeeded, {run.job.failed} failed"
        log.info(f"Job processing completed for Job ID: {run.id}. Results: {results}.", skipped=run.job.skipped)
    dispatch.delay(org_id=run.job.org_id)


@app.task(name="quotejob.sweep")
def sweep() -> None:
    """Send again what should be going on and is not: what its worker left, what its message or its chord's body lost.

    Twice, or several at once, is harmless: of those who want to send a unit, one may.
    """
    for org_id in {*services().jobs.waking(), *services().jobs.look_again(SILENCE, LOOKS)}:
        dispatch.delay(org_id=org_id)
    for job_id, silence in services().jobs.open():
        with structlog.contextvars.bound_contextvars(job_id=job_id):
            try:
                _look_after(job_id, silence)
            except JobNotFound:
                services().jobs.forget(job_id)
            except JobStopped:
                continue
            except StoreUnavailable as away:
                log.warning(f"The sweep stops here: {away}")
                return
            except OrgUnreachable as away:  # AppLink, asked for the session of a scheduled job
                log.warning(f"Looking again later: {away}")
            except QuotejobError as error:
                if isinstance(error, AuthorizationFailed):
                    stop_schedule(job_id, error)
                services().jobs.fail(job_id, f"{error.code}: {error}")
                dispatch.delay(org_id=services().jobs.get(job_id).org_id)


def send_next_wave(run: Run, wave: int) -> None:
    """Have a wave started, if there is one of that number."""
    if wave < (run.job.waves or 0):
        start_wave.delay(job_id=run.id, wave=wave)


def _look_after(job_id: str, silence: float) -> None:
    """Send what a job lacks: at once where a lease has run out, after a while of silence all that no queue knows."""
    held = services().leases.held(job_id)
    if (silence < SILENCE and not held) or services().jobs.get(
        job_id
    ).status is Status.HOLDING:  # it ended, and was resumed
        return
    run = begin(job_id, services().jobs, services().leases, current())
    queued = waiting(connect(current(), patient=True)) if silence > SILENCE else None
    for lacking in outstanding(run):
        messages = signatures(run, lacking)
        lost = [unit for unit, message in messages.items() if _is_lost(held.get(unit), message, queued)]
        again = {unit: messages[unit] for unit in lost if services().leases.offer(job_id, unit)}
        if again:
            log.warning(f"Sending again what nobody works on: {', '.join(again)}")
            send(run, lacking, again)
    if queued is not None:
        services().jobs.touch(job_id)


def _is_lost(lease: str | None, message: Signature, queued: set[Message] | None) -> bool:
    """Whether nobody may be at work on a unit: its lease will tell, and without one the queues, if they were asked."""
    if lease is None or lease == SENT:
        return queued is not None and key(message.task, message.kwargs) not in queued
    return True


def signatures(run: Run, lacking: Outstanding) -> dict[str, Signature]:
    """The messages of what a job lacks, by the unit each is for."""
    job_id, wave = {"job_id": run.id}, {"wave": lacking.wave}
    page = price_page if run.job.job_type is JobType.BATCH_QUOTE else load_page
    match lacking.step:
        case "pages":
            return _in_turn({f"page {lacking.wave} {n}": page.si(**job_id, **wave, page=n) for n in lacking.numbers})
        case "batches":
            units = {f"batch {lacking.wave} {n}": write_batch.si(**job_id, **wave, batch=n) for n in lacking.numbers}
            return _in_turn(units)
        case "commit" | "start_wave":
            single = commit if lacking.step == "commit" else start_wave
            return {f"{lacking.step} {lacking.wave}": single.si(**job_id, **wave)}
        case _:
            return {lacking.step: (plan if lacking.step == "plan" else finish).si(**job_id)}


def _in_turn(messages: dict[str, Signature]) -> dict[str, Signature]:
    """Each with the priority of its place, so that jobs share the workers fairly."""
    return {unit: message.set(priority=share(place)) for place, (unit, message) in enumerate(messages.items())}


def send(run: Run, lacking: Outstanding, messages: Mapping[str, Signature] | None = None) -> None:
    """Send what a job lacks, or only these messages: pages and batches as a chord, with what comes after them."""
    header = list((signatures(run, lacking) if messages is None else messages).values())
    bodies = {"pages": commit, "batches": wave_written}
    if lacking.step in bodies:
        chord(header, bodies[lacking.step].si(job_id=run.id, wave=lacking.wave)).apply_async()
    else:
        for message in header:
            message.apply_async()


def _wish(run: Run) -> str:
    """What the job is for, in the words of the log."""
    wishes = {
        JobType.BATCH_QUOTE: f"for SOQL WHERE clause: {run.job.soql_where_clause}",
        JobType.SAMPLE_DATA_CREATE: f"to create {run.job.number_of_opportunities} sample Opportunities",
        JobType.SAMPLE_DATA_DELETE: "to delete the sample Opportunities",
    }
    return wishes[run.job.job_type]
