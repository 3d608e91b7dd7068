"""How things are called and put down in Redis: key names, Lua scripts, compressed values, the clock."""

from __future__ import annotations

import re

# These, and the names of job() and jobs_of(), stand in store/lua/jobs/queue.lua as well.
OPEN = "quotejob:open"  # every job that has a slot, by its last sign of life (ms, by the clock of Redis)
HOLDING = "quotejob:holding"  # every Holding job, by when it was last looked at (ms, the same clock)
QUEUES = "quotejob:queues"  # orgs with Holding jobs, by when their queue was last looked at (ms, the same clock)
ALARMS = "quotejob:alarms"  # orgs by the time (ms) at which one of their jobs may go
DUE = "quotejob:schedules:due"  # schedules by their next fire time (ms)
FIRED = "quotejob:schedules:fired"  # "schedule job" by fire time (ms): decided, and not yet submitted

# What a job keeps beside its hash, by how long: KEPT stays with an ended job, for its results; SPENT too, for resume,
# unless the job is Completed; HELD goes with any end.
KEPT = ("results",)
SPENT = ("pages", "quotes", "left", "errors", "batches", "marks", "waits")
HELD = ("context", "leases", "deaths", "faults")
STAGES = ("priced", "written", "parts")  # SPENT as well; one of each for every wave


def job(job_id: str, part: str = "") -> str:
    """The key of a job's hash, or of a part kept beside it."""
    return f"quotejob:job:{job_id}:{part}" if part else f"quotejob:job:{job_id}"


def jobs_of(org_id: str, part: str) -> str:
    """The key of something that an org's jobs share."""
    return f"quotejob:org:{org_id}:{part}"


def stage(job_id: str, name: str, wave: int) -> str:
    """The key of the receipts of one stage of one wave."""
    return job(job_id, f"{name}:{wave}")


def spent(job_id: str, waves: int) -> list[str]:
    """Every key that is of no more use once the job is Completed."""
    return [job(job_id, part) for part in SPENT] + [stage(job_id, name, w) for w in range(waves) for name in STAGES]


def is_id(text: str) -> bool:
    """Whether this is a job's or schedule's id, in the one way these are written; not whether there is such a one."""
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is not None
