"""The outstanding steps of a job. The sweep sends them, and a resumed job continues with them.

They are computed from the job and its receipts only. The org is not asked, and nothing else is stored.
"""

from __future__ import annotations

from dataclasses import dataclass

from quotejob.jobs.job import Job, Status
from quotejob.run.progress import Progress
from quotejob.run.waves import may_start, pages_of_wave, wave_is_priced, wave_is_written


@dataclass(frozen=True, slots=True)
class Outstanding:
    """Steps that a job still needs, all of one wave and one kind. ``numbers`` are the pages or batches."""

    step: str  # plan, start_wave, pages, commit, batches, finish
    wave: int = 0
    numbers: tuple[int, ...] = ()


def outstanding(job: Job, progress: Progress) -> list[Outstanding]:
    """Return all steps that may run now and have not reported yet."""
    if job.status is not Status.PROCESSING:
        return [Outstanding("plan")]
    open_waves = [wave for wave in range(job.waves or 0) if not _is_over(job, progress, wave)]
    if not open_waves:
        return [Outstanding("finish")]
    # Pricing is at most one wave ahead of writing.
    return [step for wave in open_waves[:2] if (step := _of_wave(job, progress, wave)) is not None]


def sent(wave: int) -> str:
    """Return the name of the note that the pages of a wave were sent."""
    return f"wave {wave} sent"


def _of_wave(job: Job, progress: Progress, wave: int) -> Outstanding | None:
    if progress.note(job.job_id, sent(wave)) is None:
        return Outstanding("start_wave", wave) if may_start(job, progress, wave) else None
    if not wave_is_priced(job, progress, wave):
        reported = progress.priced_units(job.job_id, wave)
        return Outstanding("pages", wave, tuple(page for page in pages_of_wave(job, wave) if page not in reported))
    batches = progress.batches(job.job_id, wave)
    if batches is None:
        return Outstanding("commit", wave)
    reported = progress.written_units(job.job_id, wave)
    return Outstanding("batches", wave, tuple(batch for batch in range(len(batches)) if batch not in reported))


def _is_over(job: Job, progress: Progress, wave: int) -> bool:
    """Return whether the wave is written. Stores a note when it is, so that the next check of many waves is fast."""
    over = f"wave {wave} over"
    if progress.note(job.job_id, over) is not None:
        return True
    if not wave_is_written(job, progress, wave):
        return False
    progress.note(job.job_id, over, "1")
    return True
