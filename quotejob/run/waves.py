"""Waves: how a job's pages are divided into chords, and when the next chord may start.

Most plans are stored at once, in waves of one size. A streamed plan grows while the org still sends the ids: each wave
may run as soon as it is added. The first waves are small, so that the first records are written early.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, islice
from typing import TypeVar

from quotejob.errors import LeaseLost, OrgClosed
from quotejob.jobs.job import Job, Status
from quotejob.run.context import Run
from quotejob.run.progress import Progress

FIRST_WAVE = 2_000  # records; an org sends so many ids with each answer
_WAVE_SIZE = "wave size"  # a note of a job whose plan is streamed: the most pages of a wave
MOST_GROUPS = 200  # of pages whose states are told


T = TypeVar("T")


class PageState(StrEnum):
    """How far a page is. The least advanced first."""

    PLANNED = "planned"
    PRICED = "priced"  # its results wait to be written
    DONE = "done"
    FAILED = "failed"  # done, and at least one record failed


@dataclass(frozen=True, slots=True)
class PageGroup:
    """Neighbouring pages of a plan, from ``first`` to ``last``, and how far the least advanced of them is."""

    first: int
    last: int
    state: PageState


def store_plan(run: Run, keys: Iterable[str], *, page_size: int, wave_size: int) -> None:
    """Cut the keys into pages, and the pages into waves of ``wave_size`` pages. Store them as the job's plan."""
    bounded = _bounded(keys, run.settings.most_records)
    run.progress.store_plan(run.id, batched(bounded, page_size), wave_size, lambda: run.org.calls)


def stream_plan(
    run: Run, keys: Iterable[str], *, page_size: int, wave_size: int, first_wave: int | None = None
) -> None:
    """Do the same, and let each wave run as soon as its keys are known. Waves have at most ``wave_size`` pages.

    ``first_wave``: about how many records the first one has; None: FIRST_WAVE.

    What was added stays: a second try reads the keys again, and adds only those that are new. Raises LeaseLost if
    another step makes the same plan, JobStopped if the job has ended, OrgClosed if there are too many keys.
    """
    run.progress.note(run.id, _WAVE_SIZE, str(wave_size))
    waves = run.progress.added_waves(run.id)
    known = {key for page in chain(*waves) for key in run.progress.page(run.id, page)}
    total = len(known)
    fresh = (key for key in keys if key not in known) if known else keys
    pages = batched(_bounded(fresh, run.settings.most_records - total), page_size)
    while added := list(islice(pages, _next_size(waves, page_size, wave_size, first_wave))):
        run.go_on()
        first = waves[-1].stop if waves else 0
        if not run.progress.add_wave(run.id, len(waves), first, added):
            raise LeaseLost(f"Another step makes the plan of job {run.id}, or it has ended")
        waves.append(range(first, first + len(added)))
        total += sum(map(len, added))
        if run.wave_added is not None:
            run.wave_added(len(waves) - 1)
    run.progress.end_plan(run.id, waves, total, run.org.calls)


def _bounded(keys: Iterable[str], most: int) -> Iterator[str]:
    """Yield the keys. Raises OrgClosed if there are more than ``most``."""
    for place, key in enumerate(keys):
        if place >= most:
            raise OrgClosed(
                "The job has more records than QUOTEJOB_MOST_RECORDS allows; narrow its WHERE clause, for example by a "
                "range of CreatedDate, and submit several jobs. What is written stays",
                code="TOO_MANY_RECORDS",
            )
        yield key


