"""Dry runs on the wire. Class names become schema names in openapi.yaml."""

from __future__ import annotations

from typing import Any

from marshmallow import RAISE, fields

from api.wire.fields import NULLABLE, CamelCase, described, keep_api_calls, word
from quotejob.jobs.job import Status


class RunRequestSchema(CamelCase):
    """How to run what a dry run has shown."""

    class Meta:
        unknown = RAISE

    keep_api_calls = keep_api_calls()


class WriteCountSchema(CamelCase):
    """How many records of one object would be written."""

    operation = fields.String(required=True, metadata=described("insert, update, upsert or delete"))
    object = fields.String(required=True, metadata=described("Its API name"))
    count = fields.Integer(required=True)


class PlannedSchema(CamelCase):
    """What a dry run would have written for a record. Only of a Quote: name, lines, currency and totals."""

    writes = fields.List(fields.Nested(WriteCountSchema), required=True)
    name = fields.String(attribute="quote.name")
    lines = fields.Integer(attribute="quote.lines")
    currency = fields.String(
        attribute="quote.currency", allow_none=NULLABLE, metadata=described("null: the org has only one currency")
    )
    list_total = fields.Float(
        attribute="quote.list_total", metadata=described("The total at the prices of the Opportunity")
    )
    net_total = fields.Float(attribute="quote.net_total", metadata=described("The total of the Quote"))

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Read one field. The writes are stored as lists of their values."""
        if attr == "writes":
            return [dict(zip(("operation", "object", "count"), each, strict=True)) for each in obj.writes]
        return super().get_attribute(obj, attr, default)


class TotalSchema(CamelCase):
    """The total of all Quotes in one currency."""

    currency = fields.String(
        required=True, allow_none=NULLABLE, metadata=described("null: the org has only one currency")
    )
    list_total = fields.Float(required=True, metadata=described("At the prices of the Opportunities"))
    net_total = fields.Float(required=True, metadata=described("Of the Quotes"))


class RegionTotalSchema(TotalSchema):
    """The total of the Quotes of one region of the pricing rules."""

    region = fields.String(required=True, allow_none=NULLABLE, metadata=described("null: the rules have no regions"))
    quotes = fields.Integer(required=True)


class DiscountTotalSchema(TotalSchema):
    """The total of the lines that get one discount from the pricing rules."""

    discount = fields.Float(required=True, metadata=described("In percent"))
    lines = fields.Integer(required=True)


class DryRunSchema(CamelCase):
    """What a dry run has found so far."""

    job_id = fields.String(required=True, attribute="job.job_id", metadata=described("The dry run", format="uuid"))
    status = word(Status, required=True, attribute="job.status")
    planned = fields.Integer(
        required=True, attribute="job.planned", metadata=described("Records that would be written")
    )
    skipped = fields.Integer(
        required=True, attribute="job.skipped", metadata=described("Records that would be skipped")
    )
    failed = fields.Integer(required=True, attribute="job.failed", metadata=described("Records that would fail"))
    writes = fields.List(fields.Nested(WriteCountSchema), required=True)
    totals = fields.List(fields.Nested(TotalSchema), required=True, metadata=described("One for each currency"))
    by_region = fields.List(fields.Nested(RegionTotalSchema), required=True, metadata=described("The largest first"))
    by_discount = fields.List(
        fields.Nested(DiscountTotalSchema), required=True, metadata=described("The smallest discount first")
    )
