"""An org of one's own shape: objects, fields and rules from a YAML file and from an sfdx project."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localorg.errors import OrgError
from localorg.org import Org
from localorg.schema.describe import describe, describe_global
from localorg.schema.loading import load_schema
from localorg.schema.model import Schema
from localorg.seed import populate

FILE = """
objects:
  Invoice__c:
    label: Invoice
    plural: Invoices
    name: {numbered: "INV-{0000}", label: Invoice Number}
    fields:
      Account__c: {type: reference, to: Account, children: Invoices__r, cascade: true, required: true}
      Amount__c: {type: currency, label: Amount}
      Code__c: {type: string, length: 20, unique: true, external_id: true}
      Status__c: {type: picklist, values: [Draft, Sent], restricted: true, default: Draft}
      Due__c: {type: date}
    rules:
      - {name: Positive, rule: "Amount__c < 0", message: Not below zero., field: Amount__c}
      - {name: Swiss, rule: "Account__r.BillingCountry = 'CH' AND Due__c < TODAY", message: Too late.}
  Line__c:
    fields:
      Invoice__c: {type: reference, to: Invoice__c, children: Lines__r, cascade: true, required: true, access: create}
  Account:
    fields:
      Region__c: {type: string, length: 10}
    rules:
      - {name: NoPluto, rule: "BillingCountry = 'Pluto'", message: No such country.}
  Invoice_Sent__e:
    fields:
      Number__c: {type: string, length: 20}
"""

Opened = Callable[[str], Org]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Opens an org, filled, with the schema file of this text."""
    orgs: list[Org] = []

    def opening(text: str) -> Org:
        file = tmp_path / "schema.yaml"
        file.write_text(text)
        org = Org(load_schema(files=[file]), path=tmp_path / "org.db")
        orgs.append(org)
        populate(org)
        return org

    yield opening
    for org in orgs:
        org.close()


def _create(org: Org, name: str, **body: Any) -> str:
    return org.in_transaction(org.records.create, name, body)


def _refused(org: Org, do: Callable[[], Any]) -> OrgError:
    with pytest.raises(OrgError) as refused:
        org.in_transaction(do)
    return refused.value


def test_a_custom_object_is_an_object(opened: Opened) -> None:
    """Rows, numbers, picklists, external ids, sub-queries, cascade."""
    org = opened(FILE)
    account = _create(org, "Account", Name="Buyer", Region__c="South")
    first = _create(org, "Invoice__c", Account__c=account, Amount__c=5, Code__c="A")
    _create(org, "Line__c", Invoice__c=first)
    second = _create(org, "invoice__c", Account__c=account, Code__c="B")
    rows = list(org.soql.rows("SELECT Name, Status__c, OwnerId, (SELECT Id, Name FROM Lines__r) FROM Invoice__c"))
    numbers = [row["Name"] for row in rows]
    assert [number[:4] for number in numbers] == ["INV-", "INV-"]
    assert int(numbers[1][4:]) == int(numbers[0][4:]) + 1
    assert (rows[0]["Status__c"], rows[0]["OwnerId"]) == ("Draft", org.user.id)
    (line,) = rows[0]["Lines__r"]["records"]
    assert line["Name"] == line["Id"], "a row without a name is called by its id"
    assert len(list(org.soql.rows("SELECT Id FROM Account WHERE Region__c = 'south'"))) == 1
    (parent,) = org.soql.rows(f"SELECT Account__r.Name FROM Invoice__c WHERE Id = '{first}'")
    assert parent["Account__r"]["Name"] == "Buyer"
    again = {"Account__c": account, "Code__c": "a"}
    assert _refused(org, lambda: org.records.create("Invoice__c", again)).code == "DUPLICATE_VALUE"
    wrong = {"Account__c": account, "Status__c": "Lost"}
    error = _refused(org, lambda: org.records.create("Invoice__c", wrong))
    assert error.code == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
    assert _refused(org, lambda: org.records.create("Invoice__c", {})).code == "REQUIRED_FIELD_MISSING"
    org.in_transaction(org.records.delete, "Account", account)
    assert list(org.soql.rows("SELECT Id FROM Line__c")) == []
    assert org.schema.by_prefix(second[:3]) is org.schema.objects["Invoice__c"]


