"""Jobs in Redis: accepted once, moved once, counted once, whatever number of processes try and however often."""

from __future__ import annotations

import contextlib
import contextvars
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import redis
from cryptography.fernet import Fernet

from quotejob import audit
from quotejob.errors import (
    FlexQueueFull,
    InvalidRequest,
    JobConflict,
    JobNotFound,
    NotAManager,
    SessionExpired,
    StoreUnavailable,
    TooManyJobs,
)
from quotejob.jobs.flexqueue import FlexQueue
from quotejob.jobs.job import BuiltIn, Job, Status
from quotejob.jobs.listing import JobFilter
from quotejob.jobs.search import JobSearch
from quotejob.jobs.store import JobStore
from quotejob.jobs.submission import FORGOTTEN_AT_ONCE
from quotejob.run.progress import Progress
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.run.results import Results
from quotejob.salesforce.caller import CallerContext, to18
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys


@pytest.fixture
def jobs(redis_url: str) -> JobStore:
    settings = Settings(
        redis_url=redis_url, secret_keys=(Fernet.generate_key().decode(),), active_jobs=2, holding_jobs=3
    )
    return JobStore(store.client(redis_url, attempts=1), settings)


def submit(jobs: JobStore, caller: CallerContext, **also: Any) -> Job:
    return jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause="Name != null", **also)[0]


def begun(jobs: JobStore, caller: CallerContext, pages: list[list[str]]) -> str:
    job_id = submit(jobs, caller).job_id
    jobs.promote(caller.org_id)
    jobs.move(job_id, Status.PREPARING)
    Progress(jobs._redis).store_plan(job_id, pages, 2, lambda: 3)
    jobs.move(job_id, Status.PROCESSING)
    return job_id


def test_a_job_is_accepted_as_it_was_asked(jobs: JobStore, caller: CallerContext) -> None:
    """Everything is there again, times are aware UTC, and the caller's token is stored in no readable form."""
    job, new = jobs.submit(caller, BuiltIn.SAMPLE_DATA_CREATE, number_of_opportunities=7)
    assert new
    assert (job.status, job.job_type, job.number_of_opportunities) == (Status.HOLDING, BuiltIn.SAMPLE_DATA_CREATE, 7)
    assert job.created_date.utcoffset() is not None
    assert jobs.get(job.job_id, caller.org_id) == job
    assert jobs.context(job.job_id) == caller
    client = redis.Redis.from_url(jobs._settings.redis_url)
    stored = [client.dump(key) or b"" for key in client.scan_iter(f"quotejob:job:{job.job_id}*")]
    assert stored
    assert all(stored)
    assert not any(b"visible.only.here" in value for value in stored)


def test_what_a_newer_version_left_in_a_job_is_passed_over(jobs: JobStore, caller: CallerContext) -> None:
    """While one version replaces another, or is taken back, both read the same jobs."""
    job = submit(jobs, caller)
    redis.Redis.from_url(jobs._settings.redis_url).hset(f"quotejob:job:{job.job_id}", "colourOfTheDay", "red")
    assert jobs.get(job.job_id) == job


def test_another_orgs_job_is_not_there(jobs: JobStore, caller: CallerContext) -> None:
    """A job of another org and an unknown one answer alike."""
    job = submit(jobs, caller)
    with pytest.raises(JobNotFound):
        jobs.get(job.job_id, to18("00DAAAAAAAAAAAA"))
    with pytest.raises(JobNotFound):
        jobs.get("nonsense", caller.org_id)


def test_the_same_key_gives_the_same_job(jobs: JobStore, caller: CallerContext) -> None:
    """Within one org; another org's same key is another job."""
    first = jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause="a", idempotency_key="k")
    again = jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause="a", idempotency_key="k")
    other = jobs.submit(replace(caller, org_id=to18("00DBBBBBBBBBBBB")), BuiltIn.BATCH_QUOTE, idempotency_key="k")
    assert (first[1], again[1], other[1]) == (True, False, True)
    assert first[0] == again[0]
    assert other[0].job_id != first[0].job_id
    jobs.abort(other[0].job_id)


