"""The work of a job on its rows, one transaction after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol, TypeVar

from localorg import errors
from localorg.bulk.orders import Operation
from localorg.bulk.rows import Row
from localorg.data.values import row_id
from localorg.errors import OrgError
from localorg.ids import normalise
from localorg.org import Org
from localorg.schema.model import Schema, SObject


class Unreadable(Exception):
    """The error when rows cannot be processed, or not to their end; the text is the errorMessage of the job."""


class Ordered(Protocol):
    """What the creator of a job ordered, as far as it concerns rows."""

    @property
    def sobject(self) -> SObject:
        """The object of all rows."""

    @property
    def operation(self) -> Operation:
        """What is done with each row."""

    @property
    def external_id(self) -> str | None:
        """The field by which an upsert finds its rows."""


T = TypeVar("T")
Answer = tuple[str, str] | OrgError
"""What became of a row: its id and whether it was created, "true" or "false"; or why it was refused."""

Write = Callable[[Row], tuple[str, str]]
"""Writes one row and gives its answer. Raises OrgError."""


class Operations:
    """A job's operation, prepared for the columns of its rows."""

    def __init__(self, org: Org, order: Ordered, columns: Row) -> None:
        """Prepare the operation; raise Unreadable when a column names no field."""
        self._org = org
        self._records = org.records
        self._name = order.sobject.name
        self._sobject = order.sobject
        self._key = order.external_id or "Id"
        self._columns = columns
        _check_columns(order, columns, org.schema)
        # The position of the key column, for operations on rows that exist already.
        self._at = _position(columns, self._key)
        self._write = self._writes()[order.operation]
        self._by_key = order.operation is Operation.UPSERT
        self._doubled: frozenset[str] = frozenset()

    def _writes(self) -> dict[Operation, Write]:
        return {
            Operation.INSERT: self._insert,
            Operation.UPDATE: self._update,
            Operation.UPSERT: self._upsert,
            Operation.DELETE: self._delete,
            Operation.HARD_DELETE: self._hard_delete,
        }

    def work(self, rows: list[Row], note: Callable[[list[Answer]], T]) -> T:
        """Write rows in a transaction of their own; a row that fails does not stop the others.

        note gets the answer to each row, in their order. It is called inside the transaction, so that what it saves is
        saved if the rows are. Return what it returns.
        """
        try:
            return self._org.in_transaction(self._noted, rows, note)
        except OrgError as error:
            # The whole transaction was refused.
            return note([error] * len(rows))

    def _noted(self, rows: list[Row], note: Callable[[list[Answer]], T]) -> T:
        return note(self._each(rows))

    def _each(self, rows: list[Row]) -> list[Answer]:
        if self._by_key and self._at is not None:
            self._doubled = self._more_than_once(rows, self._at)
        answers: list[Answer] = []
        write, width = self._write, len(self._columns)
        locks = self._org.faults.may_lock_rows
        for row in rows:
            try:
                if len(row) != width:
                    raise _wrong_width(row, width)
                if locks:
                    self._lock()
                answers.append(write(row))
            except OrgError as error:
                answers.append(_of_row(error))
        return answers

    def _lock(self) -> None:
        """Raise the error of a row that another transaction has locked, when such a fault is ordered."""
        if fault := self._org.faults.lock_row(self._name):
            error = errors.unable_to_lock_row()
            raise OrgError(error.status, error.code, fault.message or error.message, error.fields)

    def id_in(self, row: Row) -> str:
        """Return the id of a failed row, if the row has one: with 18 characters if it is an id at all."""
        given = row[self._at] if self._key == "Id" and self._at is not None and self._at < len(row) else ""
        return normalise(given) or given

    def _body(self, row: Row) -> dict[str, str]:
        return dict(zip(self._columns, row, strict=True))

    def _given(self, row: Row, verb: str) -> str:
        value = "" if self._at is None else row[self._at]
        if not value:
            raise OrgError(400, "MISSING_ARGUMENT", f"{self._key} not specified in {verb} call", (self._key,))
        return value

    def _id(self, row: Row, verb: str) -> str:
        return row_id(self._sobject, self._given(row, verb))

    # --- one row --------------------------------------------------------------------------------------------------

    def _insert(self, row: Row) -> tuple[str, str]:
        if self._at is not None and row[self._at]:
            raise OrgError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", ("Id",))
        return self._records.create(self._name, self._body(row), text=True), "true"

    def _update(self, row: Row) -> tuple[str, str]:
        record_id = self._id(row, "an update")
        self._records.update(self._name, record_id, self._body(row), text=True)
        return record_id, "false"

    def _upsert(self, row: Row) -> tuple[str, str]:
        if self._key == "Id" and (self._at is None or not row[self._at]):
            return self._records.create(self._name, self._body(row), text=True), "true"
        value = self._given(row, "an upsert")
        if value.lower() in self._doubled:
            raise OrgError(400, "DUPLICATE_VALUE", f"Duplicate external id specified: {value}", (self._key,))
        if self._key == "Id":
            value = row_id(self._sobject, value)
        record_id, created = self._records.upsert(self._name, self._key, value, self._body(row), text=True)
        return record_id, "true" if created else "false"

    def _delete(self, row: Row) -> tuple[str, str]:
        record_id = self._id(row, "a delete")
        self._records.delete(self._name, record_id)
        return record_id, "false"

    def _hard_delete(self, row: Row) -> tuple[str, str]:
        record_id = self._id(row, "a delete")
        self._records.delete(self._name, record_id, hard=True)
        return record_id, "false"

    def _more_than_once(self, rows: list[Row], at: int) -> frozenset[str]:
        """Return the external ids, in lower case, that several rows of a transaction have: none of these is written."""
        counted = Counter(row[at].lower() for row in rows if at < len(row) and row[at])
        return frozenset(value for value, count in counted.items() if count > 1)


