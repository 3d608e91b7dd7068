"""The Avro schemas of event messages, and their ids (Pub/Sub API guide, "Event Message Schemas")."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import Any

import orjson

from localorg.schema.model import Field, SObject

_AVRO = {"boolean": "boolean", "double": "double", "currency": "double", "percent": "double", "int": "int"}
_AVRO |= {"date": "long", "datetime": "long"}
_AUTOMATIC = {"CreatedDate": ("long", "CreatedDate:DateTime"), "CreatedById": ("string", "CreatedBy:EntityId")}


@cache
def schema(sobject: SObject) -> str:
    """Return the Avro schema of an event object, as JSON text. Fields that may be empty are unions with null."""
    fields: list[dict[str, Any]] = [
        {"name": name, "type": kind, "doc": doc} for name, (kind, doc) in _AUTOMATIC.items()
    ]
    fields += [_field(each) for each in sobject.fields if each.createable]
    body = {"type": "record", "name": sobject.name, "namespace": "com.sforce.eventbus", "fields": fields}
    return orjson.dumps(body).decode()


def _field(field: Field) -> dict[str, Any]:
    kind = _AVRO.get(field.type, "string")
    doc = f"Data:{field.type.capitalize()}"
    if field.required:
        return {"name": field.name, "type": kind, "doc": doc}
    return {"name": field.name, "type": ["null", kind], "doc": doc, "default": None}


@cache
def schema_id(sobject: SObject) -> str:
    """Return the id of the schema: 22 characters, which follow from its text."""
    digest = hashlib.md5(schema(sobject).encode(), usedforsecurity=False).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
