"""What is deployed into the org: well-formed sfdx source, and no field without somebody who may use it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from quotejob.jobs.job import Status

ROOT = Path(__file__).resolve().parents[2]
METADATA = "{http://soap.sforce.com/2006/04/metadata}"
SOURCE = ROOT / "force-app" / "main" / "default"
FILES = sorted((ROOT / "force-app").rglob("*-meta.xml"))
FIELDS = sorted(SOURCE.glob("objects/*/fields/*.field-meta.xml"))
KINDS = {"field": "CustomField", "object": "CustomObject", "permissionset": "PermissionSet"}


def root_of(path: Path) -> ElementTree.Element:
    return ElementTree.parse(path).getroot()


def text(element: ElementTree.Element, tag: str) -> str | None:
    return element.findtext(METADATA + tag)


def test_project_file_names_the_folder_that_is_deployed() -> None:
    """``sf project deploy start`` finds the source without being told where."""
    project = json.loads((ROOT / "sfdx-project.json").read_text(encoding="utf-8"))
    folders = {package["path"]: package.get("default", False) for package in project["packageDirectories"]}
    # Only the first is for every org: the second compiles after publishing, the third needs Agentforce.
    assert folders == {"force-app": True, "force-app-published": False, "force-app-agentforce": False}
    assert all((ROOT / folder).is_dir() for folder in folders)
    assert re.fullmatch(r"[0-9]{2}\.0", project["sourceApiVersion"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_file_is_well_formed_and_named_after_what_it_holds(path: Path) -> None:
    """The platform takes the name and the kind from the file's name, and refuses a file that says something else."""
    name, kind, _ = path.name.rsplit(".", 2)
    root = root_of(path)
    if kind in KINDS:
        assert root.tag == METADATA + KINDS[kind]
    assert root.tag.startswith(METADATA)
    assert text(root, "fullName") in (None, name)
    if kind == "permissionset":
        assert text(root, "label")
        assert [child.tag for child in root] == sorted(child.tag for child in root), "sf retrieves them sorted"


@pytest.mark.parametrize("object_name", ["Quote", "QuoteLineItem", "Opportunity"])
def test_the_key_fields_are_what_exactly_once_needs(object_name: str) -> None:
    """``jobId:opportunityId`` is 36 + 1 + 18 characters, a line adds its number; the org refuses the second one.

    A sample Opportunity has ``sample:jobId:number``.
    """
    field = root_of(SOURCE / "objects" / object_name / "fields" / "QuoteJobKey__c.field-meta.xml")
    assert text(field, "type") == "Text"
    assert text(field, "unique") == "true"
    assert text(field, "externalId") == "true"
    assert int(text(field, "length") or 0) >= 36 + 1 + 18 + 1 + 10
    assert text(field, "caseSensitive") == "false"


def test_permission_sets_grant_every_field_of_ours_and_only_fields_that_exist() -> None:
    """A field deployed as source is visible to nobody until a permission set says so.

    The platform refuses a grant for a required field, which all who see the record see, and for a field of an event.
    """
    granted: dict[str, set[tuple[str | None, str | None]]] = {}
    for path in SOURCE.glob("permissionsets/*.permissionset-meta.xml"):
        for grant in root_of(path).iter(METADATA + "fieldPermissions"):
            flags = (text(grant, "readable"), text(grant, "editable"))
            granted.setdefault(text(grant, "field") or "", set()).add(flags)
    ours = {f"{path.parts[-3]}.{text(root_of(path), 'fullName')}" for path in FIELDS if _may_be_granted(path)}
    assert ours
    assert set(granted) == ours
    assert all(("true", "true") in flags for flags in granted.values()), "the worker writes each of them"


def _may_be_granted(path: Path) -> bool:
    return not path.parts[-3].endswith(("__e", "__mdt")) and text(root_of(path), "required") != "true"


def test_a_user_can_watch_jobs_and_change_nothing() -> None:
    """The permission set User has no right to create, edit or delete, and no field that it may edit."""
    root = root_of(SOURCE / "permissionsets" / "QuoteJobUser.permissionset-meta.xml")
    granted = {element.tag.removeprefix(METADATA): element.text for parent in root for element in parent}
    rights = [
        (element.tag.removeprefix(METADATA), element.text)
        for parent in root
        if parent.tag in (METADATA + "fieldPermissions", METADATA + "objectPermissions")
        for element in parent
    ]
    assert granted["allowRead"] == "true"
    changing = ("editable", "allowCreate", "allowEdit", "allowDelete", "modifyAllRecords")
    assert {value for tag, value in rights if tag in changing} == {"false"}
    assert not list(root.iter(METADATA + "userPermissions"))
    classes = {element.text for element in root.iter(METADATA + "apexClass")}
    assert classes == {"QuoteJobController", "QuoteJobLook", "QuoteJobPriceOpportunities", "QuoteJobSubmit"}


def test_our_permission_sets_are_named_apart_from_those_that_publishing_makes() -> None:
    """Publishing makes one named as the client, QuoteJob, and one named in openapi.yaml."""
    ours = {path.name.split(".")[0] for path in SOURCE.glob("permissionset*/*")}
    document = yaml.safe_load((ROOT / "openapi.yaml").read_text(encoding="utf-8"))
    made = {
        operation["x-sfdc"]["heroku"]["authorization"]["permissionSet"]
        for path in document["paths"].values()
        for operation in path.values()
        if "x-sfdc" in operation
    }
    assert not ours & (made | {"QuoteJob"})


def test_the_record_of_a_job_has_its_fields() -> None:
    """The worker upserts by JobId__c: unique, and long enough for a job's id."""
    fields = {path.name.split(".")[0]: root_of(path) for path in FIELDS if path.parts[-3] == "QuoteJob__c"}
    key = fields["JobId__c"]
    assert [text(key, tag) for tag in ("unique", "externalId", "required", "length")] == ["true", "true", "true", "36"]
    statuses = [element.text for element in fields["Status__c"].iter(METADATA + "fullName")][1:]
    assert statuses == list(Status)
