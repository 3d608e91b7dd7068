"""The diagnosis on the wire. Class names become schema names in openapi.yaml."""

from __future__ import annotations

from marshmallow import fields

from api.wire.fields import CamelCase, described, word
from quotejob.diagnosis import Subject


class CheckSchema(CamelCase):
    """One thing that was looked at."""

    subject = word(Subject, required=True)
    ok = fields.Boolean(required=True)
    message = fields.String(required=True, metadata=described("What was found, or what to do"))


class DiagnosisSchema(CamelCase):
    """What was looked at."""

    ok = fields.Boolean(required=True, metadata=described("True if all of it is"))
    checks = fields.List(fields.Nested(CheckSchema), required=True)
