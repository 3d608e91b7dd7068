"""What is still to be done in a job, read off what is done: the sweep sends it, and a resumed job goes on with it.

Nothing is remembered beside the receipts themselves, so nothing can be forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass

from quotejob.jobs.job import Status
from quotejob.run.context import Run
from quotejob.run.waves import may_start, pages_of_wave, wave_is_priced, wave_is_written


@dataclass(frozen=True, slots=True)
class Outstanding:
    """The steps a job lacks, all of one wave and one kind. ``numbers`` are its pages or batches."""

    step: str  # plan, start_wave, pages, commit, batches, finish
    wave: int = 0
    numbers: tuple[int, ...] = ()


def outstanding(run: Run) -> list[Outstanding]:
    """Everything that could be going on in the job right now and has not reported yet."""
    if run.job.status is not Status.PROCESSING:
        return [Outstanding("plan")]
    open_waves = [wave for wave in range(run.job.waves or 0) if not _is_over(run, wave)]
    if not open_waves:
        return [Outstanding("finish")]
    # Pricing is at most one wave ahead of writing.
    return [step for wave in open_waves[:2] if (step := _of_wave(run, wave)) is not None]


def sent(wave: int) -> str:
    """The mark of a wave whose pages have been sent."""
    return f"wave {wave} sent"


def _of_wave(run: Run, wave: int) -> Outstanding | None:
    if run.work.note(run.id, sent(wave)) is None:
        return Outstanding("start_wave", wave) if may_start(run, wave) else None
    if not wave_is_priced(run, wave):
        reported = run.work.priced_units(run.id, wave)
        return Outstanding("pages", wave, tuple(page for page in pages_of_wave(run, wave) if page not in reported))
    batches = run.work.batches(run.id, wave)
    if batches is None:
        return Outstanding("commit", wave)
    reported = run.work.written_units(run.id, wave)
    return Outstanding("batches", wave, tuple(batch for batch in range(len(batches)) if batch not in reported))


def _is_over(run: Run, wave: int) -> bool:
    """Whether the wave is written; noted once it is, so that a job of many waves is looked through quickly."""
    over = f"wave {wave} over"
    if run.work.note(run.id, over) is not None:
        return True
    if not wave_is_written(run, wave):
        return False
    run.work.note(run.id, over, "1")
    return True
