"""The names of the keys in Redis, and the form of ids."""

from __future__ import annotations

import re

# store/lua/jobs/queue.lua has these names too, and those of job() and jobs_of().
OPEN = "quotejob:open"  # every job that has a slot, by its last sign of life (ms, by the clock of Redis)
HOLDING = "quotejob:holding"  # every Holding job, by its last check (ms, the same clock)
QUEUES = "quotejob:queues"  # orgs with Holding jobs, by the last check of their queue (ms, the same clock)
ALARMS = "quotejob:alarms"  # orgs by the time (ms) at which one of their jobs may go
DUE = "quotejob:schedules:due"  # schedules by their next fire time (ms)
CLEAN_UPS = "quotejob:clean-ups"  # ended jobs with incomplete Quotes in the org, by the next try (ms, Redis's clock)
NOTICES = "quotejob:notices"  # notices of ended jobs, "receiver job end", by the next try (ms, Redis's clock)
MIRRORS = "quotejob:mirrors"  # orgs that have to be told of jobs, by when (ms, Redis's clock)
INSIDE = "quotejob:gate:inside"  # steps that ask an org: task id -> "org ends" (ms, Redis's clock)
THREADS = "quotejob:gate:threads"  # workers: name -> "threads ends" (ms, the same clock)
WAITING = "quotejob:gate:waiting"  # orgs with messages in their room, by when one was let in last (ms, the same clock)
FIRED = "quotejob:schedules:fired"  # "schedule job" by fire time (ms): decided, and not yet submitted
METRICS = "quotejob:metrics"  # counters by name; the scripts add to it too
API_CALLS = "quotejob:metrics:api-calls"  # host of an org -> "calls used, calls allowed, when (ms)"
HOLDING_TYPES = "quotejob:holding:types"  # the number of Holding jobs by type
WORKERS = "quotejob:workers"  # Celery workers by their last sign of life (ms, by the clock of Redis)
VERSIONS = "quotejob:versions"  # "version format" of the workers, by their last sign of life (ms, the same clock)
JOB_TYPES = "quotejob:jobtypes"  # "name version" of users' job types, by the last sign of life of a worker with it
TICKED = "quotejob:ticked"  # when a tick or a sweep ran last (ms, by the clock of Redis)

# The parts of a job beside its hash, by how long they stay. The script lua/jobs/queue.lua decides about "context" and
# "leases": a job that has incomplete Quotes to remove still needs them.
_KEPT_AFTER_END = (
    "results",
    "explained",
    "pace",
)
_NEEDED_FOR_RESUME = (
    "chosen",
    "seen",
    "pages",
    "quotes",
    "left",
    "errors",
    "batches",
    "marks",
    "totals",
    "waits",
    "plan",
)
_OF_EACH_WAVE = ("priced", "written", "parts")  # also needed for resume
_DELETED_AT_END = ("deaths", "faults")


def job(job_id: str, part: str = "") -> str:
    """Return the key of a job's hash, or of another part of the job."""
    return f"quotejob:job:{job_id}:{part}" if part else f"quotejob:job:{job_id}"


def notice(text: str) -> str:
    """Return the key of a notice: since when it is tried, and how often."""
    return f"quotejob:notice:{text}"


def worker(queue: str) -> str:
    """Return the key that exists while a worker serves this queue."""
    return f"quotejob:worker:{queue}"


def jobs_of(org_id: str, part: str) -> str:
    """Return the key of data that all jobs of an org share."""
    return f"quotejob:org:{org_id}:{part}"


def version(org_id: str) -> str:
    """Return the key of a number that grows with every change of an org's jobs and schedules that people look at."""
    return jobs_of(org_id, "version")


def stage(job_id: str, name: str, wave: int) -> str:
    """Return the key of the receipts of one stage of one wave."""
    return job(job_id, f"{name}:{wave}")


def kept_after_end(job_id: str) -> list[str]:
    """Return every key that stays as long as the hash of an ended job."""
    return [job(job_id, part) for part in _KEPT_AFTER_END]


def needed_for_resume(job_id: str, waves: int) -> list[str]:
    """Return every key that stays after the job's end, unless it is Completed."""
    parts = [job(job_id, part) for part in _NEEDED_FOR_RESUME]
    return parts + [stage(job_id, name, wave) for wave in range(waves) for name in _OF_EACH_WAVE]


def deleted_at_end(job_id: str) -> list[str]:
    """Return every key that is deleted at any end of the job."""
    return [job(job_id, part) for part in _DELETED_AT_END]


def is_id(text: str) -> bool:
    """Return whether the text has the form of a job's or schedule's id. Does not check that it exists."""
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is not None
