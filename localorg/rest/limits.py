"""The org's allowances: the day's API requests, counted, and the table of the others."""

from __future__ import annotations

from localorg.http.registry import RESOURCES, Call, Reply, Way
from localorg.schema.model import SObject


@RESOURCES.add("GET", "/limits", Way.PLAIN)
def get_limits(call: Call) -> Reply:
    """All allowances and what is left of each."""
    return Reply(200, call.org.limits.body())


@RESOURCES.add("GET", "/limits/recordCount", Way.READ)
def record_count(call: Call) -> Reply:
    """Rows of each object, the recycle bin left out; objects asked for and not there are left out too.

    On the platform these are estimates (REST API guide, "Record Count").
    """
    asked = call.query.get("sObjects")
    names = list(call.org.schema.objects) if asked is None else [name.strip() for name in asked.split(",")]
    found = [sobject for name in names if (sobject := call.org.schema.object(name)) and sobject.queryable]
    return Reply(200, {"sObjects": [{"count": _count(call, sobject), "name": sobject.name} for sobject in found]})


def _count(call: Call, sobject: SObject) -> int:
    alive = ' WHERE "IsDeleted" = 0' if sobject.field("IsDeleted") else ""
    (count,) = call.org.connection.execute(f'SELECT COUNT(*) FROM "{sobject.name}"{alive}').fetchone()
    return int(count)
