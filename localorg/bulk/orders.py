"""What every order of a Bulk job names: an object, an operation, and for an upsert the field that finds its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from localorg.errors import OrgError
from localorg.schema.model import Schema, SObject

Refusal = Callable[[str], OrgError]
"""Makes the error of an order that cannot be carried out."""


class Operation(StrEnum):
    """The operations on the rows of a job."""

    INSERT = "insert"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"
    HARD_DELETE = "hardDelete"


def target(body: Mapping[str, Any], schema: Schema, refusal: Refusal) -> SObject:
    """Return the object of an order; raise the refusal when there is none."""
    name = body.get("object")
    if not name:
        raise refusal("Must specify object")
    sobject = schema.object(name) if isinstance(name, str) else None
    if sobject is None:
        raise refusal(f"Unable to find object: {name}")
    return sobject


def external_id(body: Mapping[str, Any], operation: str, sobject: SObject, refusal: Refusal) -> str | None:
    """Return the field by which an upsert finds its rows; raise the refusal when it is missing or cannot be one."""
    name = body.get("externalIdFieldName")
    if operation != Operation.UPSERT:
        if name is not None:
            raise refusal("External ID can only be specified for upsert.")
        return None
    if not name:
        raise refusal(f"External ID was blank for {sobject.name}. An External ID must be specified for upsert.")
    found = sobject.field(name) if isinstance(name, str) else None
    if found is None or not (found.external_id or found.id_lookup):
        what = f"Field name provided, {name} does not match an External ID, Salesforce Id, or indexed field"
        raise refusal(f"{what} for {sobject.name}")
    return found.name
