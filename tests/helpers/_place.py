"""The org of tests/integration/salesforce: how much is in it, and how it is made to fail."""

from __future__ import annotations

from typing import Any

import requests

from harness.api import LocalOrg

OPPORTUNITIES = 40
LINES = 3


def control(place: LocalOrg, what: str, body: dict[str, Any]) -> Any:
    with requests.post(f"{place.url}/localorg/{what}", json=body, timeout=10) as answer:
        assert answer.status_code == 200, answer.text
        return answer.json()


def fault(place: LocalOrg, kind: str, resource: str, count: int = 1, method: str = "*") -> None:
    control(place, "faults", {"kind": kind, "match": {"resource": resource, "method": method}, "count": count})


def stats(place: LocalOrg) -> Any:
    with requests.get(f"{place.url}/localorg/stats", timeout=10) as answer:
        return answer.json()
