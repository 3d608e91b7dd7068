"""/metrics: what it counts, who may read it, and that it is the same from every process."""

from __future__ import annotations

from dataclasses import replace

import pytest
from _api import Headers, accepted, submit
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from api import create_app
from quotejob import tally
from quotejob.jobs.job import Status
from quotejob.jobs.store import JobStore
from quotejob.metrics import reading
from quotejob.run.progress import Progress
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys
from quotejob.store.client import RedisClient

Labels = tuple[tuple[str, str], ...]
Samples = dict[tuple[str, Labels], float]
TOKEN = "a-token-of-the-operator"


@pytest.fixture
def redis(settings: Settings) -> RedisClient:
    """A client. What was counted before does not count."""
    client = store.connect(settings)
    accepted_clauses = list(client.scan_iter("quotejob:clause:*"))  # the org is not asked about these
    client.delete(keys.METRICS, keys.API_CALLS, keys.HOLDING_TYPES, keys.WORKERS, *accepted_clauses)
    return client


def read(client: FlaskClient) -> Samples:
    """Return every sample, by its name and labels."""
    tally.hand_on()
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for each in families
        for sample in each.samples
    }


def jobs_of(samples: Samples, status: str, name: str = "quotejob_jobs") -> float:
    return samples[name, (("job_type", "BatchQuote"), ("status", status))]


def test_jobs_and_records_are_counted(
    client: FlaskClient, headers: Headers, store_of_jobs: JobStore, redis: RedisClient
) -> None:
    """Those that have not ended by status and type, each move, each record; a refused second receipt does not count."""
    before = read(client)
    job_id = accepted(submit(client, headers()))
    samples = read(client)
    assert jobs_of(samples, "Holding") == jobs_of(before, "Holding") + 1
    assert samples["quotejob_queue_orgs", ()] >= 1
    assert samples["quotejob_queue_longest", ()] >= 1
    org_id = store_of_jobs.get(job_id).org_id
    assert store_of_jobs.promote(org_id) == [job_id]
    assert jobs_of(read(client), "Queued") == 1
    store_of_jobs.move(job_id, Status.PREPARING)
    progress = Progress(redis)
    progress.store_plan(job_id, [["a", "b"]], 1, lambda: 1)
    store_of_jobs.move(job_id, Status.PROCESSING)
    results = (Result("a", Outcome.SUCCEEDED, "0Q0"), Result("b", Outcome.FAILED, code="X"))
    for _ in range(2):
        progress.record_page(job_id, 0, Receipt("0", results))
    samples = read(client)
    assert jobs_of(samples, "Processing") == 1
    assert samples["quotejob_records_total", (("outcome", "succeeded"),)] == 1
    assert samples["quotejob_records_total", (("outcome", "failed"),)] == 1
    assert samples["quotejob_quotes_created_total", ()] == 1
    store_of_jobs.move(job_id, Status.COMPLETED)
    samples = read(client)
    assert jobs_of(samples, "Processing") == 0
    for status in ("Holding", "Queued", "Preparing", "Processing", "Completed"):
        assert jobs_of(samples, status, "quotejob_job_moves_total") == 1
    assert jobs_of(samples, "Failed", "quotejob_job_moves_total") == 0


def test_requests_are_counted(client: FlaskClient, headers: Headers, redis: RedisClient, settings: Settings) -> None:
    """To the API and to the org, by any process; another web process shows the same."""
    for _ in range(2):
        accepted(submit(client, headers()))
    client.get("/nonsense")
    samples = read(client)
    assert samples["quotejob_http_requests_total", (("operation", "executeBatch"), ("status", "202"))] == 2
    assert samples["quotejob_http_requests_total", (("operation", "-"), ("status", "404"))] == 1
    assert samples["quotejob_http_request_seconds_count", (("operation", "executeBatch"),)] == 2
    assert samples["quotejob_http_request_seconds_sum", (("operation", "executeBatch"),)] > 0
    edges = [
        value for (name, labels), value in samples.items() if name.endswith("_bucket") and "executeBatch" in str(labels)
    ]
    assert edges == sorted(edges)
    assert edges[-1] == 2
    assert samples["quotejob_org_requests_total", (("outcome", "ok"), ("resource", "query"))] == 1
    assert 0 < samples["quotejob_org_api_calls_left_share_lowest", ()] <= 1
    other = read(create_app(settings).test_client())
    for name, value in samples.items():
        if name[0].startswith(("quotejob_org", "quotejob_job", "quotejob_queue_l")):
            assert other[name] == value


def test_an_org_is_named_only_if_asked_for(client: FlaskClient, headers: Headers, settings: Settings) -> None:
    """By its host, with QUOTEJOB_METRICS_ORGS."""
    accepted(submit(client, headers()))
    tally.hand_on()
    assert "127.0.0.1" not in client.get("/metrics").text
    named = create_app(replace(settings, metrics_orgs=True)).test_client().get("/metrics").text
    assert 'quotejob_org_api_calls_left{org="127.0.0.1' in named


