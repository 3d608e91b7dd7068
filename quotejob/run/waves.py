"""Waves: how a job's pages are divided into chords, and when the next chord may start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from quotejob.jobs.job import Job
from quotejob.run.context import Run
from quotejob.run.progress import Progress


def store_plan(run: Run, keys: Iterable[str], *, page_size: int, wave_size: int) -> None:
    """Cut the keys into pages, and the pages into waves of ``wave_size`` pages. Store them as the job's plan."""
    run.progress.store_plan(run.id, batched(keys, page_size), wave_size, lambda: run.org.calls)


def pages_of_wave(job: Job, wave: int) -> range:
    """Return the page numbers of a wave."""
    size = -(-job.total_job_items // (job.waves or 1))
    return range(wave * size, min((wave + 1) * size, job.total_job_items))


def batched(keys: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield the keys in lists of ``size``; the last may be shorter (itertools.batched needs Python 3.12)."""
    stream = iter(keys)
    while chunk := list(islice(stream, size)):
        yield chunk


def may_start(job: Job, progress: Progress, wave: int) -> bool:
    """Return whether the wave may be priced: the wave before it is priced, and the wave before that is written.

    So Redis holds the priced quotes of at most two waves, even for a large job.
    """
    return (
        wave < (job.waves or 0)
        and (wave < 1 or wave_is_priced(job, progress, wave - 1))
        and (wave < 2 or wave_is_written(job, progress, wave - 2))
    )


def wave_is_priced(job: Job, progress: Progress, wave: int) -> bool:
    """Return whether every page of the wave has reported."""
    return len(progress.priced_units(job.job_id, wave)) == len(pages_of_wave(job, wave))


def wave_is_written(job: Job, progress: Progress, wave: int) -> bool:
    """Return whether every batch of the wave has reported. If so, delete the wave's priced quotes."""
    batches = progress.batches(job.job_id, wave)
    if batches is None or len(progress.written_units(job.job_id, wave)) < len(batches):
        return False
    progress.forget_priced(job.job_id, pages_of_wave(job, wave))
    return True
