"""Composite requests whose parts succeed or fail by themselves (REST API guide, "Composite")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from quotejob.salesforce.graphs import to_json


class Part(NamedTuple):
    """One part of a composite request. ``path`` is below /services/data/vXX.X/."""

    name: str
    method: str
    path: str
    body: dict[str, Any]


class Said(NamedTuple):
    """The org's answer to one part: its HTTP status and its body."""

    status: int
    body: Any


def request_body(parts: Sequence[Part], api_version: str) -> bytes:
    """Return the body of the composite."""
    requests = [
        {
            "method": part.method,
            "url": f"/services/data/v{api_version}/{part.path}",
            "referenceId": part.name,
            "body": part.body,
        }
        for part in parts
    ]
    return to_json({"allOrNone": False, "collateSubrequests": False, "compositeRequest": requests})


def answers_of(answer: Any) -> dict[str, Said]:
    """Return what the org said to each part, by name. Raises an error of its reading for another body."""
    return {
        part["referenceId"]: Said(int(part["httpStatusCode"]), part["body"]) for part in answer["compositeResponse"]
    }
