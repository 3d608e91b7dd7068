"""Checks metadata files by the types of the Metadata API, as the npm package @salesforce/types lists them."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.orgside.apex import FOLDERS

_NAMESPACE = "{http://soap.sforce.com/2006/04/metadata}"
_TYPE = re.compile(r"^export type (\w+) = ((?:\w+ & )*)\{\n(.*?)^\};", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^    (\w+)\??: ([^;]+);", re.MULTILINE)
_VARIABLE = re.compile(r"@InvocableVariable\([^)]*\)\s*public \w+ (\w+);")
_ALWAYS = {"fullName"}
_NOT_OF_THE_API = {"LightningComponentBundle"}  # its targetConfigs hold XML of another kind
# What a permission set or a report may name: element -> where its file is.
_NAMED = {
    "apexClass": "**/{}.cls",
    "application": "**/{}.app-meta.xml",
    "tab": "**/{}.tab-meta.xml",
    "tabs": "**/{}.tab-meta.xml",
    "permissionSets": "**/{}.permissionset-meta.xml",
    "reportType": "**/{}.reportType-meta.xml",
    "lwcComponent": "**/lwc/{}",
    "functionName": "**/{}.genAiFunction-meta.xml",
    "invocationTarget": "**/{}.cls",
}


@dataclass(frozen=True)
class Types:
    """Type -> element -> the type of the element."""

    fields: dict[str, dict[str, str]]

    @classmethod
    def read(cls, declarations: Path) -> Types:
        """Read the types from a file of TypeScript declarations."""
        found: dict[str, dict[str, str]] = {}
        for name, bases, body in _TYPE.findall(declarations.read_text(encoding="utf-8")):
            inherited = [found.get(base, {}) for base in re.findall(r"\w+", bases)]
            found[name] = {key: value for base in inherited for key, value in base.items()}
            found[name] |= {key: re.sub(r"\W.*", "", kind) for key, kind in _FIELD.findall(body)}
        found["ReportFolder"] = found.get("Folder", {})  # declared in a form of its own
        return cls(found)


def wrong(root: Path, types: Types) -> list[str]:
    """Return a line for each element that its type does not know, and each name of a file that is not there."""
    found = [f"{file.relative_to(root)}: {fault}" for file in _files(root) for fault in _of_file(root, file, types)]
    return found + list(_of_schemas(root))


def _of_schemas(root: Path) -> Iterator[str]:
    """Yield a line for each field that an agent's action has and no action in Apex."""
    classes = "".join(file.read_text(encoding="utf-8") for file in (root / "force-app").rglob("*.cls"))
    known = set(_VARIABLE.findall(classes))
    for file in sorted(path for folder in FOLDERS for path in (root / folder).rglob("schema.json")):
        schema = json.loads(file.read_text(encoding="utf-8"))
        for name in sorted({*schema["properties"], *schema.get("required", [])} - known):
            yield f"{file.relative_to(root)}: no action has the field {name}"


def _files(root: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((root / folder).rglob("*-meta.xml"))


def _of_file(root: Path, file: Path, types: Types) -> Iterator[str]:
    try:
        top = ElementTree.parse(file).getroot()  # noqa: S314 - our own files
    except ElementTree.ParseError as error:
        yield f"is not XML: {error}"
        return
    kind = top.tag.removeprefix(_NAMESPACE)
    if kind not in types.fields:
        yield f"there is no metadata type {kind}"
    elif kind not in _NOT_OF_THE_API:
        yield from _elements(top, kind, types)
    for element in top.iter():
        pattern = _NAMED.get(element.tag.removeprefix(_NAMESPACE), "")
        name = (element.text or "").removesuffix("__c") if "reportType" in pattern else (element.text or "")
        if (
            pattern
            and not name.startswith("standard-")
            and not any(found for folder in FOLDERS for found in (root / folder).glob(pattern.format(name)))
        ):
            yield f"names {name}, which is not there"


def _elements(parent: ElementTree.Element, kind: str, types: Types) -> Iterator[str]:
    known = types.fields[kind]
    for element in parent:
        name = element.tag.removeprefix(_NAMESPACE)
        if name not in known and name not in _ALWAYS:
            yield f"{kind} has no element {name}"
        elif len(element) and known.get(name) in types.fields:
            yield from _elements(element, known[name], types)
