"""Follow a job until it has ended: a bar on a terminal, plain lines in a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from cli import render, times
from cli.api import ENDED, Json, QuotejobApi
from cli.options import Session
from cli.problems import (
    INTERRUPTED,
    JOB_NOT_COMPLETED,
    NAME,
    NOT_SERVED,
    OK,
    RECORDS_FAILED,
    WAIT_RAN_OUT,
    CommandError,
)

PATIENCE_SECONDS = 60.0  # how long the API may be away before waiting is given up
LINE_SECONDS = 5.0  # between two lines in a pipe while only the counts change
Watch = Callable[[Json], None]


def follow(session: Session, job_id: str, minutes: float) -> Json:
    """Return the ended job. Raise CommandError when the time is over, on Ctrl-C, and when the API stays away."""
    look = f"Look: {NAME} job {job_id}"
    try:
        with watcher(session.side) as watch:
            job = _poll(session.api, job_id, time.monotonic() + minutes * 60, watch)
    except KeyboardInterrupt:
        raise CommandError(
            f"Stopped waiting; job {job_id} goes on. {look}", INTERRUPTED, "INTERRUPTED", job_id
        ) from None
    if job["status"] not in ENDED:
        message = f"Job {job_id} is still {job['status']} after {minutes:g} min; it goes on. {look}"
        raise CommandError(message, WAIT_RAN_OUT, "WAIT_RAN_OUT", job_id)
    return job


def verdict(job: Json) -> tuple[int, str]:
    """Return the exit code of an ended job, and the sentence for standard error; "" when all is right."""
    job_id, failed = job["jobId"], job["records"]["failed"]
    if job["status"] != "Completed":
        why = f" ({job['extendedStatus']})" if job["extendedStatus"] else ""
        return JOB_NOT_COMPLETED, f"Job {job_id} is {job['status']}{why}. Go on: {NAME} resume {job_id}"
    if failed:
        noun = "record" if failed == 1 else "records"
        return RECORDS_FAILED, f"{failed:,} {noun} of job {job_id} failed. See why: {NAME} failures {job_id}"
    return OK, ""


def summary(job: Json) -> str:
    """Return where the job stands, in one line."""
    records, status = job["records"], job["status"]
    parts = [status]
    if records["total"]:
        parts.append(f"{finished(job):,}/{records['total']:,} records")
    if records["failed"]:
        parts.append(f"{records['failed']:,} failed")
    if lacking := next((each for each in job["waitingFor"] if not (each["jobId"] or each["notBefore"])), None):
        parts.append(lacking["message"])
    elif status in ("Holding", "Queued") and job["estimatedStart"]:
        parts.append(f"starts {times.relative(job['estimatedStart'])}")
    elif status not in ENDED and job["estimatedEnd"]:
        parts.append(f"ends {times.relative(job['estimatedEnd'])}")
    return ", ".join(parts)


def finished(job: Json) -> int:
    """Return how many records are decided."""
    records = job["records"]
    return int(records["succeeded"] + records["skipped"] + records["failed"] + records.get("planned", 0))


@contextmanager
def watcher(screen: Console) -> Iterator[Watch]:
    """Give the function that shows one state of the job."""
    if not screen.is_terminal:
        yield _lines(screen)
        return
    columns = (
        SpinnerColumn(),
        BarColumn(bar_width=min(24, max(6, screen.width - 70))),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=screen, transient=True) as progress:
        task = progress.add_task("", total=None, text="")

        def update(job: Json) -> None:
            total = job["records"]["total"] or None
            progress.update(task, completed=finished(job), total=total, text=render.plain(summary(job)))

        yield update


def _lines(screen: Console) -> Watch:
    status, shown_at = "", 0.0

    def update(job: Json) -> None:
        nonlocal status, shown_at
        if job["status"] != status or time.monotonic() - shown_at >= LINE_SECONDS:
            status, shown_at = job["status"], time.monotonic()
            screen.print(f"{datetime.now(UTC).astimezone():%H:%M:%S %Z}  {summary(job)}", soft_wrap=True)
            screen.file.flush()

    return update


def _poll(api: QuotejobApi, job_id: str, deadline: float, watch: Watch) -> Json:
    """Return the job when it has ended or the time is over; a short absence of the API is waited out."""
    begun = answered = time.monotonic()
    job: Json | None = None
    while True:
        try:
            job = api.get(f"/api/jobs/{job_id}")
            answered = time.monotonic()
            watch(job)
        except CommandError as error:
            passing = error.code == "UNREACHABLE" or error.code == "STORE_UNAVAILABLE"
            if error.exit_code != NOT_SERVED or not passing or time.monotonic() - answered > PATIENCE_SECONDS:
                error.job_id = job_id
                raise
        now = time.monotonic()
        if job and (job["status"] in ENDED or now >= deadline):
            return job
        time.sleep(max(0.05, min(0.3 if now - begun < 30 else 2.0, deadline - now)))
