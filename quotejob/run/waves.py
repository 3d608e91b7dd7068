"""Waves: how a job's pages are cut into chords, and when one may start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from quotejob.run.context import Run


def store(run: Run, keys: Iterable[str], *, page_size: int, wave_size: int) -> None:
    """Cut the keys into pages, and these into waves (of that many pages), and fix them as the job's plan."""
    run.work.store_plan(run.id, batched(keys, page_size), wave_size, lambda: run.org.calls)


def pages_of_wave(run: Run, wave: int) -> range:
    """The page numbers of a wave."""
    size = -(-run.job.total_job_items // (run.job.waves or 1))
    return range(wave * size, min((wave + 1) * size, run.job.total_job_items))


def batched(keys: Iterable[str], size: int) -> Iterator[list[str]]:
    """The keys in lists of ``size``, the last one shorter (itertools.batched is of Python 3.12)."""
    stream = iter(keys)
    while chunk := list(islice(stream, size)):
        yield chunk


def may_start(run: Run, wave: int) -> bool:
    """Whether it is the wave's turn to be priced: the one before is priced, and the one before that written.

    So at most two waves of priced quotes wait in Redis, however large the job.
    """
    return (
        wave < (run.job.waves or 0)
        and (wave < 1 or wave_is_priced(run, wave - 1))
        and (wave < 2 or wave_is_written(run, wave - 2))
    )


def wave_is_priced(run: Run, wave: int) -> bool:
    """Whether every page of the wave has reported."""
    return len(run.work.priced_units(run.id, wave)) == len(pages_of_wave(run, wave))


def wave_is_written(run: Run, wave: int) -> bool:
    """Whether every batch of the wave has reported; then its priced quotes are dropped."""
    batches = run.work.batches(run.id, wave)
    if batches is None or len(run.work.written_units(run.id, wave)) < len(batches):
        return False
    run.work.forget_priced(run.id, pages_of_wave(run, wave))
    return True
