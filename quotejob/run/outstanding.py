"""The outstanding steps of a job. The sweep sends them, and a resumed job continues with them.

They are computed from the job and its receipts only. The org is not asked, and nothing else is stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from quotejob.jobs.job import Job, Status
from quotejob.run.progress import Progress
from quotejob.run.waves import may_start, open_waves, planned, sent, wave_is_priced


@dataclass(frozen=True, slots=True)
class Outstanding:
    """Steps that a job still needs, all of one wave and one kind. ``numbers`` are the pages or batches."""

    step: str  # plan, start_wave, pages, commit, batches, finish
    wave: int = 0
    numbers: tuple[int, ...] = ()


def outstanding(job: Job, progress: Progress) -> list[Outstanding]:
    """Return all steps that may run now and have not reported yet."""
    if job.status not in (Status.PREPARING, Status.PROCESSING):
        return [Outstanding("plan")]
    waves = planned(job, progress)
    still_open = open_waves(job, progress, waves)
    if job.status is Status.PREPARING:  # the first waves of a streamed plan may be under way
        return [Outstanding("plan"), *_of_waves(job, progress, waves, still_open)]
    return list(_of_waves(job, progress, waves, still_open)) if still_open else [Outstanding("finish")]


def _of_waves(job: Job, progress: Progress, waves: list[range], still_open: list[int]) -> Iterator[Outstanding]:
    """Yield the steps of the waves that were sent, and the start of the next one."""
    for wave in still_open:
        if progress.note(job.job_id, sent(wave)) is None:
            if may_start(job, progress, wave):
                yield Outstanding("start_wave", wave)
            return
        yield _of_wave(job, progress, wave, waves[wave])


def _of_wave(job: Job, progress: Progress, wave: int, pages: range) -> Outstanding:
    if not wave_is_priced(job, progress, wave):
        reported = progress.priced_units(job.job_id, wave)
        return Outstanding("pages", wave, tuple(page for page in pages if page not in reported))
    batches = progress.batch_count(job.job_id, wave)
    if batches is None:
        return Outstanding("commit", wave)
    reported = progress.written_units(job.job_id, wave)
    return Outstanding("batches", wave, tuple(batch for batch in range(batches) if batch not in reported))
