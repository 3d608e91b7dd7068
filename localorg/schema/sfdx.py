"""The objects of an sfdx project: `objects/` of a source folder, read for what this org can keep.

Read are custom objects and platform events (`*.object-meta.xml`), custom fields (`fields/*.field-meta.xml`), validation
rules (`validationRules/*.validationRule-meta.xml`, those that formula.py understands) and global value sets. Metadata
API guide: "CustomObject", "CustomField", "ValidationRule", "GlobalValueSet".
"""

from __future__ import annotations

import logging
import xml.etree.ElementTree as xml
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localorg.numbers import whole
from localorg.schema.customs import complete, custom_object
from localorg.schema.formula import Unknown, condition
from localorg.schema.model import ValidationRule

log = logging.getLogger("localorg.schema")

_METADATA = "{http://soap.sforce.com/2006/04/metadata}"
_TYPES = {
    "AutoNumber": "string",
    "Checkbox": "boolean",
    "Currency": "currency",
    "Date": "date",
    "DateTime": "datetime",
    "Email": "email",
    "EncryptedText": "string",
    "Html": "textarea",
    "LongTextArea": "textarea",
    "Lookup": "reference",
    "MasterDetail": "reference",
    "MultiselectPicklist": "multipicklist",
    "Number": "double",
    "Percent": "percent",
    "Phone": "phone",
    "Picklist": "picklist",
    "Text": "string",
    "TextArea": "textarea",
    "Url": "url",
}


def add(described: dict[str, dict[str, Any]], folder: Path) -> None:
    """Add the contents of a source folder to the objects described so far.

    Raise ValueError for a file that is not XML.
    """
    for file, root in read(folder, "object"):
        if file.parent.name.endswith(("__c", "__e")):
            described[file.parent.name] = custom_object(file.parent.name, _object(root), described)
    values = {file.name.split(".")[0]: _texts(root, "customValue") for file, root in read(folder, "globalValueSet")}
    for file, root in read(folder, "field"):
        if file.parent.name == "fields" and (body := _body_for(described, file)):
            _add_field(described, body, root, file, values)
    for file, root in read(folder, "validationRule"):
        if file.parent.name == "validationRules" and (body := _body_for(described, file)):
            _add_rule(body, root, file)


def read(folder: Path, kind: str) -> Iterator[tuple[Path, xml.Element]]:
    """Yield every file of a kind below a folder, in the order of their names."""
    for file in sorted(folder.rglob(f"*.{kind}-meta.xml")):
        try:
            yield file, xml.parse(file).getroot()  # noqa: S314 - the user's own files
        except xml.ParseError as error:
            raise ValueError(f"{file}: {error}") from error


def _body_for(described: dict[str, dict[str, Any]], file: Path) -> dict[str, Any] | None:
    name = file.parent.parent.name
    if name not in described and not name.endswith("__mdt"):  # settings of Apex are no business of this org
        log.warning("%s is passed over: this org has no object %s", file.name, name)
    return described.get(name)


def text(root: xml.Element, path: str, default: str = "") -> str:
    """Return the text of an element below this one."""
    whole = "/".join(f"{_METADATA}{tag}" for tag in path.split("/"))
    return (root.findtext(whole) or default).strip()


def flag(root: xml.Element, path: str) -> bool:
    """Return whether an element says true."""
    return text(root, path) == "true"


def _texts(root: xml.Element, tag: str) -> list[str]:
    """Return the names of the picklist values that are in use."""
    found = [each for each in root.iter(f"{_METADATA}{tag}") if text(each, "isActive", "true") == "true"]
    return [name for each in found if (name := text(each, "fullName"))]


# --- objects ------------------------------------------------------------------------------------------------------


