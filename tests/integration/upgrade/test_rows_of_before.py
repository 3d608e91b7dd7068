"""What the version before left in Redis is read by this one, and goes on."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis

from quotejob import testing
from quotejob.jobs.job import Status
from quotejob.jobtypes.quotes import packed
from quotejob.run.outstanding import Outstanding, outstanding
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import client as store

# Written by the code of 59eb281: a job that is Processing with one of two pages reported, one that waits for it and for
# a time, a schedule. Each key of Redis with its type and value, bytes in base64.
LEFT: dict[str, Any] = json.loads((Path(__file__).parent / "rows_of_the_version_before.json").read_text())


@pytest.fixture
def services() -> Any:
    """The stores of this version on what the one before left."""
    with testing.private_redis() as url, store.client(url, attempts=1) as client:
        for key, kept in LEFT["keys"].items():
            put(client, key, kept["type"], kept["value"])
        yield Services(Settings(url, (LEFT["key"],)), client)


def put(client: redis.Redis, key: str, kind: str, value: Any) -> None:
    """Write one key as it was."""
    match kind:
        case "hash":
            client.hset(key, mapping={name: raw(each) for name, each in value.items()})
        case "string":
            client.set(key, raw(value))
        case "zset":
            client.zadd(key, dict(value))
        case "set":
            client.sadd(key, *value)
        case _:
            raise AssertionError(kind)


def raw(value: Any) -> bytes:
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else str(value).encode()


def test_jobs_are_read(services: Services) -> None:
    """Their fields, what they wait for, their session."""
    job, child = services.jobs.get_many([LEFT["job"], LEFT["child"]])
    assert (job.job_type, job.status, job.waves, job.total, job.skipped, job.api_calls) == (
        "BatchQuote", Status.PROCESSING, 1, 3, 1, 4,
    )  # fmt: skip
    assert job.created_date.tzinfo is not None
    assert (child.status, child.depends_on, child.not_before) == (
        Status.HOLDING, (LEFT["job"],), datetime(2031, 5, 1, tzinfo=UTC),
    )  # fmt: skip
    assert [waiting.job_id for waiting in child.waiting_for] == [LEFT["job"], None]
    assert services.jobs.context(LEFT["job"]).access_token == "00DRO0000000001!kept.sealed"
    assert [each.job_id for each in services.search.recent(job.org_id)[0]] == [LEFT["child"], LEFT["job"]]


def test_what_its_steps_left_is_read(services: Services) -> None:
    """Pages, receipts, priced quotes with exact decimals, batches, results; so it is known what is outstanding."""
    progress, job = services.progress, services.jobs.get(LEFT["job"])
    assert [progress.page(job.job_id, page) for page in (0, 1)] == [["006a", "006b"], ["006c"]]
    [quote] = packed.unpack(progress.priced(job.job_id, 0) or b"")
    assert (quote.lines[0].unit_price, quote.lines[0].discount) == (Decimal("90.00"), Decimal("0.10"))
    assert (progress.batch_count(job.job_id, 0), progress.batch(job.job_id, 0, 0)) == (1, {"0": ["006a"]})
    [result] = services.results.stream(job.job_id)
    assert (result.record_id, result.outcome, result.code) == ("006b", Outcome.SKIPPED, "NO_LINES")
    assert outstanding(job, progress) == [Outstanding("pages", 0, (1,))]


def test_the_job_goes_on_to_its_end_and_its_child_follows(services: Services) -> None:
    """Begun by the version before, ended by this one."""
    job_id, progress = LEFT["job"], services.progress
    progress.record_page(job_id, 0, Receipt("1", (Result("006c", Outcome.FAILED, code="X", message="y"),)))
    written = Receipt("0.0", (Result("006a", Outcome.SUCCEEDED, "0Q0a"),), pages={0: (1, 0)})
    assert progress.record_batch(job_id, 0, written)
    job = services.jobs.get(job_id)
    assert outstanding(job, progress) == [Outstanding("finish")]
    assert services.jobs.move(job_id, Status.COMPLETED)
    assert (job.succeeded, job.skipped, job.failed, job.job_items_processed) == (1, 1, 1, 2)
    assert [waiting.job_id for waiting in services.jobs.get(LEFT["child"]).waiting_for] == [None]  # only for its time


def test_schedules_are_read(services: Services) -> None:
    """With their next fire time, in their zone."""
    schedule = services.schedules.get(LEFT["schedule"])
    assert (schedule.name, schedule.time_zone, schedule.guaranteed) == ("Nightly", "Europe/Zurich", True)
    assert schedule.end_time == datetime(2040, 1, 1, tzinfo=UTC)
    assert schedule.next_fire_time is not None
    assert services.schedules.pause(schedule.schedule_id, schedule.org_id).state == "PAUSED"
