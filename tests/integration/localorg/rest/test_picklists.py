"""Restricted picklists over REST and Bulk: one value, or several."""

from __future__ import annotations

from pathlib import Path

import _bulk as bulk
import pytest
from _server import Server, Start

SCHEMA = """
objects:
  Shirt__c:
    label: Shirt
    plural: Shirts
    fields:
      Sizes__c: {type: multipicklist, values: [Small, Medium, Large], restricted: true}
      Colours__c: {type: multipicklist, values: [Red, Blue]}
"""
REFUSED = "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
SAYS = "Sizes__c: bad value for restricted picklist field: Huge"


@pytest.fixture
def shop(start: Start, tmp_path: Path) -> Server:
    file = tmp_path / "org.yaml"
    file.write_text(SCHEMA)
    return start("--schema", str(file))


def test_a_restricted_field_of_many_values_takes_no_others(shop: Server) -> None:
    """Each value has to be one of the list, in any case; they are kept in the order in which they were given."""
    kept = shop.create("Shirt__c", Sizes__c="Large; small;", Colours__c="Green;Red")
    assert (shop.row("Shirt__c", kept)["Sizes__c"], shop.row("Shirt__c", kept)["Colours__c"]) == (
        "Large;Small",
        "Green;Red",
    )
    for answer in (
        shop.post("sobjects/Shirt__c", {"Sizes__c": "Small;Huge"}),
        shop.patch(f"sobjects/Shirt__c/{kept}", {"Sizes__c": "Huge"}),
    ):
        assert answer.status_code == 400
        assert answer.json() == [{"message": SAYS, "errorCode": REFUSED, "fields": ["Sizes__c"]}]
    assert shop.patch(f"sobjects/Shirt__c/{kept}", {"Sizes__c": ""}).status_code == 204
    assert shop.row("Shirt__c", kept)["Sizes__c"] is None


def test_so_it_is_in_bulk(shop: Server) -> None:
    job = bulk.open(shop, "Shirt__c")
    bulk.work(shop, job, "Sizes__c\nSmall;Medium\nSmall;Huge\n")
    assert [row["Sizes__c"] for row in bulk.rows(shop, job, "successfulResults")] == ["Small;Medium"]
    assert bulk.errors(shop, job) == [f"{REFUSED}:{SAYS}:Sizes__c --"]
