"""A worker gives signs of life for the queues that it serves, as long as it runs."""

from __future__ import annotations

from pathlib import Path

from systems.waiting import wait

from harness.stack import Stack
from quotejob.jobs.workers import Workers
from quotejob.store import client as store
from quotejob.store import keys


def test_a_worker_is_there_until_it_ends(tmp_path: Path) -> None:
    """One for the clock alone takes no step of a job."""
    with Stack(tmp_path) as stack:
        stack.start_redis()
        redis = store.client(stack.redis_url or "", attempts=0)
        workers = Workers(redis)
        clock = stack.start_worker(1, "-Q", "clock", "-c", "1")
        wait(lambda: bool(redis.exists(keys.worker("clock"))))
        assert not workers.are_there()
        stack.kill(clock.name)
        stack.start_worker(2, "-c", "1")
        wait(workers.are_there)
        redis.expire(keys.worker("pages"), 0)
        wait(workers.are_there)  # the next sign
