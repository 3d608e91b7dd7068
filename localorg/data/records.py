"""Rows: create, read, change and delete them under the rules that the platform applies to every object.

The rules are those of the REST API guide ("sObject Basic Information", "sObject Rows", "sObject Rows by External ID")
and the field properties of the Object Reference; what is special to quoting is in quoting.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from localorg import errors
from localorg.data.quoting import Quoting, lost_reference
from localorg.data.rules import Check, checks
from localorg.data.tables import Slot, Table, numbered
from localorg.data.values import Unfit, stamp, unfit_json, unfit_text
from localorg.errors import OrgError
from localorg.ids import IdFactory, normalise
from localorg.numbers import double
from localorg.permissions import Action, User, check
from localorg.schema.model import Field, Schema
from localorg.versions import LATEST

"""The newest API version served."""
_MOST_REMEMBERED = 50_000  # ids


class SeveralMatches(OrgError):
    """An external id that fits more than one row; ids are theirs. REST answers 300 with a list of their addresses."""

    def __init__(self, object_name: str, field_name: str, value: object, ids: Sequence[str]) -> None:
        message = f"{field_name}: more than one record found for external id field: [{', '.join(ids)}]"
        super().__init__(300, "DUPLICATE_EXTERNAL_ID", message, ())
        self.object_name = object_name
        self.value = value
        self.ids = tuple(ids)


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
        user: User,
    ) -> None:
        self.user = user
        """Whoever reads and writes now; set before each piece of work."""
        self._schema = schema
        self._db = connection
        self._ids = ids
        self._clock = clock
        self._tables = {name: Table(each, schema) for name, each in schema.objects.items() if not each.event}
        self._checks = {name: checks(each, schema) for name, each in schema.objects.items()}
        self._moment: str | None = None
        self._alive: set[str] = set()  # ids that references were seen to lead to
        self.quoting = Quoting(connection, self._now)
        if connection.execute("PRAGMA database_list").fetchone()[2]:
            ids.keep(connection)

    def now(self) -> str:
        """Return the org's time in the form that columns keep."""
        return stamp(self._clock())

    def _now(self) -> str:
        """Return the time that all rows of one transaction get."""
        if self._moment is None:
            self._moment = self.now()
        return self._moment

    # --- create ---------------------------------------------------------------------------------------------------

    def create(self, object_name: str, body: Mapping[str, Any], *, text: bool = False) -> str:
        """Insert a row and return its id. With text, every value is a CSV cell: "" is not given, "#N/A" is null."""
        table = self._table(object_name)
        check(self.user, table.name, Action.CREATE)
        if not table.sobject.createable:
            raise _wrong_operation("inserted", table)
        given = self._read(table, body, text, creating=True)
        missing = [name for name in table.required if given.get(name) is None]
        if missing and (missing := self.quoting.still_missing(table.name, given, missing)):
            raise errors.required_missing(missing)
        return self._insert(table, given)

    def _insert(self, table: Table, given: dict[str, Any]) -> str:
        self._check_references(table, given)
        if None in given.values():
            given = {name: value for name, value in given.items() if value is not None}
        row = {**table.defaults, **given}
        user_id, now = self.user.id, self._now()
        for name in table.owners:
            row.setdefault(name, user_id)
        self.quoting.creating(table.name, row)
        record_id = row["Id"] = self._ids.next(table.prefix)
        row["CreatedDate"] = row["LastModifiedDate"] = row["SystemModstamp"] = now
        row["CreatedById"] = row["LastModifiedById"] = user_id
        if table.named:
            self._name(table, row)
        try:
            self._db.execute(table.insert(row), tuple(row.values()))
        except sqlite3.IntegrityError:
            self._explain_duplicate(table, row)
            raise
        if checks := self._checks[table.name]:
            self._validate(checks, record_id, table.remove, ())
        self.quoting.created(table.name, row)
        return record_id

    def _name(self, table: Table, row: dict[str, Any]) -> None:
        """Fill in auto-numbers. A custom object's row without a name gets its id as its name."""
        for name, pattern in table.numbered:
            row[name] = numbered(pattern, self._ids.count(table.prefix))
        if table.sobject.custom:
            row.setdefault("Name", row["Id"])

    def _validate(self, checks: Sequence[Check], record_id: str, undo: str, values: Sequence[Any]) -> None:
        """Check the validation rules on a row just written. If one refuses it, undo the write and raise OrgError."""
        try:
            for rule in checks:
                rule.refuse(self._db, record_id, self._clock(), self.user)
        except OrgError:
            self._db.execute(undo, (*values, record_id))
            raise

    def _explain_duplicate(self, table: Table, row: Mapping[str, Any]) -> None:
        """Raise DUPLICATE_VALUE for the unique field whose value another row has."""
        for name in table.unique:
            for other in self.find(table.name, name, row.get(name)):
                if other != row["Id"]:
                    raise errors.duplicate_value(name, other) from None

    # --- reading a body -------------------------------------------------------------------------------------------

    def _read(self, table: Table, body: Mapping[str, Any], text: bool, *, creating: bool) -> dict[str, Any]:
        """Return a body's values in the form that columns keep. Refuse all fields that may not be written, together."""
        given: dict[str, Any] = {}
        refused: list[str] = []
        for key, value in body.items():
            if text and value == "":
                continue
            slot = table.slots.get(key) or table.slots.get(key.lower())
            if slot is None:
                self._read_other(table, key, value, text, given, refused, creating)
            elif not (slot.createable if creating else slot.updateable):
                _refuse(slot, text, refused)
            elif value is None or (text and value == "#N/A"):
                given[slot.name] = None
            else:
                try:
                    given[slot.name] = slot.parse(value)
                except Unfit:
                    raise (unfit_text if text else unfit_json)(slot.field, value) from None
        if refused:
            raise errors.read_only(refused)
        return given

    def _read_other(
        self,
        table: Table,
        key: str,
        value: Any,
        text: bool,
        given: dict[str, Any],
        refused: list[str],
        creating: bool,
    ) -> None:
        """Read a key that names no field: `attributes`, or a parent named by one of its external ids."""
        if key.lower() == "attributes" and not text:
            return
        relationship, _, foreign = key.partition(".")
        field = table.sobject.parent(relationship)
        if field is None or bool(foreign) != text:
            raise errors.no_such_column(key, table.name)
        if not (field.createable if creating else field.updateable):
            refused.append(field.name)
            return
        by = {foreign: value} if text else value
        given[field.name] = None if by is None else self._parent_id(field, by)

    def _parent_id(self, field: Field, by: Any) -> str:
        """Return the id of the parent that an object like {"Code__c": "x"} refers to."""
        keys = [key for key in by if key.lower() != "attributes"] if isinstance(by, dict) else []
        if len(keys) != 1:
            raise errors.json_parser_error(f"{field.relationship_name}: one external id field and its value expected")
        parent = self._table(field.reference_to[0])
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

    def _check_references(self, table: Table, given: Mapping[str, Any], old: Mapping[str, Any] | None = None) -> None:
        """Check that references lead to rows, except those that did not change (old)."""
        for slot in table.references:
            value = given.get(slot.name)
            if value is None or (old is not None and old[slot.name] == value):
                continue
            if value not in self._alive or value[:3] not in slot.targets:
                self._check_reference(slot.field, slot.targets, value)

    def _check_reference(self, field: Field, targets: Mapping[str, str], value: str) -> None:
        statement = targets.get(value[:3])
        if statement is None:
            what = f"{field.label}: id value of incorrect type: {value}"
            raise OrgError(400, "MALFORMED_ID", what, (field.name,))
        found = self._db.execute(statement, (value,)).fetchone()
        if found is None or found[0]:
            raise lost_reference(field.name, deleted=found is not None)
        if len(self._alive) >= _MOST_REMEMBERED:
            self._alive.clear()
        self._alive.add(value)

    # --- update ---------------------------------------------------------------------------------------------------

    def update(self, object_name: str, record_id: str, body: Mapping[str, Any], *, text: bool = False) -> None:
        """Change the fields that the body names. With text, as in create."""
        table = self._table(object_name)
        check(self.user, table.name, Action.EDIT)
        if not table.sobject.updateable:
            raise _wrong_operation("updated", table)
        old = self._row(table, record_id)
        changes = self._read(table, body, text, creating=False)
        emptied = [name for name, value in changes.items() if value is None and name in table.kept_filled]
        for name in table.booleans.intersection(emptied):
            changes[name] = table.defaults.get(name, 0)
        if emptied := [name for name in emptied if name not in table.booleans]:
            raise errors.required_missing(emptied)
        self._check_references(table, changes, old)
        self.quoting.updating(table.name, old, changes)
        self._write(table, old, changes)
        self.quoting.updated(table.name, old, changes)

    def _write(self, table: Table, old: Mapping[str, Any], changes: dict[str, Any]) -> None:
        now = self._now()
        values = {**changes, "LastModifiedDate": now, "LastModifiedById": self.user.id, "SystemModstamp": now}
        try:
            self._db.execute(table.update(values), (*values.values(), old["Id"]))
        except sqlite3.IntegrityError:
            self._explain_duplicate(table, {**old, **values})
            raise
        if checks := self._checks[table.name]:
            self._validate(checks, old["Id"], table.update(values), [old[name] for name in values])

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
        """Update the row with this external id, or create one. Return its id and whether it was created.

        The body must not name the field itself (in CSV rows it may). Raises SeveralMatches when more than one row fits.
        """
        table = self._table(object_name)
        slot = self._key_slot(table, field_name)
        if not text:
            _refuse_key(slot, body)
        rest = {key: each for key, each in body.items() if table.slot(key) is not slot}
        found = self._matching(table, slot, value)
        if len(found) > 1:
            raise SeveralMatches(table.name, slot.name, value, found)
        if found:
            self.update(table.name, found[0], rest, text=text)
            return found[0], False
        if update_only or slot.name == "Id":
            raise errors.external_id_not_found(str(value))
        return self.create(table.name, {**rest, slot.name: value}, text=text), True

    def _key_slot(self, table: Table, field_name: str) -> Slot:
        slot = table.slot(field_name)
        if slot is None or not (slot.field.external_id or slot.field.id_lookup):
            raise errors.external_id_not_found(field_name)
        return slot

    def _matching(self, table: Table, slot: Slot, value: Any) -> list[str]:
        if slot.name != "Id":
            return self.find(table.name, slot.name, value)
        return [self._row(table, value)["Id"]]

    # --- delete ---------------------------------------------------------------------------------------------------

    def delete(self, object_name: str, record_id: str, *, hard: bool = False) -> None:
        """Move a row and its dependent rows to the recycle bin. With hard, and for lines, delete them for good."""
        table = self._table(object_name)
        check(self.user, table.name, Action.HARD_DELETE if hard else Action.DELETE)
        if not table.sobject.deletable:
            raise _wrong_operation("deleted", table)
        row = self._row(table, record_id)
        self.quoting.deleting(table.name, row)
        self._alive.clear()
        if hard or table.sobject.skips_recycle_bin:
            self._remove(table, row)
        else:
            self._bin(table, row, self._now())

    def _remove(self, table: Table, row: Mapping[str, Any]) -> None:
        """Remove a row and its dependent rows. Empty other references to it."""
        for name, statement in table.kin:
            kin = self._tables[name]
            for values in self._db.execute(statement, (row["Id"],)).fetchall():
                self._remove(kin, kin.row(values))
        for statement in table.loosen:
            self._db.execute(statement, (row["Id"],))
        self._db.execute(table.remove, (row["Id"],))
        if not row.get("IsDeleted"):
            self.quoting.deleted(table.name, row)

    def _bin(self, table: Table, row: Mapping[str, Any], now: str) -> None:
        self._db.execute(table.put_in_bin, (now, now, row["Id"]))
        for name, statement in table.kin:
            kin = self._tables[name]
            for values in self._db.execute(statement, (row["Id"],)).fetchall():
                child = kin.row(values)
                if not child["IsDeleted"]:
                    self._bin(kin, child, now)
        self.quoting.deleted(table.name, row)

    # --- read -----------------------------------------------------------------------------------------------------

    def get(
        self, object_name: str, record_id: str, fields: Sequence[str] | None = None, *, version: str = LATEST
    ) -> dict[str, Any]:
        """Return a row as REST shows it: `attributes`, then the requested fields (all of them by default)."""
        table = self._table(object_name)
        check(self.user, table.name, Action.READ)
        names = table.columns if fields is None else tuple(self._known(table, name) for name in fields)
        self.settle()
        row = self._row(table, record_id)
        url = f"/services/data/v{version}/sobjects/{table.name}/{row['Id']}"
        shown: dict[str, Any] = {"attributes": {"type": table.name, "url": url}}
        for name in dict.fromkeys(names):
            shown[name] = row[name]
            if name in table.booleans:
                shown[name] = bool(row[name])
            elif name in table.doubles:
                shown[name] = double(row[name])
        return shown

    def _known(self, table: Table, name: str) -> str:
        slot = table.slot(name.strip())
        if slot is None:
            raise errors.no_such_column(name, table.name)
        return slot.name

    def find(self, object_name: str, field_name: str, value: Any) -> list[str]:
        """Return the ids of the rows whose field has this value, without rows in the recycle bin."""
        table = self._table(object_name)
        name = self._known(table, field_name)
        stored = None if value is None else self._stored(table.slots[name], value)
        if stored is None:
            return []
        alive = ' AND "IsDeleted" = 0' if table.has_bin else ""
        statement = f'SELECT "Id" FROM "{table.name}" WHERE "{name}" = ?{alive} ORDER BY "Id"'
        return [row[0] for row in self._db.execute(statement, (stored,))]

    def _stored(self, slot: Slot, value: Any) -> Any:
        try:
            return slot.parse(value)
        except Unfit:
            raise unfit_json(slot.field, value) from None

    def by_key(self, object_name: str, field_name: str, value: Any) -> str:
        """Return the id of the one row with this external id. Raise NOT_FOUND or SeveralMatches."""
        table = self._table(object_name)
        slot = self._key_slot(table, field_name)
        found = self._matching(table, slot, value)
        if len(found) > 1:
            raise SeveralMatches(table.name, slot.name, value, found)
        if not found:
            raise errors.not_found()
        return found[0]

    def _row(self, table: Table, record_id: str) -> dict[str, Any]:
        """Return a row as stored. Raise an error when there is none, or it is in the recycle bin."""
        full = normalise(record_id)
        if full is None and len(record_id) in (15, 18):
            what = f"Record ID: id value of incorrect type: {record_id}"
            raise OrgError(400, "MALFORMED_ID", what, ("Id",))
        values = self._db.execute(table.select_row, (full,)).fetchone()
        if values is None:
            raise errors.external_id_not_found(record_id)
        row = table.row(values)
        if row.get("IsDeleted"):
            raise errors.entity_is_deleted()
        return row

    def _table(self, object_name: str) -> Table:
        table = self._tables.get(object_name)
        if table is not None:
            return table
        sobject = self._schema.object(object_name)
        if sobject is None or sobject.event:
            raise errors.not_found()
        return self._tables[sobject.name]

    # --- totals ---------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Compute the totals of the parents changed since the last time. A transaction does so before its commit."""
        self.quoting.settle()
        self._moment = None

    def forget(self) -> None:
        """Forget the noted changes and the cached rows, because the transaction has been rolled back."""
        self.quoting.forget()
        self._ids.forget()
        self._alive.clear()
        self._moment = None


def _refuse(slot: Slot, text: bool, refused: list[str]) -> None:
    """Note a field that may not be written. An Id in the body has its own message."""
    if slot.name == "Id" and not text:
        raise errors.invalid_field("The Id field should not be specified in the sobject data.", ("Id",))
    if not (slot.name == "Id" and text):
        refused.append(slot.name)


def _refuse_key(slot: Slot, body: Mapping[str, Any]) -> None:
    if any(key.lower() == slot.name.lower() for key in body):
        message = f"The {slot.name} field should not be specified in the sobject data."
        raise errors.invalid_field(message, (slot.name,))


def _wrong_operation(done: str, table: Table) -> OrgError:
    return OrgError(400, "INVALID_TYPE_FOR_OPERATION", f"entity type cannot be {done}: {table.name}")
