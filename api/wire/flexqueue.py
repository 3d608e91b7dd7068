"""The flex queue on the wire. Class names become schema names in openapi.yaml."""

from __future__ import annotations

from marshmallow import RAISE, fields, validate

from api.wire.fields import CamelCase, JsonNumber, described, job_id_in_body
from api.wire.jobs import JobSchema

MAX_POSITION = 1_000_000


class FlexQueueItemSchema(JobSchema):
    """A Holding job and its position."""

    position = fields.Integer(required=True, metadata=described("Position in the flex queue; 0 is the next one"))


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


_POSITION = f"should be a whole number from 0 to {MAX_POSITION:,}"


class MoveToPositionRequestSchema(CamelCase):
    """Which Holding job to move, and where to."""

    class Meta:
        unknown = RAISE

    job_id = job_id_in_body("The Holding job to move")
    position = JsonNumber(
        required=True,
        validate=validate.Range(0, MAX_POSITION, error=_POSITION),
        error_messages=dict.fromkeys(("required", "invalid", "null"), _POSITION),
        metadata=described("Its new position; 0 is the front, one past the end is the end"),
    )


class MoveJobResponseSchema(CamelCase):
    """Whether the job had to be moved."""

    moved = fields.Boolean(required=True, metadata=described("False if it was there already"))
