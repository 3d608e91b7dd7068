"""Objects, fields and validation rules of one's own, from a YAML file (`--schema FILE`).

    objects:
      Invoice__c:
        label: Invoice
        plural: Invoices
        name: {numbered: "INV-{00000}"}        # or nothing: a text of 80 characters
        fields:
          Account__c: {type: reference, to: Account, children: Invoices__r, cascade: true, required: true}
          Amount__c: {type: currency, label: Amount}
          Code__c: {type: string, length: 20, unique: true, external_id: true}
          Status__c: {type: picklist, values: [Draft, Sent], restricted: true, default: Draft}
        rules:
          - {name: Positive, rule: "Amount__c < 0", message: An invoice is not below zero., field: Amount__c}
      Account:                                  # fields and rules for an object that is there already
        fields:
          Region__c: {type: string}
      Invoice_Sent__e:                          # a platform event
        fields:
          Number__c: {type: string}

A rule is the condition of a SOQL WHERE clause; a row for which it holds is refused. The lines of a field are those of
`objects/*.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from localorg.schema.customs import complete, custom_object
from localorg.schema.model import NUMBERS, TEXTS, ValidationRule

_TYPES = {"boolean", "date", "datetime", "reference", *NUMBERS, *TEXTS}
_OBJECT_KEYS = {"label", "plural", "prefix", "name", "owned", "fields", "rules"}
_NAME_KEYS = {"label", "length", "numbered"}
_RULE_KEYS = {"name", "rule", "message", "field"}
_FIELD_KEYS: dict[str, type] = {
    "type": str,
    "label": str,
    "length": int,
    "precision": int,
    "scale": int,
    "required": bool,
    "unique": bool,
    "external_id": bool,
    "id_lookup": bool,
    "case_sensitive": bool,
    "access": str,
    "default": object,
    "values": list,
    "restricted": bool,
    "to": str,
    "relationship": str,
    "children": str,
    "cascade": bool,
    "numbered": str,
}


def add(described: dict[str, dict[str, Any]], file: Path) -> None:
    """Add the contents of a file to the objects described so far. Raise ValueError with the file and the place."""
    try:
        body = yaml.safe_load(file.read_text("utf-8"))
        objects = _mapping(_mapping(body, "the file", {"objects"}).get("objects"), "objects", None)
        for name, given in objects.items():
            _add_object(described, str(name), _mapping(given or {}, str(name), _OBJECT_KEYS))
        for name, given in objects.items():
            _add_fields(described, str(name), given or {})
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: {error}") from error
    except Wrong as wrong:
        raise ValueError(f"{file}: {wrong}") from wrong


class Wrong(Exception):
    """The file says something that makes no valid schema. The text says what and where."""


def _mapping(given: Any, place: str, keys: Collection[str] | None) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise Wrong(f"{place}: keys and values are expected, not {given!r}")
    unknown = [str(key) for key in given if keys is not None and key not in keys]
    if unknown:
        raise Wrong(f"{place}: unknown {', '.join(unknown)}; known are {', '.join(sorted(keys or ()))}")
    return given


_PREFIX = re.compile(r"[0-9A-Za-z]{3}")


def _add_object(described: dict[str, dict[str, Any]], name: str, given: Mapping[str, Any]) -> None:
    """Make a custom object. An object that exists already gets only new fields."""
    if name in described:
        return
    if not name.endswith(("__c", "__e")) or not (name.isascii() and name.replace("_", "").isalnum()):
        raise Wrong(f"{name}: there is no such object, and the name of one's own ends in __c, of an event in __e")
    _mapping(given.get("name", {}), f"{name}.name", _NAME_KEYS)
    prefix = given.get("prefix")
    if prefix is not None and not (isinstance(prefix, str) and _PREFIX.fullmatch(prefix)):
        raise Wrong(f"{name}.prefix: three letters or digits are expected, not {prefix!r}")
    if any(prefix == body["prefix"] for body in described.values()):
        raise Wrong(f"{name}.prefix: {prefix} belongs to another object")
    described[name] = custom_object(name, dict(given), described)


def _add_fields(described: dict[str, dict[str, Any]], name: str, given: Mapping[str, Any]) -> None:
    body = described[name]
    for field_name, lines in _mapping(given.get("fields") or {}, f"{name}.fields", None).items():
        place = f"{name}.{field_name}"
        if not str(field_name).endswith("__c"):
            raise Wrong(f"{place}: the name of a field of one's own ends in __c")
        body["fields"][field_name] = _field(place, str(field_name), lines, described)
    rules = body.setdefault("rules", {})
    for lines in given.get("rules") or ():
        rule = _rule(name, _mapping(lines, f"{name}.rules", _RULE_KEYS))
        rules[rule.name] = rule


def _field(place: str, name: str, given: Any, described: Mapping[str, Any]) -> dict[str, Any]:
    lines = dict(_mapping(given, place, _FIELD_KEYS))
    for key, value in lines.items():
        if not isinstance(value, _FIELD_KEYS[key]):
            raise Wrong(f"{place}.{key}: {value!r} is not a {_FIELD_KEYS[key].__name__}")
    kind = lines.get("type")
    if kind not in _TYPES:
        raise Wrong(f"{place}.type: {kind!r} is not one of {', '.join(sorted(_TYPES))}")
    if lines.get("access", "write") not in ("write", "create", "read"):
        raise Wrong(f"{place}.access: {lines['access']!r} is not one of write, create, read")
    if (kind == "reference") != ("to" in lines):
        raise Wrong(f"{place}: a reference, and only a reference, says which object it is to")
    if kind == "reference":
        if lines["to"] not in described or described[lines["to"]].get("event"):
            raise Wrong(f"{place}.to: there is no object {lines['to']}")
        lines.setdefault("relationship", f"{name.removesuffix('__c')}__r")
    return complete(lines)


def _rule(name: str, lines: Mapping[str, Any]) -> ValidationRule:
    for key in ("name", "rule", "message"):
        if not isinstance(lines.get(key), str):
            raise Wrong(f"{name}.rules: each rule has a {key}, which is a text")
    return ValidationRule(lines["name"], lines["rule"], lines["message"], lines.get("field"))
