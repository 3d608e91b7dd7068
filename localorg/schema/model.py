"""The objects of an org: fields, relationships and rules. loading.py reads them, tables.py makes their tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

DOUBLES = frozenset({"double", "currency", "percent"})  # numbers with decimals
NUMBERS = DOUBLES | {"int"}
TEXTS = frozenset({"string", "textarea", "picklist", "multipicklist", "email", "phone", "url"})
LONG_TEXT = 255  # a textarea longer than this is a "long text area": it can be neither filtered nor sorted


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
    """A condition that no row may fulfil. The org refuses a row for which it holds.

    The condition has the syntax of a SOQL WHERE clause.
    """

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
    event: bool = False  # a platform event: published, and not a row
    after_commit: bool = False  # an event that is sent only if its transaction is not rolled back
    rules: tuple[ValidationRule, ...] = ()
    _fields: dict[str, Field] = field(default_factory=dict, repr=False, compare=False)
    _parents: dict[str, Field] = field(default_factory=dict, repr=False, compare=False)
    _children: dict[str, ChildRelationship] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._fields.update((each.name.lower(), each) for each in self.fields)
        self._parents.update((each.relationship_name.lower(), each) for each in self.fields if each.relationship_name)
        self._children.update((each.name.lower(), each) for each in self.children if each.name)

    def field(self, name: str) -> Field | None:
        """Return the field with this name, in any case."""
        return self._fields.get(name.lower())

    def parent(self, relationship: str) -> Field | None:
        """Return the reference field of a parent relationship name ("Account" gives AccountId), in any case."""
        return self._parents.get(relationship.lower())

    def child(self, relationship: str) -> ChildRelationship | None:
        """Return the child relationship with this plural name ("OpportunityLineItems"), in any case."""
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

    def object(self, name: str) -> SObject | None:
        """Return the object with this name, in any case."""
        return self._by_name.get(name.lower())

    def by_prefix(self, prefix: str) -> SObject | None:
        """Return the object whose ids start with these three characters."""
        return self._by_prefix.get(prefix)
