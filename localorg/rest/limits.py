"""The org's limits: the day's API requests, which are counted, and a table of the others."""

from __future__ import annotations

from localorg.http.registry import RESOURCES, Call, Reply, Way
from localorg.schema.model import SObject


@RESOURCES.add("GET", "/limits", Way.PLAIN)
def get_limits(call: Call) -> Reply:
    """Return all limits and what is left of each."""
    return Reply(200, call.org.limits.body())


@RESOURCES.add("GET", "/limits/recordCount", Way.READ)
def record_count(call: Call) -> Reply:
    """Count the rows of each object, without the recycle bin; leave out objects that do not exist.

    On the platform these numbers are estimates (REST API guide, "Record Count").
    """
    asked = call.query.get("sObjects")
    names = list(call.org.schema.objects) if asked is None else [name.strip() for name in asked.split(",")]
    found = [sobject for name in names if (sobject := call.org.schema.object(name)) and sobject.queryable]
    return Reply(200, {"sObjects": [{"count": _count(call, sobject), "name": sobject.name} for sobject in found]})


def _count(call: Call, sobject: SObject) -> int:
    alive = ' WHERE "IsDeleted" = 0' if sobject.field("IsDeleted") else ""
    (count,) = call.org.connection.execute(f'SELECT COUNT(*) FROM "{sobject.name}"{alive}').fetchone()
    return int(count)
