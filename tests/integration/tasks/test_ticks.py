"""What beat has workers do each second: what is due fires, what is coming is told in time."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from _messages import sent

from quotejob.salesforce.caller import CallerContext
from quotejob.schedules.schedule import Overlap
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store.client import RedisClient
from tasks import ticks


def test_a_tick_tells_what_is_coming_by_how_far_it_is(
    settings: Settings, client: RedisClient, caller: CallerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis's clock is an hour ahead of the worker's: the tick of the moment is for the next seconds, not for then."""
    services = Services(settings, client, lambda: datetime.now(UTC) + timedelta(hours=1))
    monkeypatch.setattr(ticks, "services", lambda: services)
    ahead = services.schedules
    what = {"soql_where_clause": "a", "authorization": "worker", "overlap": Overlap.QUEUE}
    ahead.create(caller, f"s {uuid.uuid4()}", "* * * * * ?", **what)
    ticks.tick()
    ticks.tick()  # the first may have come just after the second began, and fired
    found = sent(client, "quotejob.tick_at")
    assert found
    for header in found:
        assert datetime.fromisoformat(header["eta"]) < datetime.now(UTC) + timedelta(minutes=1)
