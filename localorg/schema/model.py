"""What objects the org has, and the SQLite tables that hold their rows.

Standard objects are described in `objects/*.yaml`, one readable file each. Custom objects, fields and validation rules
come from sfdx source folders (sfdx.py), the same files that are deployed into a real org, and from files in the manner
of those in `objects` (schemafile.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

NUMBERS = frozenset({"int", "double", "currency", "percent"})
TEXTS = frozenset({"string", "textarea", "picklist", "multipicklist", "email", "phone", "url"})
LONG_TEXT = 255  # a textarea longer than this is a "long text area": it can be neither filtered nor sorted

_LENGTHS = {"id": 18, "reference": 18, "string": 255, "textarea": 255, "picklist": 255, "multipicklist": 4099}
_LENGTHS |= {"email": 80, "phone": 40, "url": 255}
_DIGITS = {"currency": (18, 2), "double": (18, 2), "percent": (5, 2)}
_SQL_TYPES = {"boolean": "INTEGER NOT NULL DEFAULT 0", "int": "INTEGER"}
_SQL_TYPES |= {"double": "REAL", "currency": "REAL", "percent": "REAL"}
_PLAIN = frozenset({"id", "reference", "date", "datetime"})  # text that is compared byte by byte
# Fields that name the same user in nearly every row: an index on them would cost each insert and help no query.
UNINDEXED = frozenset({"OwnerId", "CreatedById", "LastModifiedById"})


@dataclass(frozen=True, slots=True)
class Field:
    """One field, with the flags a describe answer gives for it (REST API guide, "sObject Describe")."""

    name: str
    type: str  # id, reference, boolean, date, datetime, or one of NUMBERS or TEXTS
    label: str
    length: int = 0  # characters; 0 for what is not text
    precision: int = 0  # digits in all; 0 for what is not a decimal number
    scale: int = 0  # digits after the point
    nillable: bool = True
    createable: bool = True
    updateable: bool = True
    unique: bool = False
    external_id: bool = False
    case_sensitive: bool = False
    id_lookup: bool = False
    calculated: bool = False  # computed by the org from other rows or fields
    defaulted: bool = False  # the org fills it when a create leaves it out
    default: Any = None
    picklist: tuple[str, ...] = ()
    restricted: bool = False  # only the picklist's own values are accepted
    reference_to: tuple[str, ...] = ()
    relationship_name: str | None = None
    cascade_delete: bool = False  # deleting the parent deletes this row
    filterable: bool = True
    sortable: bool = True
    groupable: bool = True
    aggregatable: bool = True
    custom: bool = False
    numbered: str | None = None  # the pattern of an auto-number, "INV-{0000}"; None for any other field

    @property
    def required(self) -> bool:
        """Whether a create must give it."""
        return self.createable and not self.nillable and not self.defaulted


@dataclass(frozen=True, slots=True)
class ChildRelationship:
    """The other end of a reference: `child.field` points at the object that holds this."""

    name: str | None  # plural relationship name for sub-queries; None when the platform gives it none
    child: str
    field: str
    cascade_delete: bool = False


@dataclass(frozen=True, slots=True)
class ValidationRule:
    """What rows must not be: a row for which the condition, in the syntax of a SOQL WHERE clause, holds is refused."""

    name: str
    condition: str
    message: str
    field: str | None = None  # where the message belongs; None for the row as a whole


@dataclass(frozen=True, slots=True)
class SObject:
    """One object. Names are looked up in any case; the fields' order is that of describe."""

    name: str
    label: str
    label_plural: str
    key_prefix: str
    custom: bool
    fields: tuple[Field, ...]
    children: tuple[ChildRelationship, ...] = ()
    createable: bool = True
    updateable: bool = True
    deletable: bool = True
    queryable: bool = True
    undeletable: bool = True
    skips_recycle_bin: bool = False  # a direct delete is for good
    event: bool = False  # a platform event: published, never kept
    rules: tuple[ValidationRule, ...] = ()
    _fields: dict[str, Field] = field(default_factory=dict, repr=False, compare=False)
    _parents: dict[str, Field] = field(default_factory=dict, repr=False, compare=False)
    _children: dict[str, ChildRelationship] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._fields.update((each.name.lower(), each) for each in self.fields)
        self._parents.update((each.relationship_name.lower(), each) for each in self.fields if each.relationship_name)
        self._children.update((each.name.lower(), each) for each in self.children if each.name)

    def field(self, name: str) -> Field | None:
        """The field with this name, in any case."""
        return self._fields.get(name.lower())

    def parent(self, relationship: str) -> Field | None:
        """The reference field behind a parent relationship name ("Account" gives AccountId), in any case."""
        return self._parents.get(relationship.lower())

    def child(self, relationship: str) -> ChildRelationship | None:
        """The child relationship with this plural name ("OpportunityLineItems"), in any case."""
        return self._children.get(relationship.lower())

    @property
    def parents(self) -> dict[str, Field]:
        """Reference fields by relationship name."""
        return {each.relationship_name: each for each in self.fields if each.relationship_name}


