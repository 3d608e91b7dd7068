"""The scheduler process sends ticks and sweeps, whatever the clock of its machine says."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import celery
import pytest
from celery.apps.beat import Beat
from celery.beat import Service

from quotejob.store.client import RedisClient
from tasks.app import app


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_that_jumps_changes_nothing(
    days: int, client: RedisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does one that was wrong when the process started. Nothing is written, so a start on a full disk works too."""
    monkeypatch.chdir(tmp_path)
    client.delete("quotejob:turn:quotejob.tick", "quotejob:turn:quotejob.sweep")  # it is the turn of each
    real = celery.Celery.now
    scheduler = Service(app, scheduler_cls=Beat(app=app, quiet=True).scheduler_cls).get_scheduler()
    scheduler.tick()
    assert (client.llen("clock"), client.llen("control")) == (1, 1)
    monkeypatch.setattr(celery.Celery, "now", lambda self: real(self) + timedelta(days=days))
    began = time.monotonic()
    while client.llen("control") < 3 and time.monotonic() - began < 60:
        time.sleep(scheduler.tick())
    assert 3 <= client.llen("clock") <= 7
    assert client.llen("control") == 3
    assert list(tmp_path.iterdir()) == []
