"""Idempotency keys: the same key from the same org means the same request, for 24 hours."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from quotejob.errors import IdempotencyKeyReused
from quotejob.store import keys
from quotejob.store.client import RedisClient

KEPT_FOR = 24 * 3600  # seconds that a key means the same job


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


def known(client: RedisClient, org_id: str, idempotency_key: str | None, request: str) -> str | None:
    """Return the id of the job that an earlier request with this key made, or None.

    ``request`` is a fingerprint. Raises IdempotencyKeyReused if that was another request. The script jobs/submit looks
    again.
    """
    if not idempotency_key:
        return None
    name = key_in_store(org_id, idempotency_key)
    job_id, earlier = client.value(name), client.value(f"{name}:request")
    if job_id is None or not client.exists(keys.job(job_id.decode())):
        return None
    if earlier is not None and earlier.decode() != request:
        raise reused(job_id.decode())
    return job_id.decode()


def reused(job_id: str) -> IdempotencyKeyReused:
    """Return the error for a key that came before with another request, which made this job."""
    message = f"came before with another request, which made job {job_id}; send a new key with a new request"
    return IdempotencyKeyReused(
        f"Idempotency-Key: {message}", details=[{"field": "Idempotency-Key", "message": message}]
    )
