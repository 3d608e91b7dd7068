"""What objects the org has, and the SQLite tables that hold their rows.

Standard objects are described in `objects/*.yaml`, one readable file each. Custom fields come from sfdx source folders
(`objects/<Object>/fields/*.field-meta.xml`), the same files that are deployed into a real org.
"""

from __future__ import annotations

import sqlite3
import xml.etree.ElementTree as xml
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
_UNINDEXED = frozenset({"OwnerId", "CreatedById", "LastModifiedById"})


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
    def load(cls, extra: Iterable[Path] = ()) -> Schema:
        """The standard objects, plus the custom fields found in these sfdx source folders.

        Custom fields of objects this org does not have (platform events, custom metadata) are passed over. A field type
        it cannot keep raises ValueError with the file's name.
        """
        described = list(_standard())
        custom: dict[str, list[Field]] = {}
        children: list[tuple[str, ChildRelationship]] = []
        for folder in extra:
            for object_name, found, child_name in _sfdx_fields(folder):
                custom.setdefault(object_name, []).append(found)
                children += _other_ends(object_name, found, child_name)
        for body in described:
            children += _standard_children(body)
        return cls(_build(body, custom.get(body["name"], []), children) for body in described)

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


def _standard() -> Iterator[dict[str, Any]]:
    folder = resources.files(__package__) / "objects"
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        if file.name.endswith(".yaml"):
            body: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
            yield {"name": file.name.removesuffix(".yaml"), **body}


def _build(
    body: Mapping[str, Any], custom: Iterable[Field], children: Iterable[tuple[str, ChildRelationship]]
) -> SObject:
    name = body["name"]
    flags = {key: body[key] for key in _OBJECT_FLAGS if key in body}
    return SObject(
        name=name,
        label=body["label"],
        label_plural=body["plural"],
        key_prefix=body["prefix"],
        custom=name.endswith("__c"),
        fields=(*_fields(body), *custom),
        children=tuple(child for parent, child in children if parent == name),
        **flags,
    )


_OBJECT_FLAGS = ("createable", "updateable", "deletable", "queryable", "undeletable", "skips_recycle_bin")


def _fields(body: Mapping[str, Any]) -> Iterator[Field]:
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


def _standard_children(body: Mapping[str, Any]) -> Iterator[tuple[str, ChildRelationship]]:
    """The other ends of an object's references, with the object each belongs to."""
    for name, given in {**body["fields"], **_AUDIT}.items():
        if "to" in given:
            yield given["to"], ChildRelationship(given.get("children"), body["name"], name, given.get("cascade", False))


# --- sfdx source --------------------------------------------------------------------------------------------------

_SFDX_TYPES = {
    "Text": "string",
    "TextArea": "textarea",
    "LongTextArea": "textarea",
    "Html": "textarea",
    "Picklist": "picklist",
    "MultiselectPicklist": "multipicklist",
    "Checkbox": "boolean",
    "Number": "double",
    "Currency": "currency",
    "Percent": "percent",
    "Date": "date",
    "DateTime": "datetime",
    "Email": "email",
    "Phone": "phone",
    "Url": "url",
    "Lookup": "reference",
    "MasterDetail": "reference",
}
_METADATA = "{http://soap.sforce.com/2006/04/metadata}"


def _sfdx_fields(folder: Path) -> Iterator[tuple[str, Field, str | None]]:
    """(object, field, plural child relationship name) of each custom field under a folder, in file order."""
    for file in sorted(folder.rglob("*.field-meta.xml")):
        if file.parent.name == "fields":
            root = xml.parse(file).getroot()  # noqa: S314 - the checkout's own files
            found, child_name = _sfdx_field(root, file)
            yield file.parent.parent.name, found, child_name


def _sfdx_field(root: xml.Element, file: Path) -> tuple[Field, str | None]:
    def text(tag: str, default: str = "") -> str:
        return (root.findtext(f"{_METADATA}{tag}") or default).strip()

    name, kind = text("fullName"), _SFDX_TYPES.get(text("type"))
    if kind is None or root.find(f"{_METADATA}formula") is not None:
        raise ValueError(f"{file}: this org cannot keep a custom field of type {text('type')!r} (or a formula)")
    given: dict[str, Any] = {"type": kind, "label": text("label", name)}
    for tag, key in (("unique", "unique"), ("externalId", "external_id"), ("required", "required")):
        given[key] = text(tag) == "true"
    given["case_sensitive"] = text("caseSensitive") == "true"
    for tag in ("length", "precision", "scale"):
        if text(tag):
            given[tag] = int(text(tag))
    if kind == "boolean":
        given["default"] = text("defaultValue") == "true"
    if kind == "reference":
        given |= _sfdx_reference(
            name, text("referenceTo"), master=text("type") == "MasterDetail", deletes=text("deleteConstraint")
        )
    values = [each.findtext(f"{_METADATA}fullName") or "" for each in root.iter(f"{_METADATA}value")]
    given["values"] = [value for value in values if value]
    given["restricted"] = root.findtext(f"{_METADATA}valueSet/{_METADATA}restricted") == "true"
    child_name = text("relationshipName")
    return _field(name, given), f"{child_name}__r" if child_name else None


def _sfdx_reference(name: str, to: str, *, master: bool, deletes: str) -> dict[str, Any]:
    body: dict[str, Any] = {"to": to, "relationship": f"{name.removesuffix('__c')}__r"}
    if master:
        body |= {"required": True, "access": "create"}
    return body | {"cascade": master or deletes == "Cascade"}


def _other_ends(object_name: str, found: Field, child_name: str | None) -> list[tuple[str, ChildRelationship]]:
    relationship = ChildRelationship(child_name, object_name, found.name, found.cascade_delete)
    return [(parent, relationship) for parent in found.reference_to]


# --- tables -------------------------------------------------------------------------------------------------------


def create_tables(connection: sqlite3.Connection, schema: Schema) -> None:
    """Makes a table for each object, or brings the tables of an older database up to the schema.

    One column a field. Text is NOCASE unless the field minds case (NOCASE folds A-Z only; queries fold other letters
    themselves). References are indexed, except those to owner, creator and last modifier. Unique fields are held by a
    unique index over the rows that are neither null nor deleted.
    """
    for each in schema.objects.values():
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
    elif one.external_id or (one.type == "reference" and one.name not in _UNINDEXED):
        yield f'CREATE INDEX IF NOT EXISTS "{table}.{one.name}" ON {target} WHERE "{one.name}" IS NOT NULL'
