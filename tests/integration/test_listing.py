"""Lists of jobs: filtered and sorted as a plain list would be, page by page, while others are added."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from _callers import new_caller
from cryptography.fernet import Fernet
from msgspec import structs

from quotejob import clock
from quotejob.errors import InvalidRequest
from quotejob.jobs.job import BuiltIn, Job, Status
from quotejob.jobs.listing import JobFilter, Order, Sort, Sorting
from quotejob.jobs.search import JobSearch
from quotejob.jobs.store import JobStore
from quotejob.salesforce.caller import CallerContext
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys
from quotejob.store.client import RedisClient

NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)
SCHEDULES, PARENTS = [str(uuid.uuid4()) for _ in range(3)], [str(uuid.uuid4()) for _ in range(3)]
REASONS = [None, "UNABLE_TO_LOCK_ROW: Straße 1", "Aborted on request", "100 % of (it)\\"]
FILTERS = [
    JobFilter(),
    JobFilter(statuses=frozenset([Status.FAILED, Status.COMPLETED])),
    JobFilter(job_types=frozenset([BuiltIn.SAMPLE_DATA_CREATE])),
    JobFilter(created_from=NOON + timedelta(seconds=10), created_to=NOON + timedelta(seconds=60)),
    JobFilter(created_from=NOON + timedelta(seconds=30), created_to=NOON + timedelta(seconds=30)),
    JobFilter(created_from=datetime(1, 1, 1, tzinfo=UTC), created_to=datetime(9999, 12, 31, tzinfo=UTC)),
    JobFilter(completed_from=NOON + timedelta(seconds=100)),
    JobFilter(completed_to=NOON + timedelta(seconds=100)),
    JobFilter(schedule_id=SCHEDULES[0]),
    JobFilter(parent_id=PARENTS[1]),
    JobFilter(extended_status="lock_row: STRASSE"),
    JobFilter(extended_status="% of (it)\\"),
    JobFilter(extended_status="straße"),
    JobFilter(created_from=NOON + timedelta(seconds=30)),
    JobFilter(statuses=frozenset([Status.FAILED]), schedule_id=SCHEDULES[1], extended_status="a"),
]
SORTINGS = [Sorting(sort, order) for sort in Sort for order in Order]


@pytest.fixture(scope="module")
def jobs(redis_url: str) -> JobStore:
    settings = Settings(redis_url=redis_url, secret_keys=(Fernet.generate_key().decode(),))
    return JobStore(store.client(redis_url, attempts=1), settings)


def put(jobs: JobStore, job: Job) -> Job:
    """Leave a job in Redis as one that has gone through all of that."""
    described = {
        "jobType": job.job_type, "status": job.status, "orgId": job.org_id, "createdById": job.created_by_id,
        "createdDate": job.created_date.isoformat(), "extendedStatus": job.extended_status,
        "startedDate": job.started_date and job.started_date.isoformat(),
        "completedDate": job.completed_date and job.completed_date.isoformat(),
        "scheduleId": job.schedule_id, "dependsOn": ",".join(job.depends_on),
    }  # fmt: skip
    client: RedisClient = jobs._redis
    kept: dict[Any, Any] = {name: value for name, value in described.items() if value}
    client.hset(keys.job(job.job_id), mapping=kept)
    client.expire(keys.job(job.job_id), 600)
    client.zadd(keys.jobs_of(job.org_id, "jobs"), {job.job_id: clock.us(job.created_date)})
    return job


def some(org_id: str, count: int, seed: int = 1) -> list[Job]:
    """Jobs of every kind; many of one moment, many with nothing to be sorted by."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        started = chance.choice([None, NOON + timedelta(seconds=chance.randrange(50, 60))])
        completed = started and chance.choice([None, started + timedelta(seconds=chance.randrange(30, 60))])
        found.append(
            Job(
                job_id=str(uuid.UUID(int=chance.getrandbits(128))), job_type=chance.choice(list(BuiltIn)),
                status=chance.choice(list(Status)), org_id=org_id, created_by_id="u",
                created_date=NOON + timedelta(microseconds=chance.choice([30_000_000, chance.randrange(90_000_000)])),
                extended_status=chance.choice(REASONS), started_date=started, completed_date=completed,
                schedule_id=chance.choice([None, *SCHEDULES]),
                depends_on=tuple(chance.sample(PARENTS, chance.choice([0, 0, 1, 2]))),
            )
        )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def many(jobs: JobStore) -> list[Job]:
    """Some hundreds, most of them created in one microsecond."""
    return [put(jobs, job) for job in some(new_caller().org_id, 700)]


