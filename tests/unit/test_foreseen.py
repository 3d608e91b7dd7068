"""What an org will refuse, as its describe says."""

from __future__ import annotations

from typing import Any

import pytest

from quotejob.jobtypes import foreseen
from quotejob.jobtypes.foreseen import _Field
from quotejob.usercode.decisions import At, Num
from quotejob.usercode.writes import Verb

OPEN: dict[str, Any] = {
    "createable": True, "updateable": True, "filled": False, "given": False, "length": 0, "values": [],
}  # fmt: skip
FIELDS = {
    field.name.lower(): field
    for field in (
        _Field("Name", **OPEN | {"filled": True, "length": 5}),
        _Field("OwnerId", **OPEN | {"filled": True, "given": True}),
        _Field("Status__c", **OPEN | {"values": ["Draft", "Sent"]}),
        _Field("Total__c", **OPEN),
        _Field("Made__c", **OPEN | {"updateable": False}),
        _Field("IsWon", **OPEN | {"createable": False, "updateable": False}),
    )
}


@pytest.mark.parametrize(
    ("verb", "body", "code"),
    [
        (Verb.INSERT, {"Name": "a"}, None),
        (Verb.INSERT, {"name": "a", "TOTAL__C": Num("1.5"), "Status__c": "Draft", "OwnerId": At(0)}, None),
        (Verb.INSERT, {"Status__c": "Draft"}, "REQUIRED_FIELD_MISSING"),
        (Verb.INSERT, {"Name": ""}, "REQUIRED_FIELD_MISSING"),
        (Verb.INSERT, {"Name": "abcdef"}, "STRING_TOO_LONG"),
        (Verb.INSERT, {"Name": " abcde "}, None),
        (Verb.INSERT, {"Name": "  "}, "REQUIRED_FIELD_MISSING"),
        (Verb.INSERT, {"Name": "a", "Status__c": "draft"}, None),
        (Verb.INSERT, {"Name": "a", "Status__c": "Lost"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        (Verb.INSERT, {"Name": "a", "Status__c": None}, None),
        (Verb.INSERT, {"Name": "a", "IsWon": True}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        (Verb.INSERT, {"Name": "a", "Nope": 1}, "INVALID_FIELD"),
        (Verb.INSERT, {"Name": "a", "Made__c": "x"}, None),
        (Verb.UPDATE, {"Made__c": "x"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        (Verb.UPDATE, {"Total__c": None}, None),
        (Verb.UPDATE, {"Name": None}, "REQUIRED_FIELD_MISSING"),
        (Verb.UPSERT, {"Status__c": "Sent"}, None),
        (Verb.UPSERT, {"Status__c": "Lost"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        (Verb.DELETE, {}, None),
    ],
)
def test_a_write_is_refused_as_the_org_would(verb: Verb, body: dict[str, Any], code: str | None) -> None:
    found = foreseen.refusal({"Deal__c": FIELDS}, [(verb, "Deal__c", body)])
    assert (found and found[0]) == code
    if found is not None:
        assert found[1].startswith("Deal__c.")


def test_nothing_is_said_of_an_object_that_is_not_known() -> None:
    assert foreseen.refusal({}, [(Verb.INSERT, "Deal__c", {"Nope": 1})]) is None
