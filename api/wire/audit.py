"""The audit on the wire. Class names become schema names in openapi.yaml."""

from __future__ import annotations

from marshmallow import fields

from api.wire.fields import NULLABLE, CamelCase, Instant, cursor, described, id_in_query, whole_number


class ValueBeforeSchema(CamelCase):
    """A field that was changed, and its value before."""

    field = fields.String(required=True)
    value = fields.String(required=True, metadata=described("Empty if there was none"))


class AuditEntrySchema(CamelCase):
    """One thing that somebody did."""

    at = Instant(required=True, metadata=described("When it was done"))
    by_id = fields.String(required=True, metadata=described("The id of the user who did it"))
    by_name = fields.String(required=True, metadata=described("The name of that user then; empty if it is not known"))
    action = fields.String(
        required=True, metadata=described("The operation, such as abortJob; each move in the flex queue is moveJob")
    )
    job_id = fields.String(required=True, allow_none=NULLABLE)
    schedule_id = fields.String(required=True, allow_none=NULLABLE)
    name = fields.String(
        required=True, allow_none=NULLABLE, metadata=described("The name of the job or schedule before")
    )
    before = fields.List(
        fields.Nested(ValueBeforeSchema), required=True, metadata=described("The fields that were changed")
    )


class AuditSchema(CamelCase):
    """Entries, the newest first."""

    entries = fields.List(fields.Nested(AuditEntrySchema), required=True)
    next_cursor = fields.String(
        required=True, allow_none=NULLABLE, metadata=described("Send it as cursor for older ones; null at the end")
    )


class AuditQuerySchema(CamelCase):
    """Which entries."""

    job_id = id_in_query("Only what was done to this job")
    schedule_id = id_in_query("Only what was done to this schedule")
    limit = whole_number(500, 50, "The most entries in one answer")
    cursor = cursor()