def test_the_flex_queue_has_an_end(jobs: JobStore, caller: CallerContext) -> None:
    """Two may be active and three wait; the sixth is refused, and nothing of it is kept."""
    for _ in range(5):
        submit(jobs, caller)
    with pytest.raises(FlexQueueFull, match="3 jobs"):
        submit(jobs, caller)
    assert len(JobSearch(jobs._redis, jobs).recent(caller.org_id)[0]) == 5


def test_slots_go_to_who_waited_longest_and_come_back(jobs: JobStore, caller: CallerContext) -> None:
    """First in, first out; an ended job's slot goes to the next one."""
    ids = [submit(jobs, caller).job_id for _ in range(4)]
    assert jobs.promote(caller.org_id) == ids[:2]
    assert jobs.promote(caller.org_id) == []
    jobs.abort(ids[2])
    jobs.fail(ids[0], "gone wrong")
    assert jobs.promote(caller.org_id) == [ids[3]]
    assert jobs.get(ids[0]).extended_status == "gone wrong"


def test_a_move_happens_once_however_many_try(jobs: JobStore, caller: CallerContext) -> None:
    """Twenty threads abort and fail one job: exactly one of them did it."""
    job_id = begun(jobs, caller, [["a"]])
    start = threading.Barrier(20)

    def attempt(number: int) -> bool:
        start.wait()
        return jobs.move(job_id, Status.ABORTED if number % 2 else Status.FAILED)

    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(attempt, range(20)))
    assert sum(done) == 1
    assert jobs.get(job_id).ended


def test_a_life_ends_once_and_takes_the_token_along(jobs: JobStore, caller: CallerContext) -> None:
    """An ended job cannot be aborted or moved, and its caller's session is gone."""
    job_id = begun(jobs, caller, [["a"]])
    assert jobs.move(job_id, Status.COMPLETED)
    assert not jobs.move(job_id, Status.PROCESSING)
    with pytest.raises(JobConflict, match="Completed"):
        jobs.abort(job_id)
    with pytest.raises(SessionExpired):
        jobs.context(job_id)
    client = redis.Redis.from_url(jobs._settings.redis_url)
    lives = {key: client.ttl(key) for key in client.scan_iter(f"quotejob:job:{job_id}*")}
    assert lives
    assert all(left > 0 for left in lives.values()), lives


def test_the_first_plan_wins_whole(jobs: JobStore, caller: CallerContext) -> None:
    """A second plan, of other records, changes nothing."""
    job_id = begun(jobs, caller, [["a", "b"], ["c"], ["d"]])
    assert not Progress(jobs._redis).store_plan(job_id, [["x"]], 2, lambda: 1)
    job = jobs.get(job_id)
    assert (job.total_job_items, job.total, job.waves, job.api_calls) == (3, 4, 2, 3)
    assert Progress(jobs._redis).page(job_id, 0) == ["a", "b"]
    assert not list(redis.Redis.from_url(jobs._settings.redis_url).scan_iter("*draft*"))


def test_receipts_are_counted_once(jobs: JobStore, caller: CallerContext) -> None:
    """A page with two quotes to write is done when both are; a repeated receipt changes nothing."""
    job_id = begun(jobs, caller, [["a", "b", "c"], ["d"]])
    skipped = Result("c", Outcome.SKIPPED, code="NO_LINES", message="none")
    for _ in range(2):
        Progress(jobs._redis).record_page(job_id, 0, Receipt("0", (skipped,), to_write=2, api_calls=1), b"blob")
    Progress(jobs._redis).record_page(job_id, 0, Receipt("1", (Result("d", Outcome.FAILED, code="X", message="y"),)))
    assert jobs.get(job_id).job_items_processed == 1
    assert Progress(jobs._redis).priced(job_id, 0) == b"blob"
    made = Result("a", Outcome.SUCCEEDED, "0Q0a")
    assert Progress(jobs._redis).record_batch(job_id, 0, Receipt("0.0", (made,), pages={0: (1, 0)}))
    assert not Progress(jobs._redis).record_batch(job_id, 0, Receipt("0.0", (made, made), pages={0: (2, 0)}))
    Progress(jobs._redis).record_batch(
        job_id, 0, Receipt("0.1", (Result("b", Outcome.FAILED, code="X"),), pages={0: (1, 1)}, api_calls=2)
    )
    job = jobs.get(job_id)
    assert (job.succeeded, job.skipped, job.failed, job.quotes_created) == (1, 1, 2, 1)
    assert (job.job_items_processed, job.number_of_errors, job.api_calls) == (2, 2, 6)


