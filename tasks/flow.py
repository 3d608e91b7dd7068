"""The run, top to bottom: dispatch, plan, pages (a chord), commit (its body), finish; in waves.

    dispatch -> plan -> [page page page ...] -> commit -> [batch batch ...] -> finish
                          chord of wave 0        body         chord of its own    body
                        [page page ...]   wave 1 is priced while wave 0 is written; and so on

The chord is the trigger, the job's state in Redis is the truth: each step looks there what is done, so any of them may
run twice, at the same time, or after the job ended. ``sweep`` sends again what a lost message should have.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog
from celery import Signature, chord

from quotejob import commit as committing
from quotejob import pages, sampledata
from quotejob import plan as planning
from quotejob.errors import JobNotFound
from quotejob.life import JobType, Outcome, Status
from quotejob.run import Run
from tasks.app import app, jobs
from tasks.steps import step

SILENCE = 60  # seconds without a sign of life after which a job's missing steps are sent again
LOADING = {"soft_time_limit": 3300, "time_limit": 3400}  # seconds; Bulk API 2.0 may take its time

PLANS = {
    JobType.BATCH_QUOTE: planning.plan_quotes,
    JobType.SAMPLE_DATA_CREATE: sampledata.plan_create,
    JobType.SAMPLE_DATA_DELETE: sampledata.plan_delete,
}
LOADS = {JobType.SAMPLE_DATA_CREATE: sampledata.create_page, JobType.SAMPLE_DATA_DELETE: sampledata.delete_page}

log = structlog.get_logger()


@app.task(name="quotejob.dispatch")
def dispatch(org_id: str) -> None:
    """Give the org's free slots to the jobs waiting longest. Twice is harmless: a job is promoted once."""
    for job_id in jobs().promote(org_id):
        plan.delay(job_id=job_id)


@step("quotejob.plan", **LOADING)
def plan(run: Run) -> None:
    """Fix the job's pages, then price the first wave. Twice is harmless: the first plan stored wins."""
    run.jobs.move(run.id, Status.PREPARING)
    log.info(f"Worker received job with ID: {run.id} {_wish(run)}")
    if run.job.waves is None:
        PLANS[run.job.job_type](run)
    run.jobs.move(run.id, Status.PROCESSING)
    planned = run.jobs.get(run.id)
    log.info(f"Processing {planned.total} Opportunities", pages=planned.total_job_items, waves=planned.waves)
    if planned.waves:
        start_wave.delay(job_id=run.id, wave=0)
    else:
        finish.delay(job_id=run.id)


@step("quotejob.start_wave")
def start_wave(run: Run, wave: int) -> None:
    """Send the wave's pages as a chord whose body is its commit, when it is the wave's turn.

    Twice is harmless: only the first who asks sends.
    """
    if committing.may_start(run, wave) and run.jobs.once(run.id, f"wave {wave} sent"):
        send_pages(run, wave, planning.pages_of_wave(run, wave))


@step("quotejob.price_page")
def price_page(run: Run, wave: int, page: int) -> None:
    """Read and price one page. Twice is harmless: its first receipt wins."""
    pages.price_page(run, wave, page)


@step("quotejob.load_page", **LOADING)
def load_page(run: Run, wave: int, page: int) -> None:
    """Make or delete one page of sample data. Twice is harmless: its Bulk jobs are kept as checkpoints."""
    LOADS[run.job.job_type](run, wave, page)


@step("quotejob.commit")
def commit(run: Run, wave: int) -> None:
    """The body of a wave's pages: write its quotes in parallel, and meanwhile price the next wave.

    Twice is harmless: the packing is fixed once, and a batch that is written says so.
    """
    if not committing.wave_is_priced(run, wave):
        return  # a copy of this message came early
    batches = committing.pack(run, wave)
    written = run.jobs.written_units(run.id, wave)
    header = [write_batch.si(job_id=run.id, wave=wave, batch=batch) for batch in range(batches) if batch not in written]
    in_parallel(header, then=wave_written.si(job_id=run.id, wave=wave))
    send_wave(run, wave + 1)


