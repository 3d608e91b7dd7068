"""Validation rules: conditions that no row may fulfil (Salesforce Help, "Validation Rules").

A rule's condition is SOQL, so it says what a WHERE clause would say about the row, parents and date literals included.
It is asked when the row is written; a row that is refused is put back as it was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from localorg.errors import OrgError
from localorg.permissions import User
from localorg.schema.model import Schema, SObject, ValidationRule
from localorg.soql.compiler import compiled
from localorg.soql.conditions import Value
from localorg.soql.literals import Now, Person
from localorg.soql.plans import Rows


class Check(NamedTuple):
    """A prepared rule. The statement finds the row, by its id, if the row breaks the rule."""

    rule: ValidationRule
    statement: str
    values: tuple[Value, ...]

    def refuse(self, connection: sqlite3.Connection, record_id: str, now: datetime, user: User) -> None:
        """Raise OrgError FIELD_CUSTOM_VALIDATION_EXCEPTION when the row breaks the rule."""
        moment = Now(now, Person(user.id, user.time_zone))
        values = [each if isinstance(each, str | int | float) else each.value(moment) for each in self.values]
        if connection.execute(self.statement, (record_id, *values)).fetchone():
            fields = (self.rule.field,) if self.rule.field else ()
            raise OrgError(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", self.rule.message, fields)


def checks(sobject: SObject, schema: Schema) -> Sequence[Check]:
    """Return the prepared rules of an object. Raise ValueError for a rule that is not a condition on its rows."""
    return tuple(_check(rule, sobject, schema) for rule in sobject.rules)


def _check(rule: ValidationRule, sobject: SObject, schema: Schema) -> Check:
    try:
        plan = compiled(schema, f"SELECT Id FROM {sobject.name} WHERE {rule.condition}", deleted=True)
    except OrgError as error:
        raise ValueError(f"{sobject.name}: the rule {rule.name} cannot be read: {error.message.strip()}") from error
    if not isinstance(plan, Rows) or plan.limit is not None or plan.ordered:
        raise ValueError(f"{sobject.name}: the rule {rule.name} is more than a condition: {rule.condition}")
    table = f'"{sobject.name}" AS {plan.alias}{plan.joins}'
    statement = f'SELECT 1 FROM {table} WHERE {plan.alias}."Id" = ? AND {plan.where}'
    return Check(rule, statement, plan.values)
