"""The steps of a job in their order: dispatch, plan, pages (a chord), commit (its body), finish; in waves.

    dispatch -> plan -> [page page page ...] -> commit -> [batch batch ...] -> wave_written -> finish
                          chord of wave 0        body         chord of its own    body
                        [page page ...]   wave 1 is priced while wave 0 is written; and so on

The chord only triggers the next step. The job's state is in Redis. Each step reads there what is done. So any step may
run twice, at the same time, or after the job ended. What a job type does in a step is in its handler
(:mod:`quotejob.jobtypes`). :mod:`tasks.sweep` sends lost messages again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from celery import Signature, chord

from quotejob.errors import QuotejobError, StoreUnavailable
from quotejob.jobs.job import CommitBy, Job, Status
from quotejob.jobtypes.registry import handler_of, is_slow, rounds_off
from quotejob.run import waves
from quotejob.run.context import Run
from quotejob.run.outstanding import Outstanding, outstanding
from quotejob.run.progress import Progress
from quotejob.run.receipt import Outcome
from tasks.app import app, services
from tasks.clean_up import clean_up_for_others
from tasks.queues import message, queue_of, share
from tasks.steps import step

SLOW: dict[str, Any] = {"longest": 3300.0, "time_limit": 3400}  # seconds; Bulk API 2.0 can be slow
LATER_PAGE = 3  # the highest priority of a page of a later wave: no page waits for those of the wave after its own
FIRST_WRITE = 4  # the highest priority of a batch: the first 15 pages of a wave go before all writes
WAVES_APART = 10  # places between the first batches of two waves: what an earlier wave has left goes first

log = structlog.get_logger()


@app.task(name="quotejob.dispatch")
def dispatch(org_id: str) -> None:
    """Give the org's free slots to its Holding jobs, in order. May run twice: a job is promoted once."""
    for job in services().jobs.get_many(services().dispatcher.promote(org_id)):  # none that Redis has lost since
        message(job, plan, on_time=job.guaranteed).apply_async()  # on time, whatever its org does
    if not dispatch.request.called_directly:  # a tick calls it directly, and has no time for estimates
        services().forecast.note_starts(org_id)


@step("quotejob.plan", unit="plan", asks_org=True, **SLOW)
def plan(run: Run) -> None:
    """Fix the job's pages, and send its first steps. May run twice: the first plan that is stored wins.

    The waves of a streamed plan are sent while it is still being made. A resumed job has its plan already, or the
    begin of one. It continues with what is outstanding.
    """
    handler = handler_of(run.job.job_type)
    run.jobs.move(run.id, Status.PREPARING)
    log.info(f"Worker received job with ID: {run.id} {handler.purpose(run.job)}")
    clean_up_for_others(run)
    is_new = run.job.waves is None
    if is_new:
        _send_waves(run.jobs.get(run.id), run.progress)
        planning = replace(run, wave_added=partial(_start, run))
        handler.plan(planning)
    planned = run.jobs.get(run.id)
    if planned.waves is None:
        raise StoreUnavailable("Redis has lost the plan, which is made again")
    if is_new:
        services().forecast_notes.planned(planned, planning.calls)
    run.jobs.move(run.id, Status.PROCESSING, planned)
    planned = run.jobs.get(run.id)
    log.info(f"Processing {planned.total} Opportunities", pages=planned.total_job_items)
    for lacking in outstanding(planned, run.progress):
        if not is_new or lacking.step in ("start_wave", "finish"):  # the others were sent when their wave was added
            send(planned, lacking)
    services().forecast.note_end(planned)


@step("quotejob.start_wave")
def start_wave(run: Run, wave: int) -> None:
    """Send the wave's pages as a chord if the wave may start. The body of the chord is the wave's commit.

    May run twice: only the first call sends.
    """
    _start(run, wave)


def _start(run: Run, wave: int) -> None:
    if waves.may_start(run.job, run.progress, wave) and run.progress.once(run.id, waves.sent(wave)):
        send(run.job, Outstanding("pages", wave, tuple(waves.planned(run.job, run.progress)[wave])))


def _send_waves(job: Job, progress: Progress) -> None:
    """Send what the waves of an interrupted plan still need. If some of it is on its way, it comes twice."""
    for lacking in outstanding(job, progress):
        if lacking.step != "plan":
            send(job, lacking)


def _work_page(run: Run, wave: int, page: int) -> None:
    """Read and price one page. May run twice: its first receipt wins."""
    handler_of(run.job.job_type).work_page(run, wave, page)


def _give_up_page(run: Run, wave: int, page: int) -> None:
    handler_of(run.job.job_type).give_up_page(run, wave, page)


_page: dict[str, Any] = {"unit": "page {wave} {page}", "give_up": _give_up_page, "asks_org": True}
price_page = step("quotejob.price_page", **_page)(_work_page)
load_page = step("quotejob.load_page", **_page, **SLOW)(_work_page)


@step("quotejob.commit", unit="commit {wave}")
def commit(run: Run, wave: int) -> None:
    """Pack the wave's quotes and send its batches. Send the next wave, so that it is priced at the same time.

    This is the body of the chord of the wave's pages. May run twice: the packing is fixed once, and the call that fixed
    it sends the batches.
    """
    if not waves.wave_is_priced(run.job, run.progress, wave):
        return  # a copy of this message came early
    batches = handler_of(run.job.job_type).pack(run, wave)
    if batches:
        send(run.job, Outstanding("batches", wave, tuple(range(batches))))
    elif batches == 0:
        message(run.job, wave_written, wave=wave).apply_async()
    if batches is not None:
        log.info("Packed a wave", wave=wave, batches=batches, **run.figures())
        _send_next_wave(run)


