"""The flex queue on the wire. Class names become schema names in openapi.yaml."""

from __future__ import annotations

from typing import Any

from marshmallow import RAISE, fields

from api.wire.fields import CamelCase, described, job_id_in_body
from api.wire.jobs import JobSchema


class FlexQueueItemSchema(JobSchema):
    """A Holding job and its position."""

    position = fields.Integer(required=True, metadata=described("Position in the flex queue; 0 is the next one"))

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Return a field of the position or of the job."""
        position, job = obj
        return position if attr == "position" else super().get_attribute(job, attr, default)


class FlexQueueSchema(CamelCase):
    """The org's Holding jobs in their order. Jobs that wait for something let others pass."""

    jobs = fields.List(fields.Nested(FlexQueueItemSchema), required=True)


class MoveJobRequestSchema(CamelCase):
    """Which Holding job to move."""

    class Meta:
        unknown = RAISE

    job_id = job_id_in_body("The Holding job to move")


class MoveBesideJobRequestSchema(CamelCase):
    """Which Holding job to move, and beside which."""

    class Meta:
        unknown = RAISE

    job_to_move_id = job_id_in_body("The Holding job to move")
    job_in_queue_id = job_id_in_body("The Holding job before or after which it is moved")


class MoveJobResponseSchema(CamelCase):
    """Whether the job had to be moved."""

    moved = fields.Boolean(required=True, metadata=described("False if it was there already"))
