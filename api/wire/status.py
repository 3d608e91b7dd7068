"""A job in a few flat fields, for Agentforce: its actions cope best with an answer of text and numbers only."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from api.wire.fields import CamelCase, Instant, described, word
from quotejob.jobs.job import Status


class JobStatusSchema(CamelCase):
    """How a job is."""

    job_id = fields.String(required=True, metadata=described("The job's id", format="uuid"))
    name = fields.String(required=True, metadata=described("Its name for people; empty if it has none"))
    status = word(Status, required=True)
    message = fields.String(required=True, metadata=described("Why it failed or what it waits for; or empty"))
    percent_done = fields.Integer(
        required=True, metadata=described("Of its pages, 0 to 100; 0 until it is planned; how many are done")
    )
    total = fields.Integer(required=True, metadata=described("All Opportunities of the job"))
    succeeded = fields.Integer(required=True)
    skipped = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    estimated_end = Instant(metadata=described("When it will probably end; left out: unknown, or it has ended"))

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Read one field of the job. A text is never None, and an unknown time is left out."""
        if attr == "percent_done":
            return 100 * obj.job_items_processed // obj.total_job_items if obj.total_job_items else 0
        attr = "extended_status" if attr == "message" else attr
        found = super().get_attribute(obj, attr, default)
        if found is None:
            return "" if attr in ("name", "extended_status") else default
        return found
