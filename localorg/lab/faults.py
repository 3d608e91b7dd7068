"""Faults that a test orders: what goes wrong, for which requests, and how often."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from math import inf
from random import Random
from typing import Any, Literal, get_args

Kind = Literal[
    "slow",
    "fail_before_write",
    "fail_after_write",
    "reset_before_write",
    "reset_after_write",
    "lock",
    "limit",
    "expire_session",
]
KINDS: tuple[str, ...] = get_args(Kind)
AFTER: frozenset[str] = frozenset({"fail_after_write", "reset_after_write"})
ROWS = "jobs/ingest/rows"
"""The resource name under which a `lock` reaches single rows of Bulk ingest jobs."""
_KEYS = {"match", "kind", "count", "probability", "seconds", "seed", "message"}
_MATCH = ("method", "resource", "object")


class BadFault(ValueError):
    """The error for an order that does not describe a fault; the text says what is wrong with it."""


@dataclass(slots=True)
class Fault:
    """One kind of fault and the requests that it hits.

    kind -- what happens; the kinds in AFTER hit when the handler has done and committed its work, the others before it
    method, resource, object_name -- which requests, as shell patterns in upper or lower case; None matches all
    count -- how many more requests it hits; None: no limit until the faults are cleared
    probability -- the share of the matching requests that it hits, 0 to 1
    seconds -- how long to wait first: for `slow` this is the whole fault, otherwise the time before the fault hits
    message -- another text for the error, for the kinds that have one
    hits -- how many requests it has hit so far
    """

    kind: str
    method: str | None = None
    resource: str | None = None
    object_name: str | None = None
    count: int | None = None
    probability: float = 1.0
    seconds: float = 0.0
    message: str | None = None
    seed: int = 0
    hits: int = 0
    _random: Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Fault:
        """Read an order in the form of `POST /localorg/faults`; raise BadFault when it is not one."""
        _refuse_unknown(spec, _KEYS, "fault")
        kind = spec.get("kind")
        if kind not in KINDS:
            raise BadFault(f"kind is {kind!r}; the kinds are {', '.join(KINDS)}")
        method, resource, object_name = _match_of(spec.get("match") or {})
        return cls(
            kind=kind,
            method=method,
            resource=resource,
            object_name=object_name,
            count=_count_of(spec),
            probability=_number(spec, "probability", 1.0, most=1.0),
            seconds=_number(spec, "seconds", 1.0 if kind == "slow" else 0.0),
            message=spec.get("message"),
            seed=int(_number(spec, "seed", 0)),
        )

    def befalls(self, method: str, resource: str, objects: Collection[str]) -> bool:
        """Return whether this request is hit; each matching request draws once from the fault's own random numbers."""
        if self.count == 0 or not self._matches(method, resource, objects):
            return False
        if self.probability < 1.0 and self._random.random() >= self.probability:
            return False
        self.hits += 1
        if self.count is not None:
            self.count -= 1
        return True

    def _matches(self, method: str, resource: str, objects: Collection[str]) -> bool:
        if not (_like(self.method, method) and _like(self.resource, resource)):
            return False
        return self.object_name is None or any(_like(self.object_name, name) for name in objects)

    def body(self) -> dict[str, Any]:
        """Return the fault in the form of the answers of /localorg/faults; count is what is left of it."""
        return {
            "kind": self.kind,
            "match": {"method": self.method, "resource": self.resource, "object": self.object_name},
            "count": self.count,
            "probability": self.probability,
            "seconds": self.seconds,
            "seed": self.seed,
            "hits": self.hits,
        }


class Faults:
    """The active faults, oldest first; a request is hit by at most one."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._dead_tokens: set[str] = set()

    def add(self, spec: Mapping[str, Any]) -> Fault:
        """Add one more fault; raise BadFault when the order does not describe one."""
        fault = Fault.of(spec)
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Remove every fault, and make expired sessions valid again."""
        self._faults.clear()
        self._dead_tokens.clear()

    @property
    def ask_for_objects(self) -> bool:
        """True when an active fault depends on the object, so that the object of a request must be known."""
        return any(fault.object_name is not None for fault in self._faults)

    def match(self, method: str, resource: str, objects: Collection[str] = ()) -> Fault | None:
        """Return the fault that hits this request, or None; this is decided before the handler runs."""
        return next((fault for fault in self._faults if fault.befalls(method, resource, objects)), None)

    @property
    def may_lock_rows(self) -> bool:
        """True when an active fault is for single rows of Bulk jobs, so that each row must be checked."""
        return any(fault.kind == "lock" and _like(fault.resource or "", ROWS) for fault in self._faults)

    def lock_row(self, object_name: str) -> Fault | None:
        """Return the lock that hits this row of a Bulk job; only faults whose resource pattern names rows can hit."""
        for fault in self._faults:
            if fault.kind == "lock" and fault.resource and fault.befalls("", ROWS, (object_name,)):
                return fault
        return None

    def expire(self, token: str) -> None:
        """End a session: its token is refused until the faults are cleared."""
        self._dead_tokens.add(token)

    def expired(self, token: str) -> bool:
        """Return whether a fault has ended the session of this token."""
        return token in self._dead_tokens

    def body(self) -> dict[str, Any]:
        """Return the answer of /localorg/faults."""
        return {"faults": [fault.body() for fault in self._faults]}


_IN_TEXT = re.compile(r"""/sobjects/(\w+)|\bFROM\s+(\w+)|"(?:object|type)"\s*:\s*"(\w+)\"""", re.IGNORECASE)


def objects_in(text: str) -> set[str]:
    """Return the objects that the text of a path, query or body names, child relationships included."""
    return {name for found in _IN_TEXT.finditer(text) for name in found.groups() if name}


def _like(pattern: str | None, value: str) -> bool:
    return pattern is None or fnmatchcase(value.lower(), pattern.lower())


def _refuse_unknown(given: Any, known: Collection[str], what: str) -> None:
    if not isinstance(given, Mapping):
        raise BadFault(f"a {what} is a JSON object, not {given!r}")
    if unknown := sorted(set(given) - set(known)):
        raise BadFault(f"a {what} has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")


def _match_of(match: Any) -> tuple[str | None, str | None, str | None]:
    _refuse_unknown(match, _MATCH, "match")
    for name in _MATCH:
        if not isinstance(match.get(name), str | None):
            raise BadFault(f"match.{name} is a text, not {match[name]!r}")
    return match.get("method"), match.get("resource"), match.get("object")


def _count_of(spec: Mapping[str, Any]) -> int | None:
    count = spec.get("count")
    if count is None:
        # Without this limit every new session would end too, and no client could continue.
        return 1 if spec["kind"] == "expire_session" and spec.get("probability") is None else None
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise BadFault(f"count is a whole number from 1 on, not {count!r}")
    return count


def _number(spec: Mapping[str, Any], name: str, default: float, most: float | None = None) -> float:
    value = spec.get(name)
    if value is None:
        return default
    fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= (most or inf)
    if not fits:
        raise BadFault(f"{name} is a number from 0 {f'to {most:g}' if most else 'on'}, not {value!r}")
    return float(value)
