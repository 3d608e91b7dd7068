"""Where the time of a job went, from what the local org has noted of its requests (`GET /localorg/requests`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Requests = Sequence[Mapping[str, Any]]
KINDS = {
    "query/explain": "check",
    "sobjects/describe": "plan",
    "query/more": "plan",
    "query": "read",
    "composite/graph": "write",
}
LETTERS = {"check": "c", "plan": "p", "read": "r", "write": "W", "other": "o"}
STEP = 0.5  # seconds of one line of the chart


def kinds(requests: Requests) -> Iterator[tuple[str, float, float]]:
    """Yield the kind of each request, and when it began and ended. The first query of a job reads the ids."""
    read_ids = False
    for each in sorted(requests, key=lambda each: each["began"]):
        kind = KINDS.get(each["resource"], "other")
        if kind == "read" and not read_ids:
            kind, read_ids = "plan", True
        began = float(each["began"])
        yield kind, began, began + float(each["seconds"])


def split(requests: Requests, submitted: float, accepted: float, ended: float) -> dict[str, tuple[float, float]]:
    """Return when each part of a job began and ended, in seconds after it was submitted. Parts overlap."""
    parts = {"accepted": (0.0, accepted - submitted)}
    for kind, name in {"plan": "plan", "read": "pages", "write": "writes"}.items():
        times = [(began - submitted, end - submitted) for found, began, end in kinds(requests) if found == kind]
        if times:
            parts[name] = min(began for began, _ in times), max(end for _, end in times)
    last = max((end for _, end in parts.values()), default=0.0)
    return {**parts, "finish": (last, ended - submitted)}


def chart(requests: Requests, submitted: float) -> Iterator[str]:
    """Yield a line for each half second: how many requests of each kind were in flight, on average and as letters."""
    found = [(kind, began - submitted, end - submitted) for kind, began, end in kinds(requests)]
    last = max((end for _, _, end in found), default=0.0)
    for number in range(int(last / STEP) + 1):
        start = number * STEP
        means = {
            letter: sum(
                max(0.0, min(end, start + STEP) - max(began, start)) for kind, began, end in found if kind == name
            )
            / STEP
            for name, letter in LETTERS.items()
        }
        bar = "".join(letter * round(mean) for letter, mean in means.items())
        yield f"{start:6.1f} s  {sum(means.values()):5.1f}  {bar}"
