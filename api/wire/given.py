"""The parameters of a job or a schedule as they are shown. Class names become schema names in openapi.yaml."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from api.wire.fields import CamelCase, described


class GivenParameterSchema(CamelCase):
    """A parameter as it was sent."""

    name = fields.String(required=True)
    value = fields.String(required=True, metadata=described("Its value as text"))

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:  # noqa: ARG002 (a pair has both)
        """Read one of a pair: name and text."""
        name, value = obj
        return name if attr == "name" else value


def given_parameters() -> fields.List[Any]:
    """Return a field for the parameters of a job or a schedule."""
    return fields.List(
        fields.Nested(GivenParameterSchema),
        required=True,
        metadata=described("Those that were sent for a job type of your own; empty: none"),
    )
