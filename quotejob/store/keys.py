"""The names of the keys in Redis, and the form of ids."""

from __future__ import annotations

import re

# store/lua/jobs/queue.lua has these names too, and those of job() and jobs_of().
OPEN = "quotejob:open"  # every job that has a slot, by its last sign of life (ms, by the clock of Redis)
HOLDING = "quotejob:holding"  # every Holding job, by its last check (ms, the same clock)
QUEUES = "quotejob:queues"  # orgs with Holding jobs, by the last check of their queue (ms, the same clock)
ALARMS = "quotejob:alarms"  # orgs by the time (ms) at which one of their jobs may go
DUE = "quotejob:schedules:due"  # schedules by their next fire time (ms)
FIRED = "quotejob:schedules:fired"  # "schedule job" by fire time (ms): decided, and not yet submitted

# The keys of a job beside its hash, by how long they stay. KEPT stays after the job's end, for its results. SPENT stays
# too, for resume, unless the job is Completed. HELD is deleted at any end.
KEPT = ("results",)
SPENT = ("chosen", "pages", "quotes", "left", "errors", "batches", "marks", "waits")
HELD = ("context", "leases", "deaths", "faults")
STAGES = ("priced", "written", "parts")  # these are SPENT too; each wave has its own


def job(job_id: str, part: str = "") -> str:
    """Return the key of a job's hash, or of another part of the job."""
    return f"quotejob:job:{job_id}:{part}" if part else f"quotejob:job:{job_id}"


def jobs_of(org_id: str, part: str) -> str:
    """Return the key of data that all jobs of an org share."""
    return f"quotejob:org:{org_id}:{part}"


def stage(job_id: str, name: str, wave: int) -> str:
    """Return the key of the receipts of one stage of one wave."""
    return job(job_id, f"{name}:{wave}")


def spent(job_id: str, waves: int) -> list[str]:
    """Return every key that is not needed after the job is Completed."""
    return [job(job_id, part) for part in SPENT] + [stage(job_id, name, w) for w in range(waves) for name in STAGES]


def is_id(text: str) -> bool:
    """Return whether the text has the form of a job's or schedule's id. Does not check that it exists."""
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is not None