class Schema:
    """Every object of the org; fixed once loaded."""

    def __init__(self, objects: Iterable[SObject]) -> None:
        self.objects: dict[str, SObject] = {each.name: each for each in objects}
        self._by_name = {name.lower(): each for name, each in self.objects.items()}
        self._by_prefix = {each.key_prefix: each for each in self.objects.values()}

    @classmethod
    def load(cls, extra: Iterable[Path] = (), files: Iterable[Path] = ()) -> Schema:
        """The standard objects, plus what these sfdx source folders and schema files add; the last word counts.

        What is custom about objects that this org does not have is passed over, with a warning in the log, and so are
        fields of types that it cannot keep. A file that cannot be read raises ValueError with its name.
        """
        from localorg.schema import sfdx
        from localorg.schema import yaml_file as schemafile  # both describe objects in the terms of this module

        described = {body["name"]: body for body in _standard()}
        for folder in extra:
            sfdx.add(described, folder)
        for file in files:
            schemafile.add(described, file)
        children = [each for body in described.values() for each in _other_ends(body)]
        return cls(_build(body, children) for body in described.values())

    def object(self, name: str) -> SObject | None:
        """The object with this name, in any case."""
        return self._by_name.get(name.lower())

    def by_prefix(self, prefix: str) -> SObject | None:
        """The object whose ids start with these three characters."""
        return self._by_prefix.get(prefix)


# --- objects/*.yaml -----------------------------------------------------------------------------------------------

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


_OBJECT_FLAGS = ("createable", "updateable", "deletable", "queryable", "undeletable", "skips_recycle_bin", "event")


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
    """A field from its lines in a YAML file: `type`, and only what differs from the usual for that type.

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
    """Adds what may be done with a field in a query, which follows from its type."""
    kind, length = flags["type"], flags["length"]
    long_text = kind == "textarea" and length > LONG_TEXT
    flags["filterable"] = not long_text
    flags["sortable"] = not long_text and kind != "multipicklist"
    flags["groupable"] = kind not in {"double", "currency", "percent", "datetime", "multipicklist", "textarea"}
    flags["aggregatable"] = kind not in {"boolean", "textarea", "multipicklist"}
    return Field(custom=flags["name"].endswith("__c"), **flags)


def _label(name: str) -> str:
    """ "CloseDate" is labelled "Close Date", "AccountId" "Account ID"."""
    words = "".join(f" {c}" if c.isupper() and i and name[i - 1].islower() else c for i, c in enumerate(name))
    return f"{words[:-2]}ID" if words.endswith(" Id") else words


def _other_ends(body: Mapping[str, Any]) -> Iterator[tuple[str, ChildRelationship]]:
    """The other ends of an object's references, with the object each belongs to."""
    if body.get("event"):
        return
    for name, given in {**body["fields"], **_AUDIT}.items():
        if "to" in given:
            yield given["to"], ChildRelationship(given.get("children"), body["name"], name, given.get("cascade", False))


# --- tables -------------------------------------------------------------------------------------------------------


def create_tables(connection: sqlite3.Connection, schema: Schema) -> None:
    """Makes a table for each object, or brings the tables of an older database up to the schema.

    One column a field. Text is NOCASE unless the field minds case (NOCASE folds A-Z only; queries fold other letters
    themselves). References are indexed, except those to owner, creator and last modifier. Unique fields are held by a
    unique index over the rows that are neither null nor deleted.
    """
    for each in schema.objects.values():
        if each.event:
            continue
        columns = {one.name: _column(one) for one in each.fields}
        columns.setdefault("IsDeleted", f'"IsDeleted" {_SQL_TYPES["boolean"]}')
        connection.execute(f'CREATE TABLE IF NOT EXISTS "{each.name}" ({", ".join(columns.values())})')
        there = {row[1] for row in connection.execute(f'PRAGMA table_info("{each.name}")')}
        for name in columns.keys() - there:
            connection.execute(f'ALTER TABLE "{each.name}" ADD COLUMN {columns[name]}')
        for one in each.fields:
            for statement in _indexes(each.name, one):
                connection.execute(statement)


def _column(one: Field) -> str:
    if one.type == "id":
        return f'"{one.name}" TEXT PRIMARY KEY NOT NULL'
    if one.type in _SQL_TYPES:
        return f'"{one.name}" {_SQL_TYPES[one.type]}'
    plain = one.type in _PLAIN or one.case_sensitive
    return f'"{one.name}" TEXT' if plain else f'"{one.name}" TEXT COLLATE NOCASE'


def _indexes(table: str, one: Field) -> Iterator[str]:
    target = f'"{table}" ("{one.name}")'
    if one.unique:
        name = f'"{table}.{one.name} unique"'
        yield f'CREATE UNIQUE INDEX IF NOT EXISTS {name} ON {target} WHERE "{one.name}" IS NOT NULL AND "IsDeleted" = 0'
    elif one.external_id or (one.type == "reference" and one.name not in UNINDEXED):
        yield f'CREATE INDEX IF NOT EXISTS "{table}.{one.name}" ON {target} WHERE "{one.name}" IS NOT NULL'
