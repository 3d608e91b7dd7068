"""What an operator sees of a running job, and what nobody must see: the caller's access token."""

from __future__ import annotations

import base64
import json
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import redis
import requests
import zstandard
from systems.waiting import wait

from harness.api import Api
from harness.org_reader import OrgReader
from harness.process import ROOT
from harness.stack import CELERY, Stack

FLOWER_PAGES = ("/", "/workers", "/tasks", "/broker", "/metrics", "/api/tasks", "/api/workers")


@pytest.fixture
def slow_org(stack: Stack) -> Iterator[Callable[[int], None]]:
    """``slow_org(5)``: each write of quotes takes 5 seconds longer, so that a running job can be looked at."""
    assert stack.org
    faults = f"{stack.org.url}/localorg/faults"

    def clear() -> None:
        requests.post(faults, json={"clear": True}, timeout=10).raise_for_status()

    def slow(seconds: int) -> None:
        clear()
        spec = {"match": {"resource": "composite/graph"}, "kind": "slow", "probability": 1, "seconds": seconds}
        requests.post(faults, json=spec, timeout=10).raise_for_status()

    yield slow
    clear()


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


READERS: dict[bytes | str, Callable[[Any, bytes], list[bytes]]] = {  # by a key's type: the parts of its value
    b"string": lambda client, key: [client.get(key) or b""],
    b"hash": lambda client, key: [part for pair in client.hgetall(key).items() for part in pair],
    b"list": lambda client, key: client.lrange(key, 0, -1),
    b"set": lambda client, key: list(client.smembers(key)),
    b"zset": lambda client, key: client.zrange(key, 0, -1),
    b"stream": lambda client, key: [str(entry).encode() for entry in client.xrange(key)],
    b"none": lambda client, key: [],  # it has gone meanwhile
}


def everything_in(client: redis.Redis) -> Iterator[tuple[str, bytes]]:
    """Every value in Redis, as bytes, with its key; compressed ones unpacked."""
    for key in client.scan_iter(count=500):
        yield key.decode(), key
        for value in READERS[client.type(key)](client, key):
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


def places_with(secret: str, texts: Iterable[tuple[str, bytes]]) -> set[str]:
    """The places whose text has the secret in any spelling."""
    wanted = spellings(secret)
    return {place for place, text in texts if any(spelling in text for spelling in wanted)}


def catch_a_running_job(
    stack: Stack, api: Api, where: str, slow_org: Callable[[int], None], look: Callable[[], None]
) -> tuple[str, str]:
    """Submit until `celery inspect active` shows the job, and look all the while. Its id, and what was printed."""
    active = ""
    for seconds in (5, 10, 20, 40):  # on a busy machine `celery inspect` takes long to start
        slow_org(seconds)
        job_id = api.submit(where)
        until = time.monotonic() + 20
        while api.job(job_id)["status"] != "Processing" and time.monotonic() < until:
            look()
            time.sleep(0.05)
        look()
        active = celery(stack, "inspect", "active")
        if job_id in active:
            return job_id, active
    pytest.fail(f"four jobs ran and none was active: {active}")


@pytest.mark.timeout(240)
def test_a_running_job_is_seen_everywhere_and_its_token_nowhere(
    stack: Stack,
    api: Api,
    reader: OrgReader,
    slow_org: Callable[[int], None],
    name: str,
    make_opportunity: Callable[..., str],
) -> None:
    """status, inspect, Flower and its metrics show the job; they, the logs and Redis never show the token."""
    assert stack.org
    assert stack.redis_url
    for number in range(3):
        make_opportunity(f"{name} {number}", 2)
    seen: dict[str, str] = {"status": celery(stack, "status")}
    client = redis.Redis.from_url(stack.redis_url)
    dumped: list[tuple[str, bytes]] = []

    def look() -> None:
        dumped.extend(everything_in(client))

    job_id, seen["inspect active"] = catch_a_running_job(stack, api, f"Name LIKE '{name}%'", slow_org, look)
    assert "worker1@" in seen["status"]
    assert "worker2@" in seen["status"]
    wait(lambda: job_id in flower(stack, "/api/tasks"))  # events reach Flower somewhat later
    for path in FLOWER_PAGES:
        seen[path] = flower(stack, path)
    for words in ("reserved", "stats", "conf"):
        seen[f"inspect {words}"] = celery(stack, "inspect", words)
    look()
    assert api.follow(job_id)["status"] == "Completed"
    look()
    seen["results"] = str(api.results(job_id)) + str(api.job(job_id)) + str(api.get("/api/jobs"))

    assert "worker1@" in seen["/workers"]
    assert job_id in seen["/api/tasks"]
    assert "flower_events_total" in seen["/metrics"]
    assert "flower_worker_online" in seen["/metrics"]
    task = next(iter(json.loads(seen["/api/tasks"])))
    seen["task page"] = flower(stack, f"/task/{task}")

    logs = [(log.name, log.read_bytes()) for log in stack.folder.glob("*.log")]
    assert any(job_id.encode() in value for _, value in dumped)  # or the search was empty
    assert any(job_id.encode() in text for file, text in logs if file.startswith("worker"))
    shown = places_with(stack.org.token, ((place, text.encode()) for place, text in seen.items()))
    assert not shown, "the token is shown"
    kept = places_with(stack.org.token, dumped)
    assert not kept, "the token is in clear in Redis, under these keys"
    logged = places_with(stack.org.token, logs)
    assert not logged, "the token is in these logs"


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
