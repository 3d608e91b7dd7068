"""A Redis that accepts no writes, or should get no new jobs: what each client of it does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import redis
from _callers import new_caller
from cryptography.fernet import Fernet

from quotejob.errors import StoreUnavailable
from quotejob.jobs.job import Status
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import intake, scripts
from quotejob.store.client import RedisClient, accepts_no_writes
from quotejob.testing import redis_server
from tasks import broker
from tasks.app import app


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server for one test, also for Celery's settings."""
    with redis_server.private(durable=True) as url:
        monkeypatch.setenv("REDIS_URL", url)
        yield url


@pytest.fixture
def client(url: str) -> RedisClient:
    return store.client(url, attempts=1)


def fill(client: RedisClient) -> None:
    client.config_set("maxmemory", client.info("memory")["used_memory"] // 2)


def make_room(client: RedisClient) -> None:
    client.config_set("maxmemory", 0)


@pytest.mark.parametrize(
    "words",
    [
        "command not allowed when used memory > 'maxmemory'.",  # any of them; redis-py has removed the OOM before it
        "Error running script (call to f_5f): @user_script:3: -OOM command not allowed when used memory > 'maxmemory'.",
        "OOM command not allowed when used memory > 'maxmemory'. script: 5f, on @user_script:3.",  # Redis 7, Valkey
        "allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
        "Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.",
        "MISCONF Errors writing to the AOF file: No space left on device",
        "You can't write against a read only replica.",
    ],
)
def test_all_ways_to_say_that_no_write_is_accepted(words: str) -> None:
    assert accepts_no_writes(redis.ResponseError(words))
    assert accepts_no_writes(redis.exceptions.ExecAbortError(words))
    assert not accepts_no_writes(redis.ConnectionError(words))
    assert not accepts_no_writes(redis.ResponseError("WRONGTYPE Operation against a key"))


WAYS: dict[str, Callable[[RedisClient], object]] = {
    "a command": lambda client: client.set("a", "b"),
    "a transaction": lambda client: client.pipeline().set("a", "b").set("c", "d").execute(),  # type: ignore[union-attr]
    "a pipeline": lambda client: client.pipeline(transaction=False).set("a", "b").execute(),  # type: ignore[union-attr]
    "a script": lambda client: scripts.run(client, "run/alive", process="p", ends=False),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_worker_waits_for_room(client: RedisClient, way: str) -> None:
    """Without patience there is an error at once; with patience, what is sent succeeds as soon as there is room."""
    fill(client)
    with pytest.raises(StoreUnavailable, match="Redis is full"):
        WAYS[way](client)
    client.patience = 60.0
    done = threading.Event()

    def write() -> None:
        WAYS[way](client)
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert not done.wait(1.5)
    make_room(client)
    assert done.wait(30)
    thread.join(30)
    assert client.exists("a", "quotejob:processes") == 1


def test_a_message_that_is_done_is_deleted_although_redis_is_full(url: str, client: RedisClient) -> None:
    """Otherwise a worker would take fewer messages from then on. One that is to be sent is an error of ours."""
    queue = next(queue for queue in app.conf.task_queues if queue.name == "pages")
    with app.connection(url) as connection:
        connection.default_channel.basic_qos(0, 1, False)
        producer = connection.Producer()
        for number in range(2):
            producer.publish({"number": number}, routing_key="pages", declare=[queue])
        taken = []
        with connection.Consumer(queue, callbacks=[lambda _, message: taken.append(message)]):
            connection.drain_events(timeout=10)
            fill(client)
            taken[0].ack()
            assert client.hlen("unacked") == 0
            with pytest.raises(StoreUnavailable, match="Redis is full"):
                producer.publish({"number": 2}, routing_key="pages")
            make_room(client)
            connection.drain_events(timeout=10)
        assert [message.payload["number"] for message in taken] == [0, 1]


def test_the_broker_waits_in_a_worker(url: str, client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker does in its broker waits for room. If there is none for long, it is a connection error."""
    monkeypatch.setattr(broker, "_patience", 1.0)
    fill(client)
    with app.connection(url) as connection:
        channel = connection.default_channel
        with pytest.raises(redis.ConnectionError, match="Redis is full"):
            channel.client.sadd("bindings", "pages")
        monkeypatch.setattr(broker, "_patience", 60.0)
        timer = threading.Timer(1.0, make_room, [client])
        timer.start()
        channel.client.sadd("bindings", "pages")
        timer.join()
        assert client.members("bindings") == {"pages"}


@pytest.fixture
def services(url: str, client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setattr(intake, "LOOK_AGAIN", 0.0)
    return Services(Settings(redis_url=url, secret_keys=(Fernet.generate_key().decode(),)), client)


def submit(services: Services) -> str:
    return services.jobs.submit(new_caller(), "BatchQuote", soql_where_clause="Name = 'x'")[0].job_id


def test_no_jobs_are_accepted_before_redis_is_full(services: Services, client: RedisClient) -> None:
    """Above the limit a submit and a resume are refused, while what runs can still write."""
    caller = new_caller()
    ended, _ = services.jobs.submit(caller, "BatchQuote", soql_where_clause="Name = 'x'")
    services.jobs.abort(ended.job_id)
    used = client.info("memory")["used_memory"]
    client.config_set("maxmemory", int(used / 0.95))
    with pytest.raises(StoreUnavailable, match=r"nearly full.*QUOTEJOB_REDIS_FULL_AT"):
        submit(services)
    with pytest.raises(StoreUnavailable, match="nearly full"):
        services.jobs.resume(ended.job_id, caller)
    services.jobs.explain(ended.job_id, "a write")
    client.config_set("maxmemory", used * 2)
    assert submit(services)
    assert services.jobs.resume(ended.job_id, caller).status is Status.HOLDING


@pytest.mark.parametrize(("name", "value", "words"), [
    ("maxmemory-policy", "allkeys-lru", "evicts keys.*noeviction"),
    ("maxmemory-policy", "volatile-ttl", "evicts keys.*noeviction"),
    ("appendonly", "no", "append-only file.*appendonly to yes"),
])  # fmt: skip
def test_no_jobs_are_accepted_into_a_redis_that_may_lose_them(
    services: Services, client: RedisClient, name: str, value: str, words: str
) -> None:
    """Unless a setting allows it. The message says both ways out."""
    client.config_set(name, value)
    with pytest.raises(StoreUnavailable, match=f"{words}.*QUOTEJOB_REDIS_MAY_FORGET"):
        submit(services)
    assert submit(replace(services, settings=replace(services.settings, redis_may_forget=True)))


def test_what_redis_says_of_itself_is_kept_for_a_moment(
    services: Services, client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many submissions ask once."""
    monkeypatch.setattr(intake, "LOOK_AGAIN", 3600.0)
    before = client.info("commandstats").get("cmdstat_info", {"calls": 0})["calls"]
    for _ in range(5):
        submit(services)
    assert client.info("commandstats")["cmdstat_info"]["calls"] - before == 3  # memory, persistence, and the one before