def test_late_receipts_still_count_and_still_expire(jobs: JobStore, caller: CallerContext) -> None:
    """What was being written while the job was aborted is told, and its keys do not stay for ever."""
    job_id = begun(jobs, caller, [["a"]])
    Progress(jobs._redis).record_page(job_id, 0, Receipt("0", (), to_write=1), b"blob")
    jobs.abort(job_id)
    Progress(jobs._redis).record_batch(
        job_id, 0, Receipt("0.0", (Result("a", Outcome.SUCCEEDED, "0Q0a"),), pages={0: (1, 0)})
    )
    assert jobs.get(job_id).quotes_created == 1
    client = redis.Redis.from_url(jobs._settings.redis_url)
    assert all(client.ttl(key) > 0 for key in client.scan_iter(f"quotejob:job:{job_id}*"))


def test_results_come_in_pages_of_any_size(jobs: JobStore, caller: CallerContext) -> None:
    """Every result once, by cursor, also filtered by outcome."""
    job_id = begun(jobs, caller, [[str(n)] for n in range(12)])
    for page in range(12):
        outcome = Outcome.FAILED if page % 3 == 0 else Outcome.SUCCEEDED
        results = tuple(Result(f"{page}-{n}", outcome) for n in range(5))
        Progress(jobs._redis).record_page(job_id, 0, Receipt(str(page), results))
    everything = [result.record_id for result in Results(Progress(jobs._redis)).stream(job_id)]
    assert len(set(everything)) == 60

    def walk(outcome: Outcome | None, limit: int) -> list[str]:
        found, cursor = Results(Progress(jobs._redis)).page(job_id, outcome, limit)
        while cursor:
            more, cursor = Results(Progress(jobs._redis)).page(job_id, outcome, limit, cursor)
            found += more
        return [result.record_id for result in found]

    assert walk(None, 7) == everything
    assert len(walk(Outcome.FAILED, 3)) == 20


def test_jobs_are_listed_newest_first(jobs: JobStore, caller: CallerContext) -> None:
    """Page by page, filtered, and of the one org only."""
    ids = [submit(jobs, caller).job_id for _ in range(5)][::-1]
    found, cursor = JobSearch(jobs._redis, jobs).recent(caller.org_id, limit=2)
    assert [job.job_id for job in found] == ids[:2]
    rest, end = JobSearch(jobs._redis, jobs).recent(caller.org_id, limit=10, cursor=cursor)
    assert [job.job_id for job in rest] == ids[2:]
    assert end is None
    jobs.abort(ids[0])
    assert [
        job.job_id
        for job in JobSearch(jobs._redis, jobs).recent(caller.org_id, JobFilter(frozenset([Status.ABORTED])))[0]
    ] == [ids[0]]
    assert (
        JobSearch(jobs._redis, jobs).recent(
            caller.org_id, JobFilter(job_types=frozenset([BuiltIn.SAMPLE_DATA_DELETE]))
        )[0]
        == []
    )


@pytest.mark.parametrize("cursor", ["x", "1", ":", "5:", "a:b", "9" * 50 + ":x", "1.2.x:3"])
def test_a_made_up_cursor_is_refused(jobs: JobStore, caller: CallerContext, cursor: str) -> None:
    """As bad input, or as an end; never as a crash."""
    job_id = begun(jobs, caller, [["a"]])
    asks: list[Callable[[], object]] = [
        lambda: JobSearch(jobs._redis, jobs).recent(caller.org_id, cursor=cursor),
        lambda: Results(Progress(jobs._redis)).page(job_id, cursor=cursor),
    ]
    for ask in asks:
        with contextlib.suppress(InvalidRequest):
            ask()


def test_open_jobs_are_known_with_their_silence(jobs: JobStore, caller: CallerContext) -> None:
    """A job is open until it ends, and tells how long it has given no sign of life."""
    job_id = begun(jobs, caller, [["a"]])
    assert 0 <= dict(jobs.open())[job_id] < 10
    jobs.touch(job_id)
    jobs.fail(job_id, "x")
    jobs.touch(job_id)
    assert job_id not in dict(jobs.open())


