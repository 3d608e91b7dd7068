"""What a large job keeps in Redis does not grow with what is done, but for its results, and these are small."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from _runs import being_planned
from cryptography.fernet import Fernet

from quotejob import formats
from quotejob.errors import JobNotFound
from quotejob.jobs.job import Status
from quotejob.jobtypes.batches import records
from quotejob.run import waves
from quotejob.run.context import Run
from quotejob.run.outstanding import Outstanding, outstanding
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.salesforce.caller import CallerContext
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys, rows

PAGE, WAVE = 2, 1  # records of a page, pages of a wave


@pytest.fixture
def services(redis_url: str) -> Iterator[Services]:
    settings = Settings(redis_url=redis_url, secret_keys=(Fernet.generate_key().decode(),))
    with store.client(redis_url, attempts=1) as client:
        yield Services(settings, client)


@pytest.fixture
def run(services: Services, caller: CallerContext) -> Run:
    """A job whose plan is being made."""
    return being_planned(services, caller)


def keys_of(count: int) -> Iterator[str]:
    return (f"006{number}" for number in range(count))


def price(run: Run, wave: int) -> None:
    """Report the one page of the wave, and pack it into one batch."""
    ids = run.progress.page(run.id, wave)
    assert run.progress.record_page(run.id, wave, Receipt(str(wave), to_write=len(ids)), b"quotes")
    assert run.progress.store_batches(run.id, wave, [{str(wave): ids}])


def write(run: Run, wave: int) -> list[Result]:
    """Report the one batch of the wave."""
    results = [Result(each, Outcome.SUCCEEDED, f"0Q0{each}") for each in records.content(run, wave, 0)]
    receipt = Receipt(f"{wave}.0", tuple(results), pages={wave: (len(results), 0)})
    assert run.progress.record_batch(run.id, wave, receipt)
    return results


def test_what_only_the_steps_of_a_wave_need_goes_with_the_wave(run: Run) -> None:
    """Its pages, quotes, and what is in its batches; their number stays, because later waves are packed by it."""
    waves.stream_plan(run, keys_of(6), page_size=PAGE, wave_size=WAVE)
    job = run.jobs.get(run.id)
    for wave in range(3):
        price(run, wave)
    write(run, 0)
    assert outstanding(job, run.progress)[1:] == [Outstanding("start_wave", 1)]
    with pytest.raises(JobNotFound):
        run.progress.page(run.id, 0)
    assert (run.progress.batch_count(run.id, 0), records.content(run, 0, 0)) == (1, {})
    assert run.progress.priced(run.id, 0) is None
    assert run.progress.page(run.id, 1) == ["0062", "0063"]
    assert records.content(run, 1, 0) == {"0062": 1, "0063": 1}
    assert run.progress.store_batches(run.id, 0, [{"0": ["0060"]}]) is False  # a copy of the commit comes late


def test_the_pages_of_a_plan_that_is_being_made_stay(run: Run) -> None:
    """Its next try must know which records it has. They go with a later wave, when the plan is fixed."""
    with pytest.raises(ConnectionError):
        waves.stream_plan(run, _until_lost(keys_of(4)), page_size=PAGE, wave_size=WAVE)
    price(run, 0)
    write(run, 0)
    assert len(outstanding(run.jobs.get(run.id), run.progress)) == 2
    assert run.progress.page(run.id, 0) == ["0060", "0061"]
    waves.stream_plan(run, keys_of(6), page_size=PAGE, wave_size=WAVE)
    assert [run.progress.page(run.id, page) for page in range(3)] == [
        ["0060", "0061"],
        ["0062", "0063"],
        ["0064", "0065"],
    ]
    price(run, 1)
    write(run, 1)
    outstanding(run.jobs.get(run.id), run.progress)
    for page in range(2):
        with pytest.raises(JobNotFound):
            run.progress.page(run.id, page)
    assert run.progress.page(run.id, 2) == ["0064", "0065"]


def _until_lost(ids: Iterator[str]) -> Iterator[str]:
    yield from ids
    raise ConnectionError


def test_from_the_sixth_wave_on_results_are_columns(run: Run, services: Services) -> None:
    """They are read beside those of earlier waves, which versions before 1.0.0 read too."""
    waves.stream_plan(run, keys_of(14), page_size=PAGE, wave_size=WAVE)
    written = []
    for wave in range(7):
        price(run, wave)
        written += write(run, wave)
        kept = [rows.unsqueeze(each, Any) for each in services.client.hash(keys.job(run.id, "results")).values()]
        assert sum(isinstance(each, dict) for each in kept) == max(0, wave + 1 - formats.FIRST_IN_COLUMNS), wave
    assert list(services.results.stream(run.id)) == written
    assert run.jobs.get(run.id).succeeded == 14


def test_a_step_that_comes_after_the_end_leaves_nothing(run: Run, services: Services) -> None:
    """The job's hashes are deleted when it is Completed. Nobody would delete one that is written later."""
    waves.stream_plan(run, keys_of(2), page_size=PAGE, wave_size=WAVE)
    price(run, 0)
    write(run, 0)
    services.jobs.move(run.id, Status.PROCESSING)
    assert services.jobs.move(run.id, Status.COMPLETED)
    before = set(services.client.scan_iter(f"quotejob:job:{run.id}:*"))
    run.progress.note(run.id, "expected", "65")
    assert run.progress.note(run.id, "expected") is None
    assert run.progress.first_note(run.id, "decided", "x") == "x"
    assert not run.progress.once(run.id, waves.sent(1))
    assert not run.progress.store_batches(run.id, 1, [{"1": ["0061"]}])
    assert run.progress.end_wave(run.id, 0, 1, {"wave 0 over": range(1)})
    assert set(services.client.scan_iter(f"quotejob:job:{run.id}:*")) == before
