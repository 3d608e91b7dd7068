"""A plan that grows while the org still sends ids: its waves run meanwhile, and what was added stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from _runs import being_planned
from cryptography.fernet import Fernet

from quotejob.errors import JobStopped, LeaseLost, OrgClosed, StoreUnavailable
from quotejob.jobs.job import BuiltIn, Job, Status
from quotejob.run import waves
from quotejob.run.context import Run
from quotejob.run.outstanding import Outstanding, outstanding
from quotejob.run.receipt import Receipt
from quotejob.salesforce.caller import CallerContext
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import client as store


@pytest.fixture
def services(redis_url: str) -> Services:
    settings = Settings(redis_url=redis_url, secret_keys=(Fernet.generate_key().decode(),))
    return Services(settings, store.client(redis_url, attempts=1))


@pytest.fixture
def run(services: Services, caller: CallerContext, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A job whose plan is being made; a wave begins with four records."""
    monkeypatch.setattr(waves, "FIRST_WAVE", 4)
    return being_planned(services, caller)


def ids(count: int, *, lost_after: int | None = None) -> Iterator[str]:
    """As an org sends them, until the connection is lost."""
    for number in range(count):
        if number == lost_after:
            raise ConnectionError
        yield f"id{number}"


def job_of(run: Run) -> Job:
    return run.jobs.get(run.id)


def plan(run: Run, keys: Iterator[str]) -> None:
    waves.stream_plan(run, keys, page_size=2, wave_size=4)


def planned_ids(run: Run) -> list[str]:
    pages = [page for wave in waves.planned(job_of(run), run.progress) for page in wave]
    return [key for page in pages for key in run.progress.page(run.id, page)]


def test_a_wave_may_run_before_the_next_ids_are_read(run: Run) -> None:
    """When it is added, no more ids were asked for than it has."""
    read: list[str] = []
    seen: list[tuple[int, int, list[Outstanding]]] = []

    def counted() -> Iterator[str]:
        for key in ids(21):
            read.append(key)
            yield key

    def note(wave: int) -> None:
        seen.append((wave, len(read), outstanding(job_of(run), run.progress)))

    plan(replace(run, wave_added=note), counted())
    assert [(wave, count) for wave, count, _ in seen] == [(0, 4), (1, 8), (2, 16), (3, 21)]
    assert seen[0][2] == [Outstanding("plan"), Outstanding("start_wave", 0)]
    assert waves.planned(job_of(run), run.progress) == [range(2), range(2, 4), range(4, 8), range(8, 11)]
    assert waves.streamed_sizes(21, 2, 4) == [4, 4, 8, 5]
    job = job_of(run)
    assert (job.total, job.total_job_items, job.waves) == (21, 11, 4)


def test_what_was_added_stays_when_the_plan_is_interrupted(run: Run) -> None:
    """The next try adds what is new, and nothing twice, whatever the order in which the ids come."""
    with pytest.raises(ConnectionError):
        plan(run, ids(21, lost_after=10))
    assert (job_of(run).waves, job_of(run).waves_begun, planned_ids(run)) == (None, 2, [*ids(8)])
    plan(run, iter([f"id{number}" for number in range(30, 2, -1)]))
    found = planned_ids(run)
    assert found[:8] == [*ids(8)]
    assert sorted(found) == sorted({*ids(8), *(f"id{number}" for number in range(3, 31))})
    assert job_of(run).total == len(found)


def test_one_of_two_steps_makes_the_plan(run: Run) -> None:
    """The other one stops at its next wave. Nothing of it is in the plan."""

    def overtaken() -> Iterator[str]:
        yield from ids(6)
        plan(run, (f"other{number}" for number in range(9)))
        yield from ("id6", "id7")

    with pytest.raises(LeaseLost):
        plan(run, overtaken())
    assert planned_ids(run) == [*ids(4), *(f"other{number}" for number in range(9))]


