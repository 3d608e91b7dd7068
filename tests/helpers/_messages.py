"""What the tests of the tasks ask of the broker and the store."""

from __future__ import annotations

from typing import Any

import orjson
import redis

from quotejob import formats
from quotejob.jobs.job import BuiltIn
from quotejob.jobs.store import JobStore
from quotejob.salesforce.caller import CallerContext

QUEUES = [
    formats.queue(name, number) for number in range(1, formats.FORMAT + 2) for name in ("clock", "control", "pages")
]


def sent(client: redis.Redis, task: str) -> list[dict[str, Any]]:
    """The headers of the messages for a task that wait in the broker."""
    headers = [orjson.loads(message)["headers"] for queue in QUEUES for message in client.lrange(queue, 0, -1)]
    return [header for header in headers if header["task"] == task]


def submit(jobs: JobStore, caller: CallerContext, **what: Any) -> str:
    """Submit a job; its id."""
    return jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause="a", **what)[0].job_id


def dispatched(client: redis.Redis, caller: CallerContext) -> int:
    """How many messages wait to dispatch the caller's org."""
    return sum(caller.org_id in header["kwargsrepr"] for header in sent(client, "quotejob.dispatch"))