def _give_up_batch(run: Run, wave: int, batch: int) -> None:
    handler_of(run.job.job_type).give_up_batch(run, wave, batch)


def _write_batch(run: Run, wave: int, batch: int) -> None:
    """Write one batch into the org. May run twice: each Quote has a unique key. A dry run has no batches."""
    if run.job.dry_run:
        raise QuotejobError(f"{run.job.job_type} jobs cannot be dry runs: this one had something to write")
    handler_of(run.job.job_type).write_batch(run, wave, batch)


_batch: dict[str, Any] = {"unit": "batch {wave} {batch}", "give_up": _give_up_batch, "asks_org": True}
write_batch = step("quotejob.write_batch", **_batch)(_write_batch)
write_bulk = step("quotejob.write_bulk", **_batch, **SLOW)(_write_batch)


@step("quotejob.wave_written")
def wave_written(run: Run, wave: int) -> None:
    """Start the next wave, because there is room for its quotes, and finish the job if all is written. May run twice.

    This is the body of the chord of a wave's batches.
    """
    if waves.wave_is_written(run.job, run.progress, wave):
        _send_next_wave(run)
        message(run.job, finish).apply_async()


@step("quotejob.finish")
def finish(run: Run) -> None:
    """Complete the job if all of it is written, and dispatch the org's next job. May run twice."""
    if outstanding(run.job, run.progress) != [Outstanding("finish")]:
        return
    if run.job.decided != run.job.total:
        services().results.recount(run.job)
        run = replace(run, job=run.jobs.get(run.id))
    handler = handler_of(run.job.job_type)
    if handler.rounds_off(run.job, run.progress):
        message(run.job, round_off).apply_async()
        return
    remark = handler.remark(run) if run.job.total else handler.nothing
    has_failed = services().jobs.get(run.id).failed > 0  # to look through a million results takes a minute
    failed = services().results.stream(run.id, Outcome.FAILED) if has_failed else iter(())
    refused = next(failed, None)
    reason = remark if refused is None else f"{refused.code}: {refused.message}"
    if run.jobs.move(run.id, Status.COMPLETED, run.job, **({"extendedStatus": reason[:1000]} if reason else {})):
        services().forecast_notes.compare(run.jobs.get(run.id))
        results = f"{run.job.succeeded} succeeded, {run.job.failed} failed"
        log.info(f"Job processing completed for Job ID: {run.id}. Results: {results}.", skipped=run.job.skipped)
        if refused is not None:
            codes = Counter(result.code for result in (refused, *failed)).most_common()
            for code, count in codes:
                log.warning(f"Failed records: {code} {count}", code=code, records=count)
        if remark is not None:
            (log.warning if run.job.total else log.info)(remark)
    dispatch.apply_async(kwargs={"org_id": run.job.org_id}, queue=queue_of(dispatch, run.job.format))


@step("quotejob.round_off", unit="finish", asks_org=True)
def round_off(run: Run) -> None:
    """Do what the job type does once after the last record, then finish. May run twice, and a resumed job repeats it.

    The sweep knows its unit as that of the step finish, which sends this one.
    """
    handler = handler_of(run.job.job_type)
    if handler.rounds_off(run.job, run.progress):
        handler.round_off(run)
    message(run.job, finish).apply_async()


def _send_next_wave(run: Run) -> None:
    """Send the step that starts the next wave, if one is planned that was not sent yet."""
    wave = waves.next_wave(run.job, run.progress)
    if wave is not None:
        message(run.job, start_wave, wave=wave).apply_async()


def send(job: Job, lacking: Outstanding, messages: Mapping[str, Signature] | None = None) -> None:
    """Send the outstanding steps, or these messages only. Pages and batches form a chord; the body is the next step."""
    header = list((signatures(job, lacking) if messages is None else messages).values())
    bodies = {"pages": commit, "batches": wave_written}
    if lacking.step in bodies:
        chord(header, message(job, bodies[lacking.step], wave=lacking.wave)).apply_async()
    else:
        for single in header:
            single.apply_async()


def signatures(job: Job, lacking: Outstanding) -> dict[str, Signature]:
    """Return the messages of the outstanding steps, by unit. Raises UnknownJobType."""
    wave = lacking.wave
    match lacking.step:
        case "pages":
            page = load_page if is_slow(job.job_type) else price_page
            first = LATER_PAGE if wave else 0
            return {
                f"page {wave} {n}": message(job, page, priority=max(first, share(place)), wave=wave, page=n)
                for place, n in enumerate(lacking.numbers)
            }
        case "batches":
            batch = write_bulk if job.commit_by is CommitBy.BULK else write_batch
            return {
                f"batch {wave} {n}": message(job, batch, priority=max(FIRST_WRITE, share(place)), wave=wave, batch=n)
                for place, n in enumerate(lacking.numbers, start=WAVES_APART * wave)
            }
        case "commit" | "start_wave":
            single = commit if lacking.step == "commit" else start_wave
            return {f"{lacking.step} {wave}": message(job, single, wave=wave)}
        case "plan":
            return {"plan": message(job, plan)}
        case _:
            return {"finish": message(job, round_off if rounds_off(job, services().progress) else finish)}
