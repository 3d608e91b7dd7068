"""What a notice says, in three forms: of a callback, of a webhook, of a message in Slack."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import orjson

from quotejob.jobs.job import Job


def of_job(job: Job) -> dict[str, Any]:
    """Return how a job ended, as JSON has it. This is the body of a callback."""
    return {
        "jobId": job.job_id,
        "status": job.status.value,
        "extendedStatus": job.extended_status,
        "completedDate": None if job.completed_date is None else job.completed_date.isoformat(),
        "totalJobItems": job.total_job_items,
        "jobItemsProcessed": job.job_items_processed,
        "numberOfErrors": job.number_of_errors,
        "recordsSucceeded": job.succeeded,
        "recordsFailed": job.failed,
        "recordsSkipped": job.skipped,
    }


def of_webhook(job: Job) -> bytes:
    """Return the body of a webhook."""
    more = {"orgId": job.org_id, "jobType": job.job_type, "name": job.name}
    when = job.completed_date.isoformat() if job.completed_date else None
    return orjson.dumps({"type": "job.ended", "timestamp": when, "data": {**of_job(job), **more}})


def of_slack(job: Job) -> bytes:
    """Return the body for an incoming webhook of Slack."""
    counts = f"{job.succeeded:,} succeeded, {job.failed:,} failed, {job.skipped:,} skipped"
    reason = f"\n{job.extended_status}" if job.extended_status else ""
    text = f"{job.name or job.job_type} {job.job_id[:8]} is {job.status.value}: {counts}{reason}"
    for sign, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):  # Slack reads these as its own marks
        text = text.replace(sign, written)
    return orjson.dumps({"text": text})


def signed(body: bytes, notice_id: str, seconds: int, secret: str) -> dict[str, str]:
    """Return the headers of a signed webhook (standardwebhooks.com): its id, the time since 1970 and the signature.

    The signature is the HMAC-SHA256 of "id.seconds.body" with the bytes of the secret, in base64, after "v1,".
    """
    digest = hmac.new(secret.encode(), f"{notice_id}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": notice_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
