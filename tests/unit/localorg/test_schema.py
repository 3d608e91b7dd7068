"""The schema says what describe would, and the tables hold it to its word."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest
from soqlorg import FORCE_APP, SCHEMA

from localorg.schema.loading import load_schema
from localorg.schema.model import Field, Schema
from localorg.schema.tables import create_tables

T = TypeVar("T")


def there(found: T | None) -> T:
    """What was looked for, which must be there."""
    assert found is not None
    return found


def field(path: str, schema: Schema = SCHEMA) -> Field:
    sobject, name = path.split(".")
    return there(there(schema.object(sobject)).field(name))


def test_names_are_found_in_any_case_and_objects_by_prefix() -> None:
    quote = SCHEMA.object("QUOTE")
    assert quote is SCHEMA.by_prefix("0Q0") is SCHEMA.objects["Quote"]
    assert there(quote.field("opportunityID")).name == "OpportunityId"
    assert there(quote.parent("opportunity")).name == "OpportunityId"
    assert there(quote.child("quotelineitems")).child == "QuoteLineItem"
    assert SCHEMA.object("Bogus") is None
    assert SCHEMA.by_prefix("zzz") is None


def test_every_reference_leads_to_an_object_that_knows_its_children() -> None:
    """An event is nobody's child: it is never stored."""
    for sobject in (each for each in SCHEMA.objects.values() if not each.event):
        for each in sobject.fields:
            for target in each.reference_to:
                children = SCHEMA.objects[target].children
                assert any(child.child == sobject.name and child.field == each.name for child in children)


@pytest.mark.parametrize(
    ("path", "required", "createable", "updateable"),
    [
        ("Opportunity.Name", True, True, True),
        ("Opportunity.Amount", False, True, True),
        ("Opportunity.OwnerId", False, True, True),
        ("Opportunity.IsWon", False, False, False),
        ("OpportunityLineItem.OpportunityId", True, True, False),
        ("QuoteLineItem.UnitPrice", True, True, True),
        ("QuoteLineItem.OpportunityLineItemId", False, True, False),
        ("Quote.GrandTotal", False, False, False),
        ("Quote.Status", False, True, True),
        ("Account.Id", False, False, False),
        ("Account.CreatedDate", False, False, False),
    ],
)
def test_what_may_be_written(path: str, required: bool, createable: bool, updateable: bool) -> None:
    found = field(path)
    assert (found.required, found.createable, found.updateable) == (required, createable, updateable)


def test_what_deleting_a_parent_takes_along() -> None:
    cascades = {child.child for child in SCHEMA.objects["Opportunity"].children if child.cascade_delete}
    assert cascades == {"OpportunityLineItem", "Quote"}


def test_a_long_text_can_be_neither_filtered_nor_sorted() -> None:
    assert not field("Opportunity.Description").filterable
    assert not field("Opportunity.Description").sortable
    assert field("Account.BillingStreet").filterable


def test_the_job_key_comes_from_the_sfdx_folder_alone() -> None:
    key = field("Quote.QuoteJobKey__c")
    assert (key.type, key.length, key.label) == ("string", 80, "Quote Job Key")
    assert all([key.unique, key.external_id, key.custom, key.id_lookup, key.nillable])
    assert not key.case_sensitive
    assert load_schema().objects["Quote"].field("QuoteJobKey__c") is None
    ours = {"QuoteJob__c", "QuoteJobProgress__e"}
    assert load_schema([FORCE_APP / "nothing here"]).objects.keys() == SCHEMA.objects.keys() - ours


def _custom(folder: Path, sobject: str, name: str, body: str) -> None:
    file = folder / "objects" / sobject / "fields" / f"{name}.field-meta.xml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f'<CustomField xmlns="http://soap.sforce.com/2006/04/metadata"><fullName>{name}</fullName>'
        f"<label>{name}</label>{body}</CustomField>"
    )


def test_other_custom_fields(tmp_path: Path) -> None:
    _custom(
        tmp_path,
        "Account",
        "Region__c",
        "<type>Picklist</type><valueSet><restricted>true</restricted><valueSetDefinition>"
        "<value><fullName>North</fullName></value><value><fullName>South</fullName></value>"
        "</valueSetDefinition></valueSet>",
    )
    _custom(tmp_path, "Quote", "Score__c", "<type>Number</type><precision>9</precision><scale>3</scale>")
    _custom(
        tmp_path,
        "Quote",
        "Parent__c",
        "<type>Lookup</type><referenceTo>Quote</referenceTo><relationshipName>Kids</relationshipName>",
    )
    _custom(tmp_path, "Job_Event__e", "Text__c", "<type>Text</type>")
    schema = load_schema([tmp_path])
    region, score = field("Account.region__c", schema), field("Quote.Score__c", schema)
    assert (region.picklist, region.restricted) == (("North", "South"), True)
    assert (score.precision, score.scale) == (9, 3)
    assert there(schema.objects["Quote"].parent("Parent__r")).name == "Parent__c"
    assert there(schema.objects["Quote"].child("kids__r")).field == "Parent__c"


def test_a_field_type_it_cannot_keep_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The rest of the project can be tried all the same."""
    _custom(tmp_path, "Quote", "Where__c", "<type>Location</type>")
    _custom(tmp_path, "Quote", "Sum__c", "<type>Number</type><formula>1 + 1</formula>")
    _custom(tmp_path, "Quote", "Other__c", "<type>Text</type><length>5</length>")
    quote = load_schema([tmp_path]).objects["Quote"]
    assert [quote.field(name) is not None for name in ("Where__c", "Sum__c", "Other__c")] == [False, False, True]
    assert "Where__c.field-meta.xml is passed over: this org cannot keep a field of type Location" in caplog.text


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as made:
        create_tables(made, SCHEMA)
        yield made


def test_unique_holds_in_any_case_among_rows_that_are_not_deleted(connection: sqlite3.Connection) -> None:
    insert = 'INSERT INTO Quote (Id, "QuoteJobKey__c", IsDeleted) VALUES (?, ?, ?)'
    connection.execute(insert, ("1", "key", 1))
    connection.execute(insert, ("2", "key", 0))
    connection.execute(insert, ("3", None, 0))
    connection.execute(insert, ("4", None, 0))
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(insert, ("5", "KEY", 0))


def test_an_older_database_gets_the_new_columns() -> None:
    with closing(sqlite3.connect(":memory:")) as made:
        create_tables(made, load_schema())
        create_tables(made, SCHEMA)
        create_tables(made, SCHEMA)
        assert made.execute('SELECT "QuoteJobKey__c" FROM Quote').fetchall() == []


@pytest.mark.parametrize("column", ["OpportunityId", "QuoteJobKey__c"])
def test_looking_up_by_reference_or_key_uses_an_index(connection: sqlite3.Connection, column: str) -> None:
    plan = connection.execute(f'EXPLAIN QUERY PLAN SELECT Id FROM Quote WHERE IsDeleted = 0 AND "{column}" = ?', ("x",))
    assert "USING INDEX" in plan.fetchone()[3]
