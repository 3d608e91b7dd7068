"""Idempotency keys: the same key from the same org means the same request, for 24 hours."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from quotejob.errors import IdempotencyKeyReused
from quotejob.store import keys

KEPT = 24 * 3600  # seconds that a key means the same job


def key_in_store(org_id: str, idempotency_key: str) -> str:
    """Return the name under which Redis has the job of this key. Orgs do not share keys."""
    return keys.jobs_of(org_id, f"idempotency:{hashlib.sha256(idempotency_key.encode()).hexdigest()}")


def fingerprint(asked: Mapping[str, Any]) -> str:
    """Return a hash of what a job was asked to do: its type, and the fields that say what it does and when.

    A field that is None does not count, so that a version with more fields gives the same hash. Nor does the order of
    the jobs that it depends on.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    if "dependsOn" in given:
        given["dependsOn"] = sorted(given["dependsOn"].split(","))
    return hashlib.sha256(orjson.dumps(given, option=orjson.OPT_SORT_KEYS)).hexdigest()


def reused(job_id: str) -> IdempotencyKeyReused:
    """Return the error for a key that came before with another request, which made this job."""
    message = f"came before with another request, which made job {job_id}; send a new key with a new request"
    return IdempotencyKeyReused(
        f"Idempotency-Key: {message}", details=[{"field": "Idempotency-Key", "message": message}]
    )
