"""References between the requests of one composite or graph: `@{referenceId.field}`, `@{referenceId[0].id}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from localorg.errors import OrgError

HALTED = "PROCESSING_HALTED"
ROLLED_BACK = "The transaction was rolled back since another operation in the same transaction failed."
REFERENCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")

_REFERENCE = re.compile(r"@\{([^}]*)\}")
_PATH = re.compile(r"([^.\[\]]+)((?:\.\w+|\[\d{1,9}\])*)", re.ASCII)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]", re.ASCII)


def names(value: Any) -> Iterator[str]:
    """Yield the names of the requests that a value refers to, at any depth."""
    if isinstance(value, str):
        if "@{" in value:
            for path in _REFERENCE.findall(value):
                yield re.split(r"[.\[]", path, maxsplit=1)[0]
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from names(each)


def fill(value: Any, answers: Mapping[str, Any]) -> Any:
    """Replace every reference in a value. When a reference is the whole text, the result has the type of its target.

    Raise OrgError (400 PROCESSING_HALTED) for a reference to nothing.
    """
    if isinstance(value, str):
        if "@{" not in value:
            return value
        whole = _REFERENCE.fullmatch(value)
        return _look_up(whole[1], answers) if whole else _replaced(value, answers, _text)
    if isinstance(value, dict):
        return {key: fill(each, answers) for key, each in value.items()}
    if isinstance(value, list):
        return [fill(each, answers) for each in value]
    return value


def fill_url(url: str, answers: Mapping[str, Any]) -> str:
    """Replace every reference in a URL; the replacement of a part is encoded, except for slashes."""
    whole = _REFERENCE.fullmatch(url)
    return _text(_look_up(whole[1], answers)) if whole else _replaced(url, answers, _encoded)


def _replaced(text: str, answers: Mapping[str, Any], said: Callable[[Any], str]) -> str:
    return _REFERENCE.sub(lambda found: said(_look_up(found[1], answers)), text)


def _look_up(path: str, answers: Mapping[str, Any]) -> Any:
    found = _PATH.fullmatch(path)
    name = found[1] if found else path
    if found is None or name not in answers or not REFERENCE_ID.fullmatch(name):
        raise _no_value(path, name)
    value = answers[name]
    for key, index in _STEP.findall(found[2]):
        try:
            value = value[key] if key else value[int(index)]
        except (KeyError, IndexError, TypeError):
            raise _no_value(path, name) from None
    return value


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _encoded(value: Any) -> str:
    return quote(_text(value), safe="/")


def _no_value(path: str, name: str) -> OrgError:
    return OrgError(400, HALTED, f"Invalid reference specified. No value for {path} found in {name}")
