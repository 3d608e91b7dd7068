"""Rows: made, read, changed and deleted under the rules the platform applies to every object.

The rules are those of the REST API guide ("sObject Basic Information", "sObject Rows", "sObject Rows by External ID")
and the field properties of the Object Reference; what is special to quoting is in quoting.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from localorg import errors
from localorg.errors import OrgError
from localorg.ids import IdFactory, normalise
from localorg.quoting import Quoting, lost_reference
from localorg.schema import Field, Schema, SObject
from localorg.values import Reader, reader, stamp, text_reader

LATEST = "66.0"
"""The newest API version served."""


class SeveralMatches(OrgError):
    """An external id that fits more than one row; ids are theirs. REST answers 300 with a list of their addresses."""

    def __init__(self, object_name: str, field_name: str, value: object, ids: Sequence[str]) -> None:
        message = f"{field_name}: more than one record found for external id field: [{', '.join(ids)}]"
        super().__init__(300, "DUPLICATE_EXTERNAL_ID", message, ())
        self.object_name = object_name
        self.value = value
        self.ids = tuple(ids)


class _Slot:
    """How one field is written: its readers, and what its references may point at."""

    __slots__ = ("createable", "field", "name", "read", "read_text", "target", "updateable")

    def __init__(self, field: Field, schema: Schema) -> None:
        self.field = field
        self.name = field.name
        self.createable = field.createable
        self.updateable = field.updateable
        self.read: Reader = reader(field)
        self.read_text: Reader = text_reader(field)
        self.target = {schema.objects[name].key_prefix: _exists(name) for name in field.reference_to}


def _exists(object_name: str) -> str:
    """SQL giving one row (whether it is deleted) if the object has a row with this id."""
    return f'SELECT "IsDeleted" FROM "{object_name}" WHERE "Id" = ?'


class _Plan:
    """Everything about an object that every write of it asks, worked out once."""

    def __init__(self, sobject: SObject, schema: Schema, user_id: str) -> None:
        self.sobject = sobject
        self.name = sobject.name
        self.prefix = sobject.key_prefix
        self.slots: dict[str, _Slot] = {}
        for field in sobject.fields:
            self.slots[field.name] = self.slots[field.name.lower()] = _Slot(field, schema)
        self.columns = tuple(field.name for field in sobject.fields)
        self.required = tuple(field.name for field in sobject.fields if field.required)
        self.kept_filled = frozenset(f.name for f in sobject.fields if f.updateable and not f.nillable)
        self.unique = tuple(field.name for field in sobject.fields if field.unique)
        # A boolean that is false by default is left to the column's own default, 0.
        self.defaults = {f.name: _default(f, user_id) for f in sobject.fields if _default(f, user_id)}
        self.select_row = f'SELECT {_quoted(self.columns)} FROM "{self.name}" WHERE "Id" = ?'
        self.booleans = frozenset(field.name for field in sobject.fields if field.type == "boolean")
        self.has_bin = "IsDeleted" in self.columns

    def slot(self, key: str) -> _Slot | None:
        """The field with this name, in any case."""
        return self.slots.get(key) or self.slots.get(key.lower())


def _default(field: Field, user_id: str) -> Any:
    return user_id if field.default == "$user" else field.default


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


class Records:
    """The rows of one org; used in the database thread, inside a transaction.

    Object and field names are taken in any case, ids with 15 or 18 characters. Every refusal is an OrgError, and a
    refused write leaves nothing behind.
    """

    def __init__(
        self,
        schema: Schema,
        connection: sqlite3.Connection,
        ids: IdFactory,
        *,
        clock: Callable[[], datetime],
        user_id: str,
    ) -> None:
        self._schema = schema
        self._db = connection
        self._ids = ids
        self._clock = clock
        self._user_id = user_id
        self._plans = {name: _Plan(each, schema, user_id) for name, each in schema.objects.items()}
        self._inserts: dict[tuple[str, ...], str] = {}
        self.quoting = Quoting(connection, self.now)

    def now(self) -> str:
        """The org's time as columns keep it."""
        return stamp(self._clock())

    # --- create ---------------------------------------------------------------------------------------------------

    def create(self, object_name: str, body: Mapping[str, Any], *, text: bool = False) -> str:
        """Inserts a row and returns its id. With text, every value is a CSV cell: "" is not given, "#N/A" is null."""
        plan = self._plan(object_name)
        if not plan.sobject.createable:
            raise _wrong_operation("inserted", plan)
        given = self._read(plan, body, text, creating=True)
        missing = [name for name in plan.required if given.get(name) is None]
        if missing and (missing := self.quoting.still_missing(plan.name, given, missing)):
            raise errors.required_missing(missing)
        return self._insert(plan, given)

    def _insert(self, plan: _Plan, given: dict[str, Any]) -> str:
        self._check_references(plan, given)
        now = self.now()
        row = {**plan.defaults, **{name: value for name, value in given.items() if value is not None}}
        self.quoting.creating(plan.name, row)
        record_id = row["Id"] = self._ids.next(plan.prefix)
        row["CreatedDate"] = row["LastModifiedDate"] = row["SystemModstamp"] = now
        row["CreatedById"] = row["LastModifiedById"] = self._user_id
        try:
            self._db.execute(self._insert_sql(plan.name, tuple(row)), tuple(row.values()))
        except sqlite3.IntegrityError:
            self._explain_duplicate(plan, row)
            raise
        self.quoting.created(plan.name, row)
        return record_id

    def _insert_sql(self, table: str, columns: tuple[str, ...]) -> str:
        key = (table, *columns)
        statement = self._inserts.get(key)
        if statement is None:
            marks = ", ".join("?" * len(columns))
            statement = f'INSERT INTO "{table}" ({_quoted(columns)}) VALUES ({marks})'
            self._inserts[key] = statement
        return statement

    def _explain_duplicate(self, plan: _Plan, row: Mapping[str, Any]) -> None:
        """Raises DUPLICATE_VALUE for the unique field whose value another row has."""
        for name in plan.unique:
            for other in self.find(plan.name, name, row.get(name)):
                if other != row["Id"]:
                    raise errors.duplicate_value(name, other) from None

    # --- reading a body -------------------------------------------------------------------------------------------

    def _read(self, plan: _Plan, body: Mapping[str, Any], text: bool, *, creating: bool) -> dict[str, Any]:
        """What a body says, as columns keep it. Fields that may not be written are refused, all at once."""
        given: dict[str, Any] = {}
        refused: list[str] = []
        for key, value in body.items():
            slot = plan.slots.get(key) or plan.slots.get(key.lower())
            if text and value == "":
                continue
            if slot is None:
                self._read_other(plan, key, value, text, given, refused, creating)
            elif not (slot.createable if creating else slot.updateable):
                _refuse(slot, text, refused)
            else:
                given[slot.name] = slot.read_text(value) if text else slot.read(value)
        if refused:
            raise errors.read_only(refused)
        return given

    def _read_other(
        self,
        plan: _Plan,
        key: str,
        value: Any,
        text: bool,
        given: dict[str, Any],
        refused: list[str],
        creating: bool,
    ) -> None:
        """A key that names no field: `attributes`, or a parent named by one of its external ids."""
        if key.lower() == "attributes" and not text:
            return
        relationship, _, foreign = key.partition(".")
        field = plan.sobject.parent(relationship)
        if field is None or bool(foreign) != text:
            raise errors.no_such_column(key, plan.name)
        if not (field.createable if creating else field.updateable):
            refused.append(field.name)
            return
        by = {foreign: value} if text else value
        given[field.name] = None if by is None else self._parent_id(field, by)

    def _parent_id(self, field: Field, by: Any) -> str:
        """The id of the parent that an object like {"Code__c": "x"} points at."""
        keys = [key for key in by if key.lower() != "attributes"] if isinstance(by, dict) else []
        if len(keys) != 1:
            raise errors.json_parser_error(f"{field.relationship_name}: one external id field and its value expected")
        parent = self._plan(field.reference_to[0])
        slot = parent.slot(keys[0])
        if slot is None or not slot.field.id_lookup:
            raise errors.invalid_field(f"{keys[0]} is neither an external id nor an id lookup field of {parent.name}")
        found = self.find(parent.name, slot.name, by[keys[0]])
        if len(found) > 1:
            raise SeveralMatches(parent.name, slot.name, by[keys[0]], found)
        if not found:
            what = f"Foreign key external ID: {by[keys[0]]} not found for field {slot.name} in entity {parent.name}"
            raise errors.invalid_field(what, (field.name,))
        return found[0]

    def _check_references(self, plan: _Plan, given: Mapping[str, Any]) -> None:
        for name, value in given.items():
            targets = plan.slots[name].target
            if targets and value is not None:
                self._check_reference(plan.slots[name].field, targets, value)

    def _check_reference(self, field: Field, targets: Mapping[str, str], value: str) -> None:
        statement = targets.get(value[:3])
        if statement is None:
            what = f"{field.label}: id value of incorrect type: {value}"
            raise OrgError(400, "MALFORMED_ID", what, (field.name,))
        found = self._db.execute(statement, (value,)).fetchone()
        if found is None or found[0]:
            raise lost_reference(field.name, deleted=found is not None)

    # --- update ---------------------------------------------------------------------------------------------------

    def update(self, object_name: str, record_id: str, body: Mapping[str, Any], *, text: bool = False) -> None:
        """Changes the fields that the body names. With text, as in create."""
        plan = self._plan(object_name)
        if not plan.sobject.updateable:
            raise _wrong_operation("updated", plan)
        old = self._row(plan, record_id)
        changes = self._read(plan, body, text, creating=False)
        emptied = [name for name, value in changes.items() if value is None and name in plan.kept_filled]
        for name in plan.booleans.intersection(emptied):
            changes[name] = plan.defaults.get(name, 0)
        if emptied := [name for name in emptied if name not in plan.booleans]:
            raise errors.required_missing(emptied)
        self._check_references(plan, {name: value for name, value in changes.items() if value != old[name]})
        self.quoting.updating(plan.name, old, changes)
        self._write(plan, old, changes)
        self.quoting.updated(plan.name, old, changes)

    def _write(self, plan: _Plan, old: Mapping[str, Any], changes: dict[str, Any]) -> None:
        now = self.now()
        stamps = {"LastModifiedDate": now, "LastModifiedById": self._user_id, "SystemModstamp": now}
        values = {**changes, **stamps}
        settings = ", ".join(f'"{name}" = ?' for name in values)
        try:
            self._db.execute(f'UPDATE "{plan.name}" SET {settings} WHERE "Id" = ?', (*values.values(), old["Id"]))
        except sqlite3.IntegrityError:
            self._explain_duplicate(plan, {**old, **values})
            raise

    # --- upsert ---------------------------------------------------------------------------------------------------

    def upsert(
        self,
        object_name: str,
        field_name: str,
        value: Any,
        body: Mapping[str, Any],
        *,
        text: bool = False,
        update_only: bool = False,
    ) -> tuple[str, bool]:
        """Updates the row with this external id, or creates one; gives its id and whether it was created.

        The body must not name the field itself (in CSV rows it may). Raises SeveralMatches when more than one row fits.
        """
        plan = self._plan(object_name)
        slot = self._key_slot(plan, field_name)
        if not text:
            _refuse_key(slot, body)
        rest = {key: each for key, each in body.items() if plan.slot(key) is not slot}
        found = self._matching(plan, slot, value)
        if len(found) > 1:
            raise SeveralMatches(plan.name, slot.name, value, found)
        if found:
            self.update(plan.name, found[0], rest, text=text)
            return found[0], False
        if update_only or slot.name == "Id":
            raise errors.external_id_not_found(str(value))
        return self.create(plan.name, {**rest, slot.name: value}, text=text), True

    def _key_slot(self, plan: _Plan, field_name: str) -> _Slot:
        slot = plan.slot(field_name)
        if slot is None or not (slot.field.external_id or slot.field.id_lookup):
            raise errors.external_id_not_found(field_name)
        return slot

    def _matching(self, plan: _Plan, slot: _Slot, value: Any) -> list[str]:
        if slot.name != "Id":
            return self.find(plan.name, slot.name, value)
        return [self._row(plan, value)["Id"]]

    # --- delete ---------------------------------------------------------------------------------------------------

    def delete(self, object_name: str, record_id: str) -> None:
        """Puts a row and what hangs on it into the recycle bin; a line deleted by itself is gone for good."""
        plan = self._plan(object_name)
        if not plan.sobject.deletable:
            raise _wrong_operation("deleted", plan)
        row = self._row(plan, record_id)
        self.quoting.deleting(plan.name, row)
        if plan.sobject.skips_recycle_bin:
            self._remove(plan, row)
        else:
            self._bin(plan, row, self.now())

    def _remove(self, plan: _Plan, row: Mapping[str, Any]) -> None:
        for child in plan.sobject.children:
            statement = f'UPDATE "{child.child}" SET "{child.field}" = NULL WHERE "{child.field}" = ?'
            self._db.execute(statement, (row["Id"],))
        self._db.execute(f'DELETE FROM "{plan.name}" WHERE "Id" = ?', (row["Id"],))
        self.quoting.deleted(plan.name, row)

    def _bin(self, plan: _Plan, row: Mapping[str, Any], now: str) -> None:
        self._db.execute(
            f'UPDATE "{plan.name}" SET "IsDeleted" = 1, "LastModifiedDate" = ?, "SystemModstamp" = ? WHERE "Id" = ?',
            (now, now, row["Id"]),
        )
        for child in plan.sobject.children:
            if child.cascade_delete:
                self._bin_children(self._plans[child.child], child.field, row["Id"], now)
        self.quoting.deleted(plan.name, row)

    def _bin_children(self, plan: _Plan, field_name: str, parent: str, now: str) -> None:
        columns = _quoted(plan.columns)
        statement = f'SELECT {columns} FROM "{plan.name}" WHERE "{field_name}" = ? AND "IsDeleted" = 0'
        for values in self._db.execute(statement, (parent,)).fetchall():
            self._bin(plan, dict(zip(plan.columns, values, strict=True)), now)

    # --- read -----------------------------------------------------------------------------------------------------

    def get(
        self, object_name: str, record_id: str, fields: Sequence[str] | None = None, *, version: str = LATEST
    ) -> dict[str, Any]:
        """A row as REST shows it: `attributes`, then the fields asked for (all of them by default)."""
        plan = self._plan(object_name)
        names = plan.columns if fields is None else tuple(self._known(plan, name) for name in fields)
        self.settle()
        row = self._row(plan, record_id)
        url = f"/services/data/v{version}/sobjects/{plan.name}/{row['Id']}"
        shown: dict[str, Any] = {"attributes": {"type": plan.name, "url": url}}
        for name in dict.fromkeys(names):
            shown[name] = bool(row[name]) if name in plan.booleans else row[name]
        return shown

    def _known(self, plan: _Plan, name: str) -> str:
        slot = plan.slot(name.strip())
        if slot is None:
            raise errors.no_such_column(name, plan.name)
        return slot.name

    def find(self, object_name: str, field_name: str, value: Any) -> list[str]:
        """Ids of the rows whose field has this value, rows in the recycle bin left out."""
        plan = self._plan(object_name)
        name = self._known(plan, field_name)
        stored = plan.slots[name].read(value)
        if stored is None:
            return []
        alive = ' AND "IsDeleted" = 0' if plan.has_bin else ""
        statement = f'SELECT "Id" FROM "{plan.name}" WHERE "{name}" = ?{alive} ORDER BY "Id"'
        return [row[0] for row in self._db.execute(statement, (stored,))]

    def by_key(self, object_name: str, field_name: str, value: Any) -> str:
        """The id of the one row with this external id; raises NOT_FOUND or SeveralMatches."""
        plan = self._plan(object_name)
        slot = self._key_slot(plan, field_name)
        found = self._matching(plan, slot, value)
        if len(found) > 1:
            raise SeveralMatches(plan.name, slot.name, value, found)
        if not found:
            raise errors.not_found()
        return found[0]

    def _row(self, plan: _Plan, record_id: str) -> dict[str, Any]:
        """A row as stored; raises when there is none, or it is in the recycle bin."""
        full = normalise(record_id)
        if full is None and len(record_id) in (15, 18):
            what = f"Record ID: id value of incorrect type: {record_id}"
            raise OrgError(400, "MALFORMED_ID", what, ("Id",))
        values = self._db.execute(plan.select_row, (full,)).fetchone()
        if values is None:
            raise errors.external_id_not_found(record_id)
        row = dict(zip(plan.columns, values, strict=True))
        if row.get("IsDeleted"):
            raise errors.entity_is_deleted()
        return row

    def _plan(self, object_name: str) -> _Plan:
        plan = self._plans.get(object_name)
        if plan is not None:
            return plan
        sobject = self._schema.object(object_name)
        if sobject is None:
            raise errors.not_found()
        return self._plans[sobject.name]

    # --- totals ---------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Computes the totals of the parents touched since the last time; a transaction does so before it commits."""
        self.quoting.settle()

    def forget(self) -> None:
        """Drops what was touched: it has been rolled back."""
        self.quoting.forget()


def _refuse(slot: _Slot, text: bool, refused: list[str]) -> None:
    """Notes a field that may not be written; an Id in the body has words of its own."""
    if slot.name == "Id" and not text:
        raise errors.invalid_field("The Id field should not be specified in the sobject data.", ("Id",))
    if not (slot.name == "Id" and text):
        refused.append(slot.name)


def _refuse_key(slot: _Slot, body: Mapping[str, Any]) -> None:
    if any(key.lower() == slot.name.lower() for key in body):
        message = f"The {slot.name} field should not be specified in the sobject data."
        raise errors.invalid_field(message, (slot.name,))


def _wrong_operation(done: str, plan: _Plan) -> OrgError:
    return OrgError(400, "INVALID_TYPE_FOR_OPERATION", f"entity type cannot be {done}: {plan.name}")