def expected(jobs: list[Job], wanted: JobFilter, sorting: Sorting) -> list[str]:
    """The plain model: everything, filtered and sorted in Python, word for word as it is documented."""

    def asked(job: Job) -> bool:
        text = wanted.extended_status and wanted.extended_status.casefold()
        return (
            (not wanted.statuses or job.status in wanted.statuses)
            and (not wanted.job_types or job.job_type in wanted.job_types)
            and (not wanted.created_from or wanted.created_from <= job.created_date)
            and (not wanted.created_to or job.created_date < wanted.created_to)
            and (not wanted.completed_from or bool(job.completed_date and wanted.completed_from <= job.completed_date))
            and (not wanted.completed_to or bool(job.completed_date and job.completed_date < wanted.completed_to))
            and (not wanted.schedule_id or job.schedule_id == wanted.schedule_id)
            and (not wanted.parent_id or wanted.parent_id in job.depends_on)
            and (not text or text in (job.extended_status or "").casefold())
        )

    def value(job: Job) -> datetime | int | None:
        match sorting.sort:
            case Sort.STATUS:
                return list(Status).index(job.status)
            case Sort.JOB_TYPE:
                return [str(each) for each in BuiltIn].index(job.job_type)
            case _:
                found: datetime | None = getattr(job, sorting.sort.replace("Date", "_date"))
                return found

    chosen = sorted(filter(asked, jobs), key=lambda job: (job.created_date, job.job_id))
    have = [job for job in chosen if value(job) is not None]
    lack = [job for job in chosen if value(job) is None]
    have.sort(key=value)  # type: ignore[arg-type]  # none of these is None
    if sorting.order is Order.DESCENDING:
        have.reverse()
        lack.reverse()
    return [job.job_id for job in have + lack]


def walk(jobs: JobStore, org_id: str, wanted: JobFilter, sorting: Sorting, limit: int) -> Iterator[list[str]]:
    cursor = None
    while True:
        found, cursor = JobSearch(jobs._redis, jobs).recent(org_id, wanted, sorting, limit=limit, cursor=cursor)
        assert len(found) == limit or cursor is None
        yield [job.job_id for job in found]
        if cursor is None:
            return


@pytest.mark.parametrize("sorting", SORTINGS, ids=lambda sorting: f"{sorting.sort} {sorting.order}")
def test_every_filter_in_every_order_is_what_a_plain_list_gives(
    jobs: JobStore, many: list[Job], sorting: Sorting
) -> None:
    """Page by page; the end of it has no cursor."""
    org_id = many[0].org_id
    for wanted in FILTERS:
        found = [job_id for page in walk(jobs, org_id, wanted, sorting, 97) for job_id in page]
        assert found == expected(many, wanted, sorting), wanted
        scanned = [job.job_id for job in JobSearch(jobs._redis, jobs).scan(org_id, wanted, ())]
        assert sorted(scanned) == sorted(found)
    assert len(expected(many, FILTERS[4], sorting)) == 0
    assert all(expected(many, wanted, sorting) for wanted in FILTERS[:4] + FILTERS[5:])


