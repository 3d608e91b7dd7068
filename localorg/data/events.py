"""Platform events: published like rows, but never stored (Platform Events guide, "Publish Event Messages").

There is no delivery by CometD or Pub/Sub API: what was published can be read from `GET /localorg/events`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import count
from typing import Any
from uuid import uuid4

from localorg import errors
from localorg.data.values import reader, stamp
from localorg.ids import to18
from localorg.permissions import Action, User, check
from localorg.schema.model import SObject

KEPT = 10_000


class Events:
    """The event messages of one org, the last 10,000 of them; used in the database thread.

    Every event is sent at once ("Publish Immediately"): one published inside a request that is rolled back stays sent.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._numbers = count(1)
        self.published: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def publish(self, user: User, sobject: SObject, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a message and return the platform's answer. Raise OrgError.

        The `errors` of the answer say that the message was put into the queue.
        """
        check(user, sobject.name, Action.CREATE)
        payload = _payload(sobject, body)
        number, event_uuid = next(self._numbers), str(uuid4())
        now = stamp(self._clock())
        self.published.append(
            {
                "event": {"EventUuid": event_uuid, "replayId": number, "EventApiName": sobject.name},
                "payload": {**payload, "CreatedDate": now, "CreatedById": user.id},
            }
        )
        enqueued = {"statusCode": "OPERATION_ENQUEUED", "message": event_uuid, "fields": []}
        return {"id": to18("e01xx0000000001"), "success": True, "errors": [enqueued]}


def _payload(sobject: SObject, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message's own fields. A field that was not given has its default or null."""
    fields = [field for field in sobject.fields if field.createable]
    payload: dict[str, Any] = {field.name: field.default for field in fields}
    for key, value in body.items():
        field = sobject.field(key)
        if field is None and key.lower() == "attributes":
            continue
        if field is None:
            raise errors.no_such_column(key, sobject.name)
        if not field.createable:
            raise errors.read_only([field.name])
        stored = reader(field)(value)
        payload[field.name] = bool(stored) if field.type == "boolean" else stored
    if missing := [field.name for field in fields if field.required and payload[field.name] is None]:
        raise errors.required_missing(missing)
    return payload