def test_a_wave_waits_for_room(run: Run) -> None:
    """At most twice the largest wave may be priced and not written."""
    plan(run, ids(40))
    run.jobs.move(run.id, Status.PROCESSING)
    started = []
    for wave, pages in enumerate(waves.planned(job_of(run), run.progress)):
        if not waves.may_start(job_of(run), run.progress, wave):
            break
        started.append(len(pages))
        for page in pages:
            run.progress.record_page(run.id, wave, Receipt(str(page), to_write=1), b"quotes")
    assert started == [2, 2, 4]  # one more of four would be twelve pages
    run.progress.store_batches(run.id, 0, [])
    run.progress.store_batches(run.id, 1, [])
    assert waves.may_start(job_of(run), run.progress, 3)


def test_no_wave_is_added_to_a_job_that_has_ended(run: Run) -> None:
    """And what a part of its plan has left is deleted with the job."""

    def abort(_: int) -> None:
        run.jobs.move(run.id, Status.ABORTED)

    with pytest.raises((LeaseLost, JobStopped)):
        plan(replace(run, wave_added=abort), ids(6))
    assert planned_ids(run) == [*ids(4)]
    assert all(run.jobs._redis.ttl(f"quotejob:job:{run.id}:{part}") > 0 for part in ("plan", "pages"))


def test_a_plan_has_so_many_records_at_most(run: Run) -> None:
    """With more than QUOTEJOB_MOST_RECORDS it ends with a sentence; so does the second try, and exactly so many do."""
    bounded = replace(run, settings=replace(run.settings, most_records=6))
    for _ in range(2):
        with pytest.raises(OrgClosed, match="QUOTEJOB_MOST_RECORDS") as refused:
            plan(bounded, ids(7))
        assert refused.value.code == "TOO_MANY_RECORDS"
    assert len(planned_ids(run)) <= 6
    plan(bounded, ids(6))
    assert planned_ids(run) == [f"id{number}" for number in range(6)]


def test_the_calls_of_a_plan_are_its_own(services: Services, run: Run, caller: CallerContext) -> None:
    """What pages have asked for while the plan was made is not kept as the plan's: the next forecast would add it."""

    def note(wave: int) -> None:
        for page in waves.planned(job_of(run), run.progress)[wave]:
            run.progress.record_page(run.id, wave, Receipt(str(page), api_calls=7))

    plan(replace(run, wave_added=note), ids(21))
    assert job_of(run).api_calls > 7
    services.forecast_notes.planned(job_of(run), 3)
    assert services.forecast_notes.plan_calls(caller.org_id, BuiltIn.BATCH_QUOTE, dry_run=False) == 3 - 1


@pytest.mark.parametrize("lost", ["all", "first"])
def test_a_plan_whose_pages_redis_has_lost_is_made_again(services: Services, run: Run, lost: str) -> None:
    """Redis came back with older data, or its clock jumped past the end of the draft. The pages must all be there."""

    def pages() -> Iterator[list[str]]:
        yield ["a", "b"]
        [draft] = services.client.scan_iter(f"*{run.id}*draft*")
        services.client.delete(draft)
        yield from [["c"]] if lost == "first" else []

    with pytest.raises(StoreUnavailable, match="made again"):
        run.progress.store_plan(run.id, pages(), 1, lambda: 0)
    assert services.jobs.get(run.id).waves is None
    assert run.progress.store_plan(run.id, [["a", "b"], ["c"]], 1, lambda: 0)
    assert run.progress.page(run.id, 1) == ["c"]


def test_a_streamed_plan_whose_pages_redis_has_lost_is_made_again(services: Services, run: Run) -> None:
    waves.stream_plan(run, ids(3), page_size=2, wave_size=2)
    services.client.hdel(f"quotejob:job:{run.id}", "waves")
    services.client.hdel(f"quotejob:job:{run.id}:pages", "0")
    with pytest.raises(StoreUnavailable, match="made again"):
        run.progress.end_plan(run.id, run.progress.added_waves(run.id), 3, 0)


def test_pages_of_a_wave_that_redis_has_lost_do_not_keep_the_plan_from_its_end(services: Services, run: Run) -> None:
    """Redis had lost the end of the script that added a wave, and the next try has fewer records."""
    services.client.hset(f"quotejob:job:{run.id}:pages", "7", "of a wave that is not there")
    waves.stream_plan(run, ids(3), page_size=2, wave_size=2)
    assert job_of(run).waves == 1
