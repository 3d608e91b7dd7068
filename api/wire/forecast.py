"""Forecasts on the wire. Class names become schema names in openapi.yaml."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from api.wire.fields import NULLABLE, CamelCase, Instant, described, word
from api.wire.jobtypes import SubmitJobRequestSchema, job_type_in_body
from quotejob.forecast.ahead import Basis, WarningCode
from quotejob.jobs.job import BuiltIn


class ForecastRequestSchema(SubmitJobRequestSchema):
    """The job to forecast: as it would be submitted."""

    job_type = job_type_in_body(load_default=BuiltIn.BATCH_QUOTE)


class CallsSchema(CamelCase):
    """Requests to the org."""

    plan = fields.Integer(required=True, metadata=described("To check the org and to read the ids of the records"))
    read = fields.Integer(required=True, metadata=described("To read the records, with what belongs to them"))
    write = fields.Integer(required=True, metadata=described("To write"))
    total = fields.Integer(required=True, metadata=described("All of them"))


class AllocationSchema(CamelCase):
    """The API calls of the org's last 24 hours, as the org says."""

    limit = fields.Integer(required=True, metadata=described("How many it may get"))
    used = fields.Integer(required=True, metadata=described("How many it has got"))
    kept = fields.Integer(required=True, metadata=described("How many are kept for others"))
    left = fields.Integer(
        required=True,
        metadata=described("limit - used - kept: what jobs may use. Below 0: others have used what was kept"),
    )
    percent = fields.Float(required=True, metadata=described("The calls of this job, in percent of limit"))


class SecondsSchema(CamelCase):
    """How long the job runs, without the time that it waits for a slot."""

    low = fields.Float(required=True, metadata=described("One of ten jobs is faster"))
    expected = fields.Float(required=True)
    high = fields.Float(required=True, metadata=described("One of ten jobs is slower"))


class ForecastWarningSchema(CamelCase):
    """What may be wrong with the job."""

    code = word(WarningCode, required=True)
    message = fields.String(required=True, metadata=described("A sentence for people"))


class ForecastSchema(CamelCase):
    """What a job would do and cost."""

    records = fields.Integer(required=True, metadata=described("Records that match now"))
    pages = fields.Integer(required=True)
    calls = fields.Nested(CallsSchema, required=True)
    allocation = fields.Nested(
        AllocationSchema, required=True, allow_none=NULLABLE, metadata=described("null: the org does not say")
    )
    redis_bytes = fields.Integer(required=True, metadata=described("About how much the job needs in Redis"))
    seconds = fields.Nested(SecondsSchema, required=True)
    basis = word(
        Basis,
        "What seconds is computed from: earlier runs of this type, or how long the org took to answer just now",
        required=True,
    )
    estimated_end = Instant(
        required=True,
        allow_none=NULLABLE,
        metadata=described("When it would end if it were submitted now, with the queue as it is; null: unknown"),
    )
    warnings = fields.List(fields.Nested(ForecastWarningSchema), required=True)
    org_calls = fields.Integer(required=True, metadata=described("Requests to the org that this forecast took"))

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Read one field. On the wire the share of the day's calls is a part of the allocation."""
        found = super().get_attribute(obj, attr, default)
        if attr != "allocation" or found is None:
            return found
        return {
            "limit": found.limit, "used": found.used, "kept": found.kept, "left": found.left, "percent": obj.percent,
        }  # fmt: skip
