"""What an operator sees of a running job, and what nobody must see: the caller's access token."""

from __future__ import annotations

import base64
import json
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator

import pytest
import redis
import requests
import zstandard

from cli.client import Api
from harness.org_reader import OrgReader
from harness.process import ROOT
from harness.stack import CELERY, Stack

FLOWER_PAGES = ("/", "/workers", "/tasks", "/broker", "/metrics", "/api/tasks", "/api/workers")


@pytest.fixture
def slow_org(stack: Stack) -> Iterator[None]:
    """Every write of quotes takes some seconds longer, so that a job can be looked at while it runs."""
    assert stack.org
    faults = f"{stack.org.url}/localorg/faults"
    slow = {"match": {"resource": "composite/graph"}, "kind": "slow", "probability": 1, "seconds": 5}
    requests.post(faults, json=slow, timeout=10).raise_for_status()
    yield
    requests.post(faults, json={"clear": True}, timeout=10).raise_for_status()


def celery(stack: Stack, *words: str) -> str:
    """What `celery -A tasks ...` prints; it must succeed."""
    done = subprocess.run([*CELERY, *words], cwd=ROOT, env=stack.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def flower(stack: Stack, path: str) -> str:
    """One page of Flower's."""
    answer = requests.get(stack.flower_url + path, timeout=20)
    assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:300]}"
    return answer.text


def everything_in(client: redis.Redis) -> Iterator[tuple[str, bytes]]:
    """Every value in Redis, as bytes, with its key; compressed ones unpacked."""
    for key in client.scan_iter(count=500):
        yield key.decode(), key
        kind = client.type(key)
        values: list[bytes] = []
        if kind == b"string":
            values = [client.get(key) or b""]
        elif kind == b"hash":
            values = [part for pair in client.hgetall(key).items() for part in pair]
        elif kind == b"list":
            values = client.lrange(key, 0, -1)
        elif kind == b"set":
            values = list(client.smembers(key))
        elif kind == b"zset":
            values = client.zrange(key, 0, -1)
        elif kind == b"stream":
            values = [str(entry).encode() for entry in client.xrange(key)]
        for value in values:
            yield key.decode(), value
            if value.startswith(b"\x28\xb5\x2f\xfd"):  # a zstandard frame
                yield key.decode(), zstandard.ZstdDecompressor().decompressobj().decompress(value)


def spellings(secret: str) -> list[bytes]:
    """The secret as it may stand in text: plain, quoted for a URL, and in base64 at each of three offsets."""
    found = [secret.encode(), urllib.parse.quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode()]
    for offset in range(3):
        whole = base64.b64encode(b"x" * offset + secret.encode())
        found.append(whole[4:-4])  # without the edges that depend on the neighbours
    return found


@pytest.mark.timeout(180)
def test_a_running_job_is_seen_everywhere_and_its_token_nowhere(
    stack: Stack, api: Api, reader: OrgReader, slow_org: None, name: str, make_opportunity: Callable[..., str]
) -> None:
    """status, inspect, Flower and its metrics show the job; they, the logs and Redis never show the token."""
    assert stack.org
    assert stack.redis_url
    for number in range(3):
        make_opportunity(f"{name} {number}", 2)
    seen: dict[str, str] = {"status": celery(stack, "status")}
    client = redis.Redis.from_url(stack.redis_url)
    dumped: list[tuple[str, bytes]] = []
    for _ in range(5):
        job_id = api.submit(f"Name LIKE '{name}%'")
        until = time.monotonic() + 20
        while api.job(job_id)["status"] != "Processing" and time.monotonic() < until:
            dumped += everything_in(client)
            time.sleep(0.05)
        dumped += everything_in(client)
        seen["inspect active"] = celery(stack, "inspect", "active")
        if job_id in seen["inspect active"]:
            break
    assert job_id in seen["inspect active"]
    assert "worker1@" in seen["status"]
    assert "worker2@" in seen["status"]
    for path in FLOWER_PAGES:
        seen[path] = flower(stack, path)
    for words in ("reserved", "stats", "conf"):
        seen[f"inspect {words}"] = celery(stack, "inspect", words)
    dumped += everything_in(client)
    assert api.follow(job_id)["status"] == "Completed"
    dumped += everything_in(client)
    seen["results"] = str(api.results(job_id)) + str(api.job(job_id)) + str(api.get("/api/jobs"))

    assert "worker1@" in seen["/workers"]
    assert job_id in seen["/api/tasks"]
    assert "flower_events_total" in seen["/metrics"]
    assert "flower_worker_online" in seen["/metrics"]
    task = next(iter(json.loads(seen["/api/tasks"])))
    seen["task page"] = flower(stack, f"/task/{task}")

    for place, text in seen.items():
        for spelling in spellings(stack.org.token):
            assert spelling not in text.encode(), f"the token stands in {place}"
    assert any(job_id.encode() in value for _, value in dumped)  # or the search was empty
    assert any(job_id in log.read_text() for log in stack.folder.glob("worker*.log"))
    for key, value in dumped:
        for spelling in spellings(stack.org.token):
            assert spelling not in value, f"the token stands in clear in Redis under {key}"
    for log in stack.folder.glob("*.log"):
        for spelling in spellings(stack.org.token):
            assert spelling not in log.read_bytes(), f"the token stands in {log.name}"


def test_the_log_tells_the_run(stack: Stack, api: Api, name: str, make_opportunity: Callable[..., str]) -> None:
    """The lines of the reference sample, each with the job's id."""
    make_opportunity(f"{name} logged", 2)
    job_id = api.submit(f"Name LIKE '{name}%'")
    assert api.follow(job_id)["status"] == "Completed"
    wanted = (
        f"Worker received job with ID: {job_id} for SOQL WHERE clause: Name LIKE '{name}%'",
        "Processing 1 Opportunities",
        "Submitting UnitOfWork to create 1 Quotes and 2 Line Items",
        f"Job processing completed for Job ID: {job_id}. Results: 1 succeeded, 0 failed.",
    )

    def lines() -> list[str]:
        return [line for number in (1, 2) for line in stack.process(f"worker{number}").log.read_text().splitlines()]

    until = time.monotonic() + 10
    while not all(any(text in line and job_id in line for line in lines()) for text in wanted):
        assert time.monotonic() < until, "\n".join(line for line in lines() if job_id in line)
        time.sleep(0.1)


def test_the_plain_commands_work(stack: Stack) -> None:
    """`celery -A tasks worker` alone serves every queue: what is routed anywhere is listened to."""
    queues = json.loads(celery(stack, "inspect", "--json", "active_queues"))
    assert len(queues) == 2
    names = [{queue["name"] for queue in of_worker} for of_worker in queues.values()]
    assert names[0] == names[1]
    assert names[0]
    assert "pong" in celery(stack, "inspect", "ping")


def test_readiness(stack: Stack, api: Api) -> None:
    """/health and /ready answer without a caller's context."""
    for path in ("/health", "/healthcheck", "/ready"):
        assert api.request("GET", path, headers={}).status_code == 200