@pytest.mark.parametrize("sorting", SORTINGS, ids=lambda sorting: f"{sorting.sort} {sorting.order}")
def test_no_job_comes_twice_or_is_missed_while_others_come_and_go(jobs: JobStore, sorting: Sorting) -> None:
    """Between two pages some are added anywhere in the order, and some are no longer kept."""
    org_id = new_caller().org_id
    there = [put(jobs, job) for job in some(org_id, 60, seed=2)]
    gone = {job.job_id for job in there[::9]}
    seen: list[str] = []
    for number, page in enumerate(walk(jobs, org_id, JobFilter(), sorting, 7)):
        seen += page
        for job in some(org_id, 5, seed=100 + number) if number < 5 else []:
            put(jobs, job)
        if number == 1:
            for job_id in gone:
                jobs._redis.delete(keys.job(job_id))
    stayed = [job_id for job_id in expected(there, JobFilter(), sorting) if job_id not in gone]
    assert len(seen) == len(set(seen))
    assert [job_id for job_id in seen if job_id in set(stayed)] == stayed


def test_a_list_read_in_one_go_has_no_job_twice_while_others_are_added(jobs: JobStore) -> None:
    """The newest ones push all others back in the list; a reading goes by place and not by count."""
    org_id = new_caller().org_id
    there = [put(jobs, job) for job in some(org_id, 1100, seed=3)]
    scanned = []
    for job in JobSearch(jobs._redis, jobs).scan(org_id, JobFilter(), ()):
        scanned.append(job.job_id)
        if len(scanned) == 300:
            for newer in some(org_id, 400, seed=4):
                put(jobs, structs.replace(newer, created_date=NOON + timedelta(hours=1)))
    assert sorted(scanned) == sorted(job.job_id for job in there)


def test_a_list_that_ends_with_its_page_has_no_cursor(jobs: JobStore) -> None:
    """And a job that is no longer kept leaves the list when that is read."""
    org_id = new_caller().org_id
    there = [put(jobs, job) for job in some(org_id, 4, seed=5)]
    assert [JobSearch(jobs._redis, jobs).recent(org_id, sorting=sorting, limit=4)[1] for sorting in SORTINGS] == [
        None
    ] * len(SORTINGS)
    jobs._redis.delete(keys.job(there[0].job_id))
    assert len(JobSearch(jobs._redis, jobs).recent(org_id)[0]) == 3
    assert jobs._redis.zscore(keys.jobs_of(org_id, "jobs"), there[0].job_id) is None


def test_a_cursor_is_for_its_own_order(jobs: JobStore, many: list[Job]) -> None:
    """With another sort or order it would name another place: it is refused."""
    org_id = many[0].org_id
    for sorting in SORTINGS:
        cursor = JobSearch(jobs._redis, jobs).recent(org_id, sorting=sorting, limit=3)[1]
        for other in SORTINGS:
            if other != sorting:
                with pytest.raises(InvalidRequest, match="cursor"):
                    JobSearch(jobs._redis, jobs).recent(org_id, sorting=other, cursor=cursor)


def test_a_span_that_ends_before_it_begins_is_refused(caller: CallerContext) -> None:
    """And the refusal names the parameter."""
    for name in ("created", "completed"):
        span: dict[str, Any] = {f"{name}_from": NOON, f"{name}_to": NOON - timedelta(microseconds=1)}
        with pytest.raises(InvalidRequest, match=f"{name}From"):
            JobFilter(**span)


@pytest.mark.parametrize("field", ["status", "dependsOnOutcome", "waves"])
def test_a_job_that_only_another_version_can_read_hides_no_other(jobs: JobStore, field: str) -> None:
    """The words and numbers that it has are not those of this version: lists and figures go on without it."""
    org_id = new_caller().org_id
    first, strange, last = (put(jobs, job) for job in some(org_id, 3))
    jobs._redis.hset(keys.job(strange.job_id), field, "Suspended")
    search, there = JobSearch(jobs._redis, jobs), {first.job_id, last.job_id}
    assert {job.job_id for job in jobs.get_many([first.job_id, strange.job_id, last.job_id])} == there
    assert {job.job_id for job in search.recent(org_id)[0]} == there
    assert {job.job_id for job in search.scan(org_id, fields=[field])} == there
    jobs._redis.hdel(keys.job(strange.job_id), field)
    if field == "status":
        jobs._redis.hset(keys.job(strange.job_id), "status", strange.status)
    assert {job.job_id for job in search.scan(org_id)} == there | {strange.job_id}, "it is kept for the other version"
