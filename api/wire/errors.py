"""The form of every error."""

from __future__ import annotations

from marshmallow import fields

from api.wire.fields import CamelCase, described


class ErrorDetailSchema(CamelCase):
    """One thing that is wrong."""

    field = fields.String(required=True, metadata=described("The field, parameter, header or part that is wrong"))
    message = fields.String(required=True, metadata=described("What is wrong with it"))
    code = fields.String(metadata=described("The errorCode of the org, if the org refused it"))


class ErrorSchema(CamelCase):
    """Every error has this form."""

    code = fields.String(required=True, metadata=described("A MACHINE_WORD", example="INVALID_REQUEST"))
    message = fields.String(required=True, metadata=described("A sentence that says what to do"))
    details = fields.List(fields.Nested(ErrorDetailSchema), required=True)
