"""Rows: what a class reads, how an org's record becomes one, and what the org lacks."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, Literal

import pytest

from quotejob.errors import OrgRefused
from quotejob.usercode.rows import (
    BadRecord,
    Row,
    children,
    columns,
    decode,
    flat,
    missing,
    object_of,
    path,
    read,
    select_list,
)
from quotejob.usercode.writes import Skip


class Level(StrEnum):
    GOLD = "Gold"


class Line(Row, frozen=True, kw_only=True):
    sobject: ClassVar[str] = "ContractLine__c"
    Price__c: Decimal
    Months__c: int | None = None


class Contract(Row, frozen=True, kw_only=True):
    EndDate: date
    SignedAt: datetime | None
    Level__c: Level | None = None
    kind: Literal["new", "old"] | None = path("Kind__c", default=None)
    country: str | None = path("Account.BillingCountry")
    lines: tuple[Line, ...] = children("Lines__r")


def record(**changed: Any) -> dict[str, Any]:
    return {
        "attributes": {"type": "Contract"},
        "Id": "800000000000001AAA",
        "EndDate": "2027-01-31",
        "SignedAt": "2026-11-27T10:25:25.000+0000",
        "Level__c": "Gold",
        "Kind__c": None,
        "Account": {"attributes": {"type": "Account"}, "BillingCountry": "DE"},
        "Lines__r": [
            {"attributes": {}, "Id": "a01000000000001AAA", "Price__c": Decimal("7.50"), "Months__c": Decimal("12.0")}
        ],
        **changed,
    }


def test_the_query_follows_from_the_class() -> None:
    assert select_list(columns(Contract)) == (
        "Id, EndDate, SignedAt, Level__c, Kind__c, Account.BillingCountry, "
        "(SELECT Id, Price__c, Months__c FROM Lines__r ORDER BY Id)"
    )
    assert (object_of(Contract), object_of(Line)) == ("Contract", "ContractLine__c")


def test_a_record_becomes_a_row() -> None:
    """Numbers are Decimal or int without any float, times are aware UTC."""
    assert read(Contract, record()) == Contract(
        Id="800000000000001AAA",
        EndDate=date(2027, 1, 31),
        SignedAt=datetime(2026, 11, 27, 10, 25, 25, tzinfo=UTC),
        Level__c=Level.GOLD,
        country="DE",
        lines=(Line(Id="a01000000000001AAA", Price__c=Decimal("7.50"), Months__c=12),),
    )


def test_values_survive_json_and_make_the_same_row() -> None:
    """What goes to another process has text instead of Decimal; the row is the same."""
    import msgspec

    values = flat(columns(Contract), record())
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(values))
    assert decode(Contract, sent) == decode(Contract, values)


def test_an_org_may_spell_names_otherwise_and_lack_parents() -> None:
    given = record(Account=None, Lines__r=None)
    given["enddate"] = given.pop("EndDate")
    made = read(Contract, given)
    assert (made.EndDate, made.country, made.lines) == (date(2027, 1, 31), None, ())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"EndDate": None}, "Contract.EndDate is empty in the org: write `| None` in its type if that may be so"),
        ({"EndDate": "soon"}, "Contract.EndDate: invalid RFC3339 encoded date"),
        ({"Level__c": "Tin"}, "Contract.Level__c: invalid enum value 'Tin'"),
        ({"Kind__c": "odd"}, "Contract.Kind__c: invalid enum value 'odd'"),
        ({"Account": {"BillingCountry": 7}}, "Contract.Account.BillingCountry: expected `str | null`, got `int`"),
        ({"Lines__r": [{"Id": "a01", "Price__c": None}]}, "Contract.Lines__r[0].Price__c is empty in the org"),
        (
            {"Lines__r": [{"Id": "a01", "Price__c": 1, "Months__c": Decimal("1.5")}]},
            "Contract.Lines__r[0].Months__c: expected `int | null`, got `decimal`",
        ),
    ],
)
def test_a_value_that_the_type_does_not_allow_fails_its_record(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRecord) as refused:
        read(Contract, record(**changed))
    assert refused.value.code == "BAD_RECORD"
    assert refused.value.message.startswith(said)


def test_a_class_that_cannot_be_read_says_why() -> None:
    class Floats(Row, frozen=True, kw_only=True):
        Amount: float | None

    class Twice(Row, frozen=True, kw_only=True):
        Name: str
        again: str = path("name")

    class Nowhere(Row, frozen=True, kw_only=True):
        owner: str = path("Owner..Name")

    for row, said in (
        (Floats, "Floats.Amount: the type float cannot be read; use Decimal, not float"),
        (Twice, "Twice: two attributes read name"),
        (Nowhere, "Nowhere.owner: 'Owner..Name' is neither a field nor a path"),
    ):
        with pytest.raises(TypeError, match=said):
            columns(row)


def described(sobject: str) -> dict[str, Any]:
    def field(name: str, relationship: str | None = None, *to: str) -> dict[str, Any]:
        return {"name": name, "relationshipName": relationship, "referenceTo": list(to)}

    orgs = {
        "Contract": [field("Id"), field("EndDate"), field("AccountId", "Account", "Account")],
        "Account": [field("Id"), field("Name")],
        "ContractLine__c": [field("Id")],
    }
    if sobject not in orgs:
        raise OrgRefused("The requested resource does not exist", code="NOT_FOUND")
    lines = {"relationshipName": "Lines__r", "childSObject": "ContractLine__c"}
    return {"fields": orgs[sobject], "childRelationships": [lines] if sobject == "Contract" else []}


def test_everything_that_the_org_lacks_is_named() -> None:
    assert missing("Contract", columns(Contract), described) == [
        "Contract.SignedAt",
        "Contract.Level__c",
        "Contract.Kind__c",
        "Contract.Account.BillingCountry",
        "Contract.Lines__r.Price__c",
        "Contract.Lines__r.Months__c",
    ]
    assert missing("Nothing__c", columns(Line), described) == [
        "Nothing__c.Id", "Nothing__c.Price__c", "Nothing__c.Months__c"
    ]  # fmt: skip


def test_a_skip_names_its_record() -> None:
    assert Line(Id="a01", Price__c=Decimal(1)).skip("no") == Skip("a01", "no")
