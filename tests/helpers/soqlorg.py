"""A small org for the SOQL tests: its tables, a way to put rows in, and a clock that stands still."""

from __future__ import annotations

import sqlite3
import weakref
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from localorg.errors import OrgError
from localorg.ids import IdFactory
from localorg.schema.loading import load_schema
from localorg.schema.model import Schema
from localorg.schema.tables import create_tables
from localorg.soql import Soql

FORCE_APP = Path(__file__).parents[2] / "force-app"
SCHEMA = load_schema([FORCE_APP])


class SoqlOrg:
    """Rows go in with `add`; `soql` answers. It is Wednesday, 15 May 2024, 03:00 UTC: still Tuesday in California."""

    def __init__(self, zone: str = "UTC", schema: Schema = SCHEMA) -> None:
        self.now = datetime(2024, 5, 15, 3, tzinfo=UTC)
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        weakref.finalize(self, self.connection.close)  # Python 3.13 warns of a database that nobody closed
        create_tables(self.connection, schema)
        self.schema = schema
        self.ids = IdFactory(7)
        self.soql = Soql(
            schema, self.connection, clock=lambda: self.now, user_id="005000000000001AAA", time_zone=ZoneInfo(zone)
        )

    def add(self, name: str, **values: Any) -> str:
        sobject = self.schema.object(name)
        assert sobject is not None
        values = {"Id": self.ids.next(sobject.key_prefix), **values}
        columns = ", ".join(f'"{key}"' for key in values)
        places = ", ".join("?" * len(values))
        self.connection.execute(f'INSERT INTO "{name}" ({columns}) VALUES ({places})', list(values.values()))
        return str(values["Id"])

    def body(self, text: str, **options: Any) -> dict[str, Any]:
        return self.soql.query(text, **options).body

    def values(self, text: str, key: str = "Name") -> list[Any]:
        return [record[key] for record in self.soql.rows(text)]

    def refusal(self, text: str) -> OrgError:
        with pytest.raises(OrgError) as refused:
            self.soql.query(text)
        assert refused.value.status == 400
        return refused.value
