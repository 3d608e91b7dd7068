"""The common parts of every custom object and field, wherever it is described."""

from __future__ import annotations

from typing import Any
from zlib import crc32

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def custom_object(name: str, given: dict[str, Any], described: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the body of a custom object or platform event, in the terms of `objects/*.yaml`.

    given -- label, plural, prefix, name (of the Name field: label, length, numbered), owned (False: it has no OwnerId),
        after_commit (of an event: it is sent only when its transaction is not rolled back)
    described -- the objects there are; one of this name keeps its prefix
    """
    plain = name.rpartition("__")[0].replace("_", " ")
    event = name.endswith("__e")
    body: dict[str, Any] = {
        "name": name,
        "label": given.get("label", plain),
        "plural": given.get("plural", given.get("label", plain)),
        "prefix": given.get("prefix") or _prefix(name, described),
        "fields": {},
    }
    if event:
        never = dict.fromkeys(("updateable", "deletable", "queryable", "undeletable"), False)
        return body | never | {"event": True, "after_commit": given.get("after_commit", False)}
    if given.get("owned", True):
        owner = {"type": "reference", "to": "User", "label": "Owner ID", "required": True, "default": "$user"}
        body["fields"]["OwnerId"] = owner
    body["fields"]["Name"] = complete({"type": "string", "length": 80, "id_lookup": True, **given.get("name", {})})
    return body


def _prefix(name: str, described: dict[str, dict[str, Any]]) -> str:
    """Return a key prefix made from the name, so that it is the same in every run.

    If it is taken, return the next free one.
    """
    if name in described:
        return str(described[name]["prefix"])
    taken = {body["prefix"] for body in described.values()}
    number = crc32(name.lower().encode())
    while True:
        high, low = divmod(number % len(_DIGITS) ** 2, len(_DIGITS))
        prefix = f"{'e' if name.endswith('__e') else 'a'}{_DIGITS[high]}{_DIGITS[low]}"
        if prefix not in taken:
            return prefix
        number += 1


def complete(given: dict[str, Any]) -> dict[str, Any]:
    """Return a field's lines with what follows from them: only the org writes an auto-number."""
    return given | {"access": "read", "length": 30} if given.get("numbered") else given
