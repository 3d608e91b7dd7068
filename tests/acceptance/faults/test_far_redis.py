"""Redis is 100 ms away from every process: jobs are slow and not stuck, because housekeeping takes only its share."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import _deadly
import _latency
import pytest
from _callers import new_caller

from harness.process import ROOT, free_port
from harness.stack import Stack
from quotejob.services import Services
from quotejob.settings import current, load
from quotejob.store.client import client

DISTANCE = 0.1  # seconds


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """One worker with one process, and beat."""
    helpers = os.pathsep.join([str(ROOT), str(Path(_deadly.__file__).parent)])
    with Stack(tmp_path, extra={"PYTHONPATH": helpers}) as stack:
        stack.start_redis()
        near, far = urlsplit(stack.redis_url or "").port, free_port(0)
        stack.start("far", [sys.executable, _latency.__file__, str(far), str(near), str(DISTANCE)])
        stack.environment["REDIS_URL"] = f"redis://127.0.0.1:{far}/0"
        stack.start_beat()
        command = [sys.executable, "-m", "celery", "-A", "_deadly", "worker", "--without-gossip", "--without-mingle"]
        stack.start("worker1", [*command, "-n", "worker1@%h", "-c", "1"])
        yield stack


@pytest.fixture
def services(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """The stores, near Redis."""
    for name in ("QUOTEJOB_SECRET_KEY", "QUOTEJOB_LOCAL_ORG"):
        monkeypatch.setenv(name, stack.environment[name])
    monkeypatch.setenv("REDIS_URL", stack.redis_url or "")
    current.cache_clear()
    yield Services(load(), client(stack.redis_url or "", attempts=3))
    current.cache_clear()


@pytest.mark.timeout(400)
def test_a_job_goes_on(stack: Stack, services: Services) -> None:
    """One page after the other is done by one process. Housekeeping alone could take all of its time."""
    job, _ = services.jobs.submit(new_caller(), "Deadly", soql_where_clause="0.0")
    deadline = time.monotonic() + 300
    while services.jobs.get(job.job_id).succeeded < 5 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert services.jobs.get(job.job_id).succeeded >= 5