def _of_row(error: OrgError) -> OrgError:
    """Return the error of a row. A row has no address, so nothing can be "not found"."""
    return errors.invalid_cross_reference() if error.code == "NOT_FOUND" else error


def said(error: OrgError) -> str:
    """Return an error in the form of `sf__Error`: `CODE:message:fields --`."""
    fields = " ".join(error.fields or ())
    return f"{error.code}:{error.message}:{fields}{' ' if fields else ''}--"


def invalid_row(reason: str) -> OrgError:
    """Refuse a row that is not as CSV should be."""
    return OrgError(400, "INVALID_ROW", reason, ())


def _wrong_width(row: Row, width: int) -> OrgError:
    return invalid_row(f"The row has {len(row)} values, the header row names {width} fields")


def _position(columns: Row, name: str) -> int | None:
    return next((at for at, column in enumerate(columns) if column.lower() == name.lower()), None)


# --- the header row -----------------------------------------------------------------------------------------------


def _check_columns(job: Ordered, columns: Row, schema: Schema) -> None:
    if job.operation in (Operation.DELETE, Operation.HARD_DELETE):
        if [column.lower() for column in columns] != ["id"]:
            raise Unreadable(f"InvalidBatch : The '{job.operation}' batch must contain only ids")
        return
    seen: set[str] = set()
    for column in columns:
        _check_column(job.sobject, column, schema)
        if column.lower() in seen:
            raise Unreadable(f"InvalidBatch : Duplicate field name : {column}")
        seen.add(column.lower())


def _check_column(sobject: SObject, column: str, schema: Schema) -> None:
    if sobject.field(column) is not None:
        return
    relationship, _, foreign = column.partition(".")
    parent = sobject.parent(relationship)
    targets = parent.reference_to if parent else ()
    if not any(target.field(foreign) for name in targets if (target := schema.object(name))):
        raise Unreadable(f"InvalidBatch : Field name not found : {column}")
