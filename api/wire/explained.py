"""Why a price is what it is, on the wire."""

from __future__ import annotations

from marshmallow import fields

from api.wire.fields import NULLABLE, CamelCase, described, true_or_false_in_query


class ExplainedLineSchema(CamelCase):
    """How one line got its price."""

    line_id = fields.String(required=True, metadata=described("The id of the OpportunityLineItem"))
    list_unit_price = fields.String(required=True, metadata=described("The sales price on the Opportunity's line"))
    unit_price = fields.String(required=True, metadata=described("The unit price on the Quote's line"))
    discount = fields.String(
        required=True, allow_none=NULLABLE, metadata=described("The line's own Discount, in percent; null: none")
    )
    reasons = fields.List(
        fields.String(metadata={"example": "10 % region EMEA"}),
        required=True,
        metadata=described("Which rule or function gave what, in the order in which they were applied"),
    )


class ExplanationSchema(CamelCase):
    """How the lines of a Quote got their prices."""

    code_version = fields.String(
        required=True,
        allow_none=NULLABLE,
        metadata=described("The version of the pricing function that decided them; null: the rules alone"),
    )
    lines = fields.List(fields.Nested(ExplainedLineSchema), required=True)


def code_version() -> fields.String:
    """Return the field of a job with the version of the code that priced it."""
    text = "The version of your own code that decided its records; several, with commas, after a deployment"
    return fields.String(required=True, allow_none=NULLABLE, metadata=described(text))


def explain() -> fields.Boolean:
    """Return the parameter that asks for reasons."""
    return true_or_false_in_query("true: each result also has the reasons of its prices")