def test_rules_refuse_and_leave_nothing(opened: Opened) -> None:
    """With the rule's words, on its field; a row that was there stays as it was."""
    org = opened(FILE)
    account = _create(org, "Account", Name="Buyer", BillingCountry="CH")
    negative = {"Account__c": account, "Amount__c": -1}
    error = _refused(org, lambda: org.records.create("Invoice__c", negative))
    assert error.body() == [
        {"message": "Not below zero.", "errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "fields": ["Amount__c"]}
    ]
    assert list(org.soql.rows("SELECT Id FROM Invoice__c")) == []
    invoice = _create(org, "Invoice__c", Account__c=account, Amount__c=1)

    def spoil() -> None:
        with pytest.raises(OrgError, match="Not below zero"):
            org.records.update("Invoice__c", invoice, {"Amount__c": -5, "Code__c": "x"})

    org.in_transaction(spoil)
    row = org.records.get("Invoice__c", invoice)
    assert (row["Amount__c"], row["Code__c"]) == (1.0, None)
    late = {"Account__c": account, "Due__c": "2020-01-01"}
    assert _refused(org, lambda: org.records.create("Invoice__c", late)).message == "Too late."
    assert _refused(org, lambda: _pluto(org)).message == "No such country."


def _pluto(org: Org) -> str:
    return org.records.create("Account", {"Name": "x", "BillingCountry": "pluto"})


def test_an_event_is_described_and_not_kept(opened: Opened) -> None:
    org = opened(FILE)
    event = org.schema.objects["Invoice_Sent__e"]
    assert event.event
    assert [field.name for field in event.fields] == [
        "ReplayId",
        "EventUuid",
        "CreatedDate",
        "CreatedById",
        "Number__c",
    ]
    assert [field.name for field in event.fields if field.createable] == ["Number__c"]
    assert (event.createable, event.updateable, event.deletable, event.queryable) == (True, False, False, False)
    assert describe(event, "66.0")["name"] == "Invoice_Sent__e"
    summaries = {each["name"]: each for each in describe_global(org.schema, "66.0")["sobjects"]}
    assert summaries["Invoice__c"]["custom"]
    with pytest.raises(OrgError, match="Invoice_Sent__e"):
        org.soql.query("SELECT Id FROM Invoice_Sent__e")


def test_the_prefix_stays_when_objects_come_and_go(tmp_path: Path) -> None:
    one = "objects: {B__c: {}}"
    two = "objects: {A__c: {}, B__c: {}, C__c: {prefix: a0C}}"
    first, second = (_load(tmp_path, text).objects["B__c"].key_prefix for text in (one, two))
    assert first == second
    assert first[0] == "a"


def _load(folder: Path, text: str) -> Schema:
    file = folder / "schema.yaml"
    file.write_text(text)
    return load_schema(files=[file])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- x", "the file: keys and values are expected"),
        ("objects: {Bogus: {}}", "Bogus: there is no such object"),
        ("objects: {A__c: {colour: red}}", "A__c: unknown colour"),
        ("objects: {A__c: {prefix: '006'}}", "006 belongs to another object"),
        ("objects: {A__c: {prefix: long}}", "A__c.prefix: three letters"),
        ("objects: {A__c: {fields: {B: {type: string}}}}", "A__c.B: the name of a field"),
        ("objects: {A__c: {fields: {B__c: {type: text}}}}", "A__c.B__c.type: 'text' is not one of boolean"),
        ("objects: {A__c: {fields: {B__c: {type: string, length: ten}}}}", "A__c.B__c.length: 'ten' is not a int"),
        ("objects: {A__c: {fields: {B__c: {type: string, size: 5}}}}", "A__c.B__c: unknown size"),
        ("objects: {A__c: {fields: {B__c: {type: reference}}}}", "A__c.B__c: a reference"),
        ("objects: {A__c: {fields: {B__c: {type: reference, to: X}}}}", "there is no object X"),
        ("objects: {A__c: {rules: [{name: R}]}}", "A__c.rules: each rule has a rule"),
        ("objects: [", "schema.yaml"),
    ],
)
def test_a_file_that_makes_no_schema(opened: Opened, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"schema\.yaml") as refused:
        opened(text)
    assert said in str(refused.value)


@pytest.mark.parametrize("rule", ["Bogus__c = 1", "Name = 'x' LIMIT 1", "Name =", "Name = 'x' ORDER BY Name"])
def test_a_rule_that_is_no_condition(opened: Opened, rule: str) -> None:
    with pytest.raises(ValueError, match="A__c: the rule R"):
        opened(f'objects: {{A__c: {{rules: [{{name: R, rule: "{rule}", message: m}}]}}}}')
    assert "A__c" in opened("objects: {A__c: {}}").schema.objects  # the file is not locked


def test_an_auto_number_on_a_standard_object(opened: Opened) -> None:
    """The org writes it, and nobody else."""
    org = opened("objects: {Opportunity: {fields: {No__c: {type: string, numbered: 'O-{00}'}}}}")
    fields = {"Name": "x", "StageName": "Prospecting", "CloseDate": "2026-01-01"}
    made = _create(org, "Opportunity", **fields)
    assert org.records.get("Opportunity", made)["No__c"].startswith("O-")
    refused = _refused(org, lambda: org.records.create("Opportunity", {**fields, "No__c": "O-77"}))
    assert refused.code == "INVALID_FIELD_FOR_INSERT_UPDATE"