def _object(root: xml.Element) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for tag, key in (("label", "label"), ("pluralLabel", "plural")):
        if said := text(root, tag):
            body[key] = said
    if text(root, "nameField/type") == "AutoNumber":
        body["name"] = {"numbered": text(root, "nameField/displayFormat", "{0}")}
    if label := text(root, "nameField/label"):
        body.setdefault("name", {})["label"] = label
    body["owned"] = text(root, "sharingModel") != "ControlledByParent"
    body["after_commit"] = text(root, "publishBehavior") == "PublishAfterCommit"
    return body


# --- fields -------------------------------------------------------------------------------------------------------


def _add_field(
    described: dict[str, dict[str, Any]],
    body: dict[str, Any],
    root: xml.Element,
    file: Path,
    values: dict[str, list[str]],
) -> None:
    name, kind = text(root, "fullName", file.name.split(".")[0]), text(root, "type")
    if not name.endswith("__c"):
        return  # a project's settings for a standard field do not affect its rows
    if kind not in _TYPES or root.find(f"{_METADATA}formula") is not None:
        log.warning("%s is passed over: this org cannot keep a field of type %s, or a formula", file, kind)
        return
    given = _field(root, name, kind, values)
    if given.get("to", "User") not in described:
        log.warning("%s is passed over: this org has no object %s", file, given["to"])
        return
    body["fields"][name] = complete(given)


def _field(root: xml.Element, name: str, kind: str, values: dict[str, list[str]]) -> dict[str, Any]:
    given: dict[str, Any] = {"type": _TYPES[kind], "label": text(root, "label", name)}
    for tag, key in (("unique", "unique"), ("externalId", "external_id"), ("required", "required")):
        given[key] = text(root, tag) == "true"
    given["case_sensitive"] = text(root, "caseSensitive") == "true"
    for tag in ("length", "precision", "scale"):
        if (number := whole(text(root, tag))) is not None:
            given[tag] = number
    if kind == "AutoNumber":
        given["numbered"] = text(root, "displayFormat", "{0}")
    if kind == "Checkbox":
        given["default"] = text(root, "defaultValue") == "true"
    if kind in ("Lookup", "MasterDetail"):
        given |= _reference(root, name, kind)
    if kind in ("Picklist", "MultiselectPicklist"):
        given |= _picklist(root, values)
    return given


def _reference(root: xml.Element, name: str, kind: str) -> dict[str, Any]:
    given: dict[str, Any] = {"to": text(root, "referenceTo"), "relationship": f"{name.removesuffix('__c')}__r"}
    if child_name := text(root, "relationshipName"):
        given["children"] = f"{child_name}__r"
    if kind == "MasterDetail":
        moves = text(root, "reparentableMasterDetail") == "true"
        return given | {"required": True, "cascade": True, "access": "write" if moves else "create"}
    return given | {"cascade": text(root, "deleteConstraint") == "Cascade"}


def _picklist(root: xml.Element, values: dict[str, list[str]]) -> dict[str, Any]:
    shared = text(root, "valueSet/valueSetName")
    given: dict[str, Any] = {"restricted": bool(shared) or text(root, "valueSet/restricted") == "true"}
    given["values"] = values.get(shared, []) if shared else _texts(root, "value")
    if shared and shared not in values:
        given["restricted"] = False  # its value set is not in the folder
    chosen = [text(each, "fullName") for each in root.iter(f"{_METADATA}value") if text(each, "default") == "true"]
    return given | {"default": chosen[0]} if chosen else given


# --- validation rules ---------------------------------------------------------------------------------------------


def _add_rule(body: dict[str, Any], root: xml.Element, file: Path) -> None:
    if text(root, "active") != "true":
        return
    name = text(root, "fullName", file.name.split(".")[0])
    try:
        holds = condition(text(root, "errorConditionFormula"))
    except Unknown as unknown:
        log.warning("%s is passed over: %s", file, unknown)
        return
    rule = ValidationRule(name, holds, text(root, "errorMessage"), text(root, "errorDisplayField") or None)
    body.setdefault("rules", {})[name] = rule
