"""The schema of an org: the standard objects, and what source folders and schema files add to them.

Standard objects are described in `objects/*.yaml`, one readable file each. Custom objects, fields and validation rules
come from sfdx source folders (sfdx.py), the same files that are deployed into a real org, and from files in the manner
of those in `objects` (yaml_file.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from localorg.schema import currencies, sfdx, yaml_file
from localorg.schema.model import LONG_TEXT, ChildRelationship, Field, Schema, SObject


def load_schema(extra: Iterable[Path] = (), files: Iterable[Path] = (), codes: Sequence[str] = ()) -> Schema:
    """Load the standard objects, and what these sfdx source folders and schema files add; the last word counts.

    What is custom about objects that this org does not have is passed over, with a warning in the log, and so are
    fields of types that it cannot keep. With ``codes`` the org has these currencies.
    Raises ValueError with the name of a file that cannot be read.
    """
    described = {body["name"]: body for body in _standard()}
    for folder in extra:
        sfdx.add(described, folder)
    for file in files:
        yaml_file.add(described, file)
    if codes:
        currencies.add(described, codes)
    children = [each for body in described.values() for each in _other_ends(body)]
    return Schema(_build(body, children) for body in described.values())


# Fields every object has after its Id; `without:` in an object's file drops some of them.
_AUDIT: dict[str, dict[str, Any]] = {
    "IsDeleted": {"type": "boolean", "label": "Deleted"},
    "CreatedDate": {"type": "datetime"},
    "CreatedById": {"type": "reference", "to": "User", "label": "Created By ID"},
    "LastModifiedDate": {"type": "datetime"},
    "LastModifiedById": {"type": "reference", "to": "User", "label": "Last Modified By ID"},
    "SystemModstamp": {"type": "datetime", "label": "System Modstamp"},
}
# Fields every platform event has (Platform Events guide, "Platform Event Fields").
EVENT_FIELDS: dict[str, dict[str, Any]] = {
    "ReplayId": {"type": "string", "label": "Replay ID", "access": "read"},
    "EventUuid": {"type": "string", "label": "Event UUID", "length": 36, "access": "read"},
    "CreatedDate": {"type": "datetime", "access": "read"},
    "CreatedById": {"type": "reference", "to": "User", "label": "Created By ID", "access": "read"},
}
_LENGTHS = {"id": 18, "reference": 18, "string": 255, "textarea": 255, "picklist": 255, "multipicklist": 4099}
_LENGTHS |= {"email": 80, "phone": 40, "url": 255}
_DIGITS = {"currency": (18, 2), "double": (18, 2), "percent": (5, 2)}
_ACTIONS = ("createable", "updateable", "deletable", "queryable", "undeletable")
_OBJECT_FLAGS = (*_ACTIONS, "skips_recycle_bin", "event", "after_commit")


def _standard() -> Iterator[dict[str, Any]]:
    folder = resources.files(__package__) / "objects"
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        if file.name.endswith(".yaml"):
            body: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
            yield {"name": file.name.removesuffix(".yaml"), **body}


def _build(body: Mapping[str, Any], children: Iterable[tuple[str, ChildRelationship]]) -> SObject:
    name = body["name"]
    flags = {key: body[key] for key in _OBJECT_FLAGS if key in body}
    return SObject(
        name=name,
        label=body["label"],
        label_plural=body["plural"],
        key_prefix=body["prefix"],
        custom=name.endswith(("__c", "__e")),
        fields=tuple(_fields(body)),
        children=tuple(child for parent, child in children if parent == name),
        rules=tuple(body.get("rules", {}).values()),
        **flags,
    )


def _fields(body: Mapping[str, Any]) -> Iterator[Field]:
    if body.get("event"):
        yield from (_field(name, given) for name, given in {**EVENT_FIELDS, **body["fields"]}.items())
        return
    yield Field(
        "Id",
        "id",
        f"{body['label']} ID",
        18,
        nillable=False,
        createable=False,
        updateable=False,
        id_lookup=True,
        defaulted=True,
    )
    for name, given in body["fields"].items():
        yield _field(name, given)
    for name, given in _AUDIT.items():
        if name not in body.get("without", ()):
            yield _field(name, {**given, "access": "read", "required": True})


def _field(name: str, given: Mapping[str, Any]) -> Field:
    """Return a field from its lines in a YAML file: `type`, and only what differs from the usual for that type.

    `access` is write, create (create only) or read; `default: $user` stands for the calling user's id.
    """
    kind = given["type"]
    access = "read" if given.get("calculated") else given.get("access", "write")
    precision, scale = _DIGITS.get(kind, (0, 0))
    default = given.get("default", False if kind == "boolean" else None)
    to = given.get("to")
    return _with_abilities(
        name=name,
        type=kind,
        label=given.get("label", _label(name)),
        length=given.get("length", _LENGTHS.get(kind, 0)),
        precision=given.get("precision", precision),
        scale=given.get("scale", scale),
        nillable=kind != "boolean" and not given.get("required", False),
        createable=access in {"write", "create"},
        updateable=access == "write",
        unique=given.get("unique", False),
        external_id=given.get("external_id", False),
        case_sensitive=given.get("case_sensitive", False),
        id_lookup=given.get("id_lookup", False) or given.get("external_id", False),
        calculated=given.get("calculated", False),
        defaulted=kind == "boolean" or default is not None or access == "read",
        default=default,
        picklist=tuple(given.get("values", ())),
        restricted=given.get("restricted", False),
        reference_to=(to,) if to else (),
        relationship_name=given.get("relationship", name.removesuffix("Id")) if to else None,
        cascade_delete=given.get("cascade", False),
        numbered=given.get("numbered"),
    )


def _with_abilities(**flags: Any) -> Field:
    """Add what a query may do with a field, which follows from its type."""
    kind, length = flags["type"], flags["length"]
    long_text = kind == "textarea" and length > LONG_TEXT
    flags["filterable"] = not long_text
    flags["sortable"] = not long_text and kind != "multipicklist"
    flags["groupable"] = kind not in {"double", "currency", "percent", "datetime", "multipicklist", "textarea"}
    flags["aggregatable"] = kind not in {"boolean", "textarea", "multipicklist"}
    return Field(custom=flags["name"].endswith("__c"), **flags)


def _label(name: str) -> str:
    """Return a field's label: "CloseDate" is labelled "Close Date", "AccountId" "Account ID"."""
    words = "".join(f" {c}" if c.isupper() and i and name[i - 1].islower() else c for i, c in enumerate(name))
    return f"{words[:-2]}ID" if words.endswith(" Id") else words


def _other_ends(body: Mapping[str, Any]) -> Iterator[tuple[str, ChildRelationship]]:
    """Return the other ends of an object's references, with the object to which each belongs."""
    if body.get("event"):
        return
    for name, given in {**body["fields"], **_AUDIT}.items():
        if "to" in given:
            yield given["to"], ChildRelationship(given.get("children"), body["name"], name, given.get("cascade", False))