def test_a_completed_job_keeps_its_results_only(jobs: JobStore, caller: CallerContext) -> None:
    """Plan, quotes, receipts, marks and token go; a late receipt finds nothing to change."""
    job_id = begun(jobs, caller, [["a"]])
    Progress(jobs._redis).record_page(job_id, 0, Receipt("0", (Result("a", Outcome.FAILED, code="X"),)), b"blob")
    Progress(jobs._redis).once(job_id, "mark")
    jobs.move(job_id, Status.COMPLETED)
    client = redis.Redis.from_url(jobs._settings.redis_url)
    left = {key.decode().rpartition(":")[2] for key in client.scan_iter(f"quotejob:job:{job_id}:*")}
    assert left == {"results", "pace"}
    assert not Progress(jobs._redis).record_page(job_id, 0, Receipt("0", (Result("a", Outcome.FAILED, code="X"),)))
    assert jobs.get(job_id).failed == 1


@pytest.mark.parametrize("end", [Status.FAILED, Status.ABORTED])
def test_an_unfinished_job_is_resumed_with_all_it_knows(jobs: JobStore, caller: CallerContext, end: Status) -> None:
    """It waits in the flex queue again, with the caller's fresh token, and keeps its plan, receipts and counters."""
    job_id = begun(jobs, caller, [["a"], ["b"], ["c"]])
    Progress(jobs._redis).record_page(job_id, 0, Receipt("0", (Result("a", Outcome.SKIPPED, code="X"),)))
    jobs.move(job_id, end, extendedStatus="why")
    fresh = replace(caller, access_token="00DRO0000000001!fresh")
    job = jobs.resume(job_id, fresh)
    assert (job.status, job.extended_status, job.completed_date, job.skipped) == (Status.HOLDING, None, None, 1)
    assert jobs.context(job_id) == fresh
    assert jobs.promote(caller.org_id) == [job_id]
    assert Progress(jobs._redis).priced_units(job_id, 0) == {0}
    client = redis.Redis.from_url(jobs._settings.redis_url)
    assert all(
        client.ttl(key) == -1 or key.endswith(b":context") for key in client.scan_iter(f"quotejob:job:{job_id}*")
    )
    with pytest.raises(JobConflict, match="Queued"):
        jobs.resume(job_id, fresh)


def test_another_orgs_job_is_not_resumed(jobs: JobStore, caller: CallerContext) -> None:
    """Nor one that is Completed."""
    job_id = begun(jobs, caller, [["a"]])
    with pytest.raises(JobNotFound):
        jobs.resume(job_id, replace(caller, org_id=to18("00DAAAAAAAAAAAA")))
    jobs.move(job_id, Status.COMPLETED)
    with pytest.raises(JobConflict, match="Completed"):
        jobs.resume(job_id, caller)


def test_a_full_flex_queue_takes_no_resumed_job(jobs: JobStore, caller: CallerContext) -> None:
    """And the job stays as it was."""
    job_id = begun(jobs, caller, [["a"]])
    jobs.fail(job_id, "why")
    for _ in range(5):
        submit(jobs, caller)
    with pytest.raises(FlexQueueFull):
        jobs.resume(job_id, caller)
    assert jobs.get(job_id).status is Status.FAILED


def test_redis_away_is_said() -> None:
    """StoreUnavailable, with a sentence, not a library's error."""
    settings = Settings(redis_url="redis://127.0.0.1:1/0", secret_keys=(Fernet.generate_key().decode(),))
    with pytest.raises(StoreUnavailable, match="try again"):
        JobStore(store.client(settings.redis_url, attempts=0), settings).ping()