# --- sfdx ---------------------------------------------------------------------------------------------------------


def _metadata(folder: Path, path: str, kind: str, body: str) -> None:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'<{kind} xmlns="http://soap.sforce.com/2006/04/metadata">{body}</{kind}>')


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The source folder of a project with a custom object, an event, shared picklist values and rules."""
    folder = tmp_path / "force-app"
    _metadata(
        folder,
        "objects/Trip__c/Trip__c.object-meta.xml",
        "CustomObject",
        "<label>Trip</label><pluralLabel>Trips</pluralLabel><sharingModel>ControlledByParent</sharingModel>"
        "<nameField><type>AutoNumber</type><label>No.</label><displayFormat>T{000}</displayFormat></nameField>",
    )
    _metadata(
        folder,
        "objects/Trip__c/fields/Account__c.field-meta.xml",
        "CustomField",
        "<fullName>Account__c</fullName><type>MasterDetail</type><referenceTo>Account</referenceTo>"
        "<relationshipName>Trips</relationshipName>",
    )
    _metadata(
        folder,
        "objects/Trip__c/fields/Mood__c.field-meta.xml",
        "CustomField",
        "<fullName>Mood__c</fullName><type>Picklist</type><valueSet><valueSetName>Moods</valueSetName></valueSet>",
    )
    _metadata(
        folder,
        "globalValueSets/Moods.globalValueSet-meta.xml",
        "GlobalValueSet",
        "<customValue><fullName>Glad</fullName></customValue>"
        "<customValue><fullName>Old</fullName><isActive>false</isActive></customValue>",
    )
    _metadata(
        folder,
        "objects/Trip__c/fields/Contact__c.field-meta.xml",
        "CustomField",
        "<fullName>Contact__c</fullName><type>Lookup</type><referenceTo>Contact</referenceTo>",
    )
    _metadata(
        folder,
        "objects/Trip_Done__e/Trip_Done__e.object-meta.xml",
        "CustomObject",
        "<label>Trip Done</label><eventType>HighVolume</eventType>"
        "<publishBehavior>PublishImmediately</publishBehavior>",
    )
    _metadata(
        folder,
        "objects/Trip_Done__e/fields/Percent__c.field-meta.xml",
        "CustomField",
        "<fullName>Percent__c</fullName><type>Number</type><precision>3</precision><scale>0</scale>",
    )
    for name, active, formula in (
        ("Glad", "true", 'ISPICKVAL(Mood__c, "Glad") &amp;&amp; ISBLANK(Account__r.Phone)'),
        ("Off", "false", "ISBLANK(Mood__c)"),
        ("Hard", "true", "LEN(Name) &gt; 1"),
    ):
        _metadata(
            folder,
            f"objects/Trip__c/validationRules/{name}.validationRule-meta.xml",
            "ValidationRule",
            f"<fullName>{name}</fullName><active>{active}</active><errorConditionFormula>{formula}"
            "</errorConditionFormula><errorMessage>Call first.</errorMessage>"
            "<errorDisplayField>Mood__c</errorDisplayField>",
        )
    return folder


def test_a_project_gives_the_org_its_shape(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    org = Org(load_schema([project]))
    populate(org)
    trip = org.schema.objects["Trip__c"]
    assert (trip.label, trip.label_plural, trip.field("OwnerId")) == ("Trip", "Trips", None)
    account = _create(org, "Account", Name="a")
    made = _create(org, "Trip__c", Account__c=account)
    assert org.records.get("Trip__c", made)["Name"].startswith("T")
    glad = {"Account__c": account, "Mood__c": "glad"}
    error = _refused(org, lambda: org.records.create("Trip__c", glad))
    assert (error.message, error.fields) == ("Call first.", ("Mood__c",))
    old = {"Account__c": account, "Mood__c": "Old"}
    assert "RESTRICTED_PICKLIST" in _refused(org, lambda: org.records.create("Trip__c", old)).code
    (row,) = org.soql.rows("SELECT Id, (SELECT Id FROM Trips__r) FROM Account WHERE Name = 'a'")
    assert row["Trips__r"]["totalSize"] == 1
    done = org.schema.objects["Trip_Done__e"]
    percent = done.field("Percent__c")
    assert done.event
    assert percent is not None
    assert (percent.precision, percent.scale) == (3, 0)
    assert trip.field("Contact__c") is None
    assert "this org has no object Contact" in caplog.text
    assert "Hard.validationRule-meta.xml is passed over" in caplog.text
    org.close()


def test_xml_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "objects/Quote/fields/A__c.field-meta.xml"
    file.parent.mkdir(parents=True)
    file.write_text("<CustomField>")
    with pytest.raises(ValueError, match=r"A__c\.field-meta\.xml"):
        load_schema([tmp_path])