@step("quotejob.write_batch")
def write_batch(run: Run, wave: int, batch: int) -> None:
    """Write one batch of quotes into the org. Twice is harmless: each Quote has a unique key."""
    committing.write_batch(run, wave, batch)


@step("quotejob.wave_written")
def wave_written(run: Run, wave: int) -> None:
    """The body of a wave's batches: make room for a further wave, or end the job. Twice is harmless."""
    if committing.wave_is_written(run, wave):
        send_wave(run, wave + 2)
        finish.delay(job_id=run.id)


@step("quotejob.finish")
def finish(run: Run) -> None:
    """Complete the job when all of it is written, and give its slot away. Twice is harmless: the move happens once."""
    if not all(committing.wave_is_written(run, wave) for wave in range(run.job.waves or 0)):
        return
    refused = next(run.jobs.iter_results(run.id, Outcome.FAILED), None)
    reason = {} if refused is None else {"extendedStatus": f"{refused.code}: {refused.message}"}
    if run.jobs.move(run.id, Status.COMPLETED, **reason):
        results = f"{run.job.succeeded} succeeded, {run.job.failed} failed"
        log.info(f"Job processing completed for Job ID: {run.id}. Results: {results}.", skipped=run.job.skipped)
    dispatch.delay(run.job.org_id)


@app.task(name="quotejob.sweep")
def sweep() -> None:
    """Help on every job that gave no sign of life for a while. Twice is harmless: so is every step it sends."""
    for job_id in jobs().silent(SILENCE):
        with structlog.contextvars.bound_contextvars(job_id=job_id):
            try:
                job = jobs().stir(job_id)
            except JobNotFound:
                continue
            log.warning("No sign of life: sending the missing steps again", status=job.status)
            if job.status is Status.HOLDING:
                dispatch.delay(job.org_id)
            else:
                (catch_up if job.status is Status.PROCESSING else plan).delay(job_id=job_id)


@step("quotejob.catch_up")
def catch_up(run: Run) -> None:
    """Send what a lost message or a killed worker left undone. Twice is harmless, as its steps are."""
    for wave in range(run.job.waves or 0):
        if not run.jobs.note(run.id, f"wave {wave} sent"):
            send_wave(run, wave)
        elif not committing.wave_is_written(run, wave):
            priced = run.jobs.priced_units(run.id, wave)
            send_pages(run, wave, [page for page in planning.pages_of_wave(run, wave) if page not in priced])
    finish.delay(job_id=run.id)


def send_wave(run: Run, wave: int) -> None:
    """Ask for a wave to be started, if there is one of that number."""
    if wave < (run.job.waves or 0):
        start_wave.delay(job_id=run.id, wave=wave)


def send_pages(run: Run, wave: int, numbers: Iterable[int]) -> None:
    """The chord of a wave: these pages side by side, then its commit."""
    page = price_page if run.job.job_type is JobType.BATCH_QUOTE else load_page
    header = [page.si(job_id=run.id, wave=wave, page=number) for number in numbers]
    in_parallel(header, then=commit.si(job_id=run.id, wave=wave))


def in_parallel(header: list[Signature], *, then: Signature) -> None:
    """A chord; of nothing, just its body."""
    (chord(header, then) if header else then).apply_async()


def _wish(run: Run) -> str:
    """What the job is for, in the words of the log."""
    wishes = {
        JobType.BATCH_QUOTE: f"for SOQL WHERE clause: {run.job.soql_where_clause}",
        JobType.SAMPLE_DATA_CREATE: f"to create {run.job.number_of_opportunities} sample Opportunities",
        JobType.SAMPLE_DATA_DELETE: "to delete the sample Opportunities",
    }
    return wishes[run.job.job_type]