def test_only_managers_change_what_others_made(jobs: JobStore, caller: CallerContext) -> None:
    """With QUOTEJOB_MANAGERS: the owner and a manager may, another user may not; a worker is not asked."""
    jobs._settings = replace(jobs.settings, managers=frozenset({"005MANAGER00001"}), holding_jobs=10)
    queue = FlexQueue(jobs._redis, jobs)

    def by(user_id: str, act: Callable[[], Any]) -> str:
        """Return what comes of it when this user acts."""

        def run() -> str:
            audit.acts(user_id, None)
            try:
                act()
            except NotAManager as refused:
                return refused.code
            return "done"

        return contextvars.copy_context().run(run)

    first, second, third = (submit(jobs, caller).job_id for _ in range(3))
    assert by("005STRANGER0001AAA", lambda: jobs.abort(first)) == "NOT_A_MANAGER"
    assert by("005STRANGER0001AAA", lambda: queue.move_to(caller.org_id, third, 0)) == "NOT_A_MANAGER"
    assert jobs.get(first).status is Status.HOLDING
    assert by(caller.user_id, lambda: jobs.abort(first)) == "done"
    assert by("005STRANGER0001AAA", lambda: jobs.resume(first, caller)) == "NOT_A_MANAGER"
    assert by("005MANAGER00001AAA", lambda: jobs.resume(first, caller)) == "done"
    assert by("005MANAGER00001AAA", lambda: queue.move_to(caller.org_id, third, 0)) == "done"
    contextvars.Context().run(jobs.abort, second)  # nobody acts


def test_an_org_submits_so_many_jobs_an_hour(jobs: JobStore, caller: CallerContext) -> None:
    """The next one is refused with the time to wait; a repeated call, another org and a guaranteed job are not."""
    jobs._settings = replace(jobs.settings, hourly_jobs=2)
    submit(jobs, caller, idempotency_key="one")
    submit(jobs, caller)
    submit(jobs, caller, idempotency_key="one")
    with pytest.raises(TooManyJobs, match="QUOTEJOB_HOURLY_JOBS") as refused:
        submit(jobs, caller)
    assert 3500 < (refused.value.retry_after or 0) <= 3600
    submit(jobs, caller, guaranteed=True)
    submit(jobs, replace(caller, org_id=to18("00D" + uuid.uuid4().hex[:12])))


def test_the_oldest_ended_jobs_make_room(jobs: JobStore, caller: CallerContext) -> None:
    """Beyond QUOTEJOB_KEPT_JOBS they are deleted with all they have; jobs that have not ended stay."""
    jobs._settings = replace(jobs.settings, kept_jobs=2, holding_jobs=10)
    alive, *ended = (submit(jobs, caller).job_id for _ in range(3))
    for job_id in ended:
        jobs.abort(job_id)
    submit(jobs, caller)
    assert jobs.get(alive).status is Status.HOLDING
    for job_id in ended:
        with pytest.raises(JobNotFound):
            jobs.get(job_id)
        assert list(jobs._redis.scan_iter(f"quotejob:job:{job_id}*")) == []


def test_the_oldest_make_room_after_jobs_that_have_expired(jobs: JobStore, caller: CallerContext) -> None:
    """However many of them the list of the org's jobs still begins with."""
    jobs._settings = replace(jobs.settings, holding_jobs=50)
    expired, ended = ([submit(jobs, caller).job_id for _ in range(n)] for n in (2 * FORGOTTEN_AT_ONCE, 3))
    for job_id in (*expired, *ended):
        jobs.abort(job_id)
    jobs._redis.delete(*map(keys.job, expired))
    jobs._settings = replace(jobs.settings, kept_jobs=3)
    made = [submit(jobs, caller).job_id for _ in range(3)]
    kept = {job_id for job_id, _ in jobs._redis.scored(keys.jobs_of(caller.org_id, "jobs"), "-inf", "+inf", 100)}
    assert kept == set(made)


def test_sessions_are_sealed_with_the_newest_key(jobs: JobStore, caller: CallerContext) -> None:
    """After a change of keys, once: then the older key is not needed. A session lives no longer for it."""
    job_id, key = submit(jobs, caller).job_id, Fernet.generate_key().decode()
    context = f"quotejob:job:{job_id}:context"
    jobs._redis.expire(context, 500)
    both = JobStore(jobs._redis, replace(jobs.settings, secret_keys=(key, *jobs.settings.secret_keys)))
    newest = JobStore(jobs._redis, replace(jobs.settings, secret_keys=(key,)))
    with pytest.raises(SessionExpired):
        newest.context(job_id)
    assert (both.seal_anew(), both.seal_anew()) == (1, 0)
    assert newest.context(job_id) == caller
    assert 0 < jobs._redis.ttl(context) <= 500
