"""The last unit of a user's own job: what ``finish`` yields, written once, before the job is Completed."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from quotejob.errors import OrgClosed
from quotejob.jobs.job import Job
from quotejob.jobtypes.own import calling
from quotejob.jobtypes.own.commit import new_writer
from quotejob.run.context import Run
from quotejob.run.progress import Progress
from quotejob.run.receipt import Outcome
from quotejob.usercode.context import FINISH
from quotejob.usercode.decisions import Decision, Node, as_tallies, summed
from quotejob.usercode.jobs.words import Sums
from quotejob.usercode.jobtype import JobType
from quotejob.usercode.writes import Verb

FAILED = "FINISH_FAILED"
_DECIDED, _DONE = "finish decided", "finish done"  # notes


def is_due(job: Job, progress: Progress, kind: type[JobType[Any]]) -> bool:
    """Return whether ``finish`` is still to be done."""
    return not job.dry_run and kind.finish is not JobType.finish and progress.note(job.job_id, _DONE) is None


def do(run: Run, job: type[JobType[Any]]) -> None:
    """Let ``finish`` decide, and write that. Twice is harmless: the first decision is kept, and its insert has a key.

    Raises OrgClosed with FINISH_FAILED if it raises, or the org refuses its writes. Then a resumed job decides again.
    """
    decided = _decided(run, job)
    if decided.nodes:
        run.go_on()
        writer = new_writer(run)
        try:
            writer.write([decided])
        finally:
            run.progress.add_calls(run.id, run.org.calls)
        result = writer.results[decided.source]
        if result.outcome is Outcome.FAILED:
            if result.code != "PARTLY_DONE":
                run.progress.forget_note(run.id, _DECIDED)
            raise OrgClosed(f"The org refused what finish writes: {result.code}: {result.message}", code=FAILED)
    run.progress.note(run.id, _DONE, "1")


def _decided(run: Run, job: type[JobType[Any]]) -> Decision:
    """Return what finish has decided before, or decides now: the first decision is kept, because it may be written."""
    kept = run.progress.note(run.id, _DECIDED)
    if kept is None:
        decided = _keyed(run, calling.finish(run, job, _read(run)))
        kept = run.progress.first_note(run.id, _DECIDED, msgspec.json.encode(decided).decode())
    return msgspec.json.decode(kept, type=Decision)


def _keyed(run: Run, decided: Decision) -> Decision:
    """Give the insert that guards the unit a key of this job: a retry has the keys of its first job for its records.

    The key is in the stored decision, so that a worker of another version writes by the same one.
    """
    key = f"{run.id}:{FINISH}"
    return replace(decided, nodes=[replace(node, target=key) if _guards(node) else node for node in decided.nodes])


def _guards(node: Node) -> bool:
    return node.verb is Verb.INSERT and node.by is not None and node.target is None


def _read(run: Run) -> Sums:
    totals = summed(run.progress.totals(run.id))
    now = run.jobs.get(run.id)
    return Sums(now.succeeded, now.skipped, now.failed, as_tallies(totals))