def test_types_are_counted_again_after_an_older_version(
    client: FlaskClient, headers: Headers, redis: RedisClient
) -> None:
    """It has left jobs in the queue and no count of their types."""
    accepted(submit(client, headers()))
    accepted(client.post("/api/data/delete", headers=headers()))
    right = read(client)
    held = sum(value for (name, labels), value in right.items() if name == "quotejob_jobs" and "Holding" in str(labels))
    assert held == redis.zcard(keys.HOLDING)
    redis.delete(keys.HOLDING_TYPES)
    assert read(client)["quotejob_jobs", (("job_type", "BatchQuote"), ("status", "Holding"))] == jobs_of(
        right, "Holding"
    )
    redis.hincrby(keys.HOLDING_TYPES, "BatchQuote", -1000)
    redis.hincrby(keys.HOLDING_TYPES, "x", 1000)
    assert jobs_of(read(client), "Holding") == jobs_of(right, "Holding")


def test_workers_are_counted_while_they_give_signs(client: FlaskClient, redis: RedisClient) -> None:
    for worker in ("worker1@host", "worker2@host", "worker1@host"):
        reading.note_alive(redis, worker)
    assert read(client)["quotejob_workers", ()] == 2
    redis.zincrby(keys.WORKERS, -1000 * (reading.WORKER_ALIVE + 1), "worker2@host")
    assert read(client)["quotejob_workers", ()] == 1


def test_a_unit_nobody_holds_is_counted(
    client: FlaskClient, headers: Headers, store_of_jobs: JobStore, redis: RedisClient
) -> None:
    """One whose lease has run out; and its job, once it is silent."""
    job_id = accepted(submit(client, headers()))
    store_of_jobs.promote(store_of_jobs.get(job_id).org_id)
    redis.hset(
        keys.job(job_id, "leases"), mapping={"page 0 0": "x 1000 9000", "page 0 1": "y 99999999999999 99999999999999"}
    )
    samples = read(client)
    assert (samples["quotejob_units_unheld", ()], samples["quotejob_jobs_silent", ()]) == (1, 0)
    redis.zincrby(keys.OPEN, -1000 * (reading.JOB_SILENT + 1), job_id)
    assert read(client)["quotejob_jobs_silent", ()] == 1


@pytest.mark.parametrize(
    ("address", "extra", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("10.1.2.3", {}, 403),
        ("10.1.2.3", {"Authorization": f"Bearer {TOKEN}"}, 200),
        ("10.1.2.3", {"Authorization": "Bearer another-token-of-16"}, 403),
        ("10.1.2.3", {"Authorization": TOKEN}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "10.1.2.3"}, 403),
        ("127.0.0.1", {"Forwarded": "for=10.1.2.3"}, 403),
        ("127.0.0.1", {"X-Real-IP": "10.1.2.3"}, 403),
        ("127.0.0.1", {"Host": "a-foreign-page.example"}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "10.1.2.3", "Authorization": f"Bearer {TOKEN}"}, 200),
    ],
)
@pytest.mark.parametrize("token", [TOKEN, None])
@pytest.mark.parametrize("behind_proxy", [False, True])
def test_who_may_read(
    settings: Settings, address: str, extra: dict[str, str], status: int, token: str | None, behind_proxy: bool
) -> None:
    """This machine itself, without a proxy between; everybody else with the token, if there is one."""
    client = create_app(replace(settings, metrics_token=token, behind_proxy=behind_proxy)).test_client()
    answer = client.get("/metrics", headers=extra, environ_base={"REMOTE_ADDR": address})
    has_token = token is not None and extra.get("Authorization") == f"Bearer {TOKEN}"
    if not has_token and (behind_proxy or "Authorization" in extra):
        status = 403
    assert answer.status_code == status
    if status == 403:
        assert answer.get_json()["code"] == "METRICS_CLOSED"
        assert "quotejob_" not in answer.text


def test_it_takes_as_long_with_many_ended_jobs(
    client: FlaskClient, redis: RedisClient, store_of_jobs: JobStore
) -> None:
    """It asks Redis for the same number of things: no ended job is looked at."""

    def commands() -> int:
        redis.config_resetstat()
        read(client)
        return sum(each["calls"] for each in redis.info("commandstats").values())

    few = commands()
    pipe = redis.pipeline(transaction=False)
    for number in range(1000):
        pipe.hset(keys.job(f"ended-{number}"), mapping={"status": "Completed", "jobType": "BatchQuote", "orgId": "o"})
        pipe.zadd(keys.jobs_of("o", "jobs"), {f"ended-{number}": number})
    pipe.execute()
    assert commands() <= few + 20
    redis.delete(keys.jobs_of("o", "jobs"), *(keys.job(f"ended-{number}") for number in range(1000)))