def _next_size(waves: Sequence[range], page_size: int, wave_size: int, first_wave: int | None) -> int:
    """Return the pages of the next wave: as many as all before it have."""
    so_far = waves[-1].stop if waves else 0
    return min(wave_size, max(1, (first_wave or FIRST_WAVE) // page_size, so_far))


def streamed_sizes(records: int, page_size: int, wave_size: int, first_wave: int | None = None) -> list[int]:
    """Return the number of records in each wave of a streamed plan: see :func:`stream_plan`."""
    waves: list[range] = []
    pages = -(-records // page_size)
    while (first := waves[-1].stop if waves else 0) < pages:
        waves.append(range(first, min(pages, first + _next_size(waves, page_size, wave_size, first_wave))))
    return [min(records, wave.stop * page_size) - wave.start * page_size for wave in waves]


def pages_of_wave(job: Job, wave: int) -> range:
    """Return the page numbers of a wave, of a plan that was stored at once."""
    size = -(-job.total_job_items // (job.waves or 1))
    return range(wave * size, min((wave + 1) * size, job.total_job_items))


def planned(job: Job, progress: Progress) -> list[range]:
    """Return the pages of each wave that is planned so far."""
    return progress.added_waves(job.job_id) or [pages_of_wave(job, wave) for wave in range(job.waves or 0)]


def current_pages(job: Job, progress: Progress) -> list[PageGroup]:
    """Return the pages of the wave that the job works on, in at most 200 groups of equal size.

    Empty: the pages are not planned yet, or the job is Completed and they are forgotten.
    """
    waves = planned(job, progress)
    if not waves or job.status is Status.COMPLETED:
        return []
    number = next((at for at, wave in enumerate(waves) if job.job_items_processed < wave.stop), len(waves) - 1)
    reported, left, failed = progress.page_marks(job.job_id, number)
    states = list(PageState)

    def state(page: int) -> int:
        if page not in reported:
            return states.index(PageState.PLANNED)
        if page in left:
            return states.index(PageState.PRICED)
        return states.index(PageState.FAILED if page in failed else PageState.DONE)

    wave = waves[number]
    size = -(-len(wave) // MOST_GROUPS) or 1
    groups = [wave[at : at + size] for at in range(0, len(wave), size)]
    return [PageGroup(group[0], group[-1], states[_least([state(page) for page in group])]) for group in groups]


def _least(states: Sequence[int]) -> int:
    """Return the least advanced of the states; if all pages are done, the state of one with failed records."""
    done = len(PageState) - 2
    return max(states) if min(states) >= done else min(states)


def batched(keys: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the keys in lists of ``size``; the last may be shorter (itertools.batched needs Python 3.12)."""
    stream = iter(keys)
    while chunk := list(islice(stream, size)):
        yield chunk


def sent(wave: int) -> str:
    """Return the name of the note that the pages of a wave were sent."""
    return f"wave {wave} sent"


def next_wave(job: Job, progress: Progress) -> int | None:
    """Return the first wave whose pages were not sent yet. None: all that are planned so far were sent."""
    waves = planned(job, progress)
    notes = progress.noted(job.job_id, [sent(wave) for wave in range(len(waves))])
    return next((wave for wave, was_sent in enumerate(notes) if not was_sent), None)


def may_start(job: Job, progress: Progress, wave: int) -> bool:
    """Return whether the wave may be priced: there is room for its quotes.

    So Redis holds the priced quotes of at most two waves of the largest size, even for a large job.
    """
    waves = planned(job, progress)
    if wave >= len(waves):
        return False
    pages = sum(len(waves[other]) for other in open_waves(job, progress, waves[:wave])) + len(waves[wave])
    return pages <= 2 * int(progress.note(job.job_id, _WAVE_SIZE) or max(map(len, waves)))


def open_waves(job: Job, progress: Progress, waves: Sequence[range]) -> list[int]:
    """Return the numbers of those waves that are not written yet."""
    over = progress.noted(job.job_id, [_over(wave) for wave in range(len(waves))])
    return [wave for wave, is_over in enumerate(over) if not is_over and not wave_is_written(job, progress, wave)]


def wave_is_priced(job: Job, progress: Progress, wave: int) -> bool:
    """Return whether every page of the wave has reported."""
    return len(progress.priced_units(job.job_id, wave)) == len(planned(job, progress)[wave])


def wave_is_written(job: Job, progress: Progress, wave: int) -> bool:
    """Return whether every batch of the wave has reported. If so, note it, so that the next check is fast.

    What only its steps needed is deleted, so that a large job does not grow.
    """
    batches = progress.batch_count(job.job_id, wave)
    if batches is None or len(progress.written_units(job.job_id, wave)) < batches:
        return False
    waves = {_over(number): pages for number, pages in enumerate(planned(job, progress))}
    return progress.end_wave(job.job_id, wave, batches, waves)


def _over(wave: int) -> str:
    return f"wave {wave} over"
