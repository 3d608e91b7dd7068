"""Platform events: published like rows, kept for 72 hours (Platform Events guide, "Publish Event Messages").

How they reach subscribers is in localorg/events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import orjson

from localorg import errors
from localorg.data.kept_events import KeptEvents
from localorg.data.limits import Rolling
from localorg.data.values import reader, stamp
from localorg.errors import OrgError
from localorg.ids import to18
from localorg.permissions import Action, User, check
from localorg.schema.model import SObject

LARGEST_EVENT = 1024 * 1024
"""Bytes of one message (Platform Events guide, "Platform Event Allocations")."""


class _Sent(NamedTuple):
    """A message that was published in the current transaction."""

    after_commit: bool
    message: tuple[str, str, str]


class Events:
    """The event messages of one org; used in the database thread.

    An event is sent when its transaction ends. One of an object with "Publish Immediately" is sent even if the
    transaction, or the part of it that published the event, is rolled back. One with "Publish After Commit" is not.
    """

    def __init__(self, kept: KeptEvents, allowance: Rolling, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._allowance = allowance
        self._sent: list[_Sent] = []
        self.kept = kept
        self.listeners: list[Callable[[], None]] = []  # called in the database thread
        allowance.resume(kept.by_minute(clock() - timedelta(hours=1)))

    def publish(self, user: User, sobject: SObject, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a message and return the platform's answer. Raise OrgError.

        The `errors` of the answer say that the message was put into the queue.
        """
        check(user, sobject.name, Action.CREATE)
        payload = {"CreatedDate": stamp(self._clock()), "CreatedById": user.id, **_payload(sobject, body)}
        text = orjson.dumps(payload)
        if len(text) > LARGEST_EVENT:
            raise OrgError(400, "MAX_SIZE_LIMIT_EXCEEDED", "The event message is larger than 1 MB", ())
        if not self._allowance.spend(1):
            raise OrgError(400, "LIMIT_EXCEEDED", "The hourly limit of published platform events is exceeded", ())
        event_uuid = str(uuid4())
        self._sent.append(_Sent(sobject.after_commit, (sobject.name, event_uuid, text.decode())))
        enqueued = {"statusCode": "OPERATION_ENQUEUED", "message": event_uuid, "fields": []}
        return {"id": to18("e01xx0000000001"), "success": True, "errors": [enqueued]}

    def mark(self) -> int:
        """Return where a part of the transaction begins, for `undo`."""
        return len(self._sent)

    def undo(self, mark: int = 0) -> None:
        """Forget the events of a part that is rolled back, if they wait for its commit."""
        self._sent[mark:] = [each for each in self._sent[mark:] if not each.after_commit]

    def keep(self) -> None:
        """Write what was published to the table. The caller then calls `announce`."""
        if self._sent:
            self.kept.add(each.message for each in self._sent)

    def announce(self) -> None:
        """Tell the subscribers that there are new messages."""
        if self._sent:
            self._sent.clear()
            for tell in tuple(self.listeners):
                tell()


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
