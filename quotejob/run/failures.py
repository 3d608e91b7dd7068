"""Why records of a job failed: each reason once, with how many failed for it, the first of them, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from quotejob.run.hints import hint
from quotejob.run.receipt import Outcome, Result

MAX_GROUPS = 100  # in an answer: those with the most records
MAX_GROUPS_IN_MEMORY = 5_000
RECORDS_SHOWN = 5  # of each group
# What differs from record to record in messages of the same reason: ids and numbers.
_OWN = re.compile(r"\b(?:(?=[a-zA-Z]*[0-9])[a-zA-Z0-9]{15}(?:[a-zA-Z0-9]{3})?|[0-9]+(?:[.,][0-9]+)*)\b")


@dataclass(slots=True)
class FailureGroup:
    """A reason. ``message`` is that of its first record; messages of others may have other ids and numbers in it."""

    code: str | None
    message: str | None
    count: int = 0
    records: list[Result] = field(default_factory=list)  # the first ones

    @property
    def hint(self) -> str | None:
        """What to do, if that can be said of the code."""
        return hint(self.code)


@dataclass(frozen=True, slots=True)
class Failures:
    """The failed records of a job. If there are more than MAX_GROUPS reasons, the rarest are left out."""

    job_id: str
    failed: int  # records, also those of reasons that are left out
    groups: list[FailureGroup]  # the most frequent first


def grouped(job_id: str, results: Iterable[Result]) -> Failures:
    """Return the reasons of the failed records among the results of a job."""
    groups: dict[tuple[str | None, str], FailureGroup] = {}
    failed = 0
    for result in results:
        if result.outcome is not Outcome.FAILED:
            continue
        failed += 1
        reason = result.code, _OWN.sub("#", result.message or "")
        group = groups.get(reason)
        if group is None and len(groups) < MAX_GROUPS_IN_MEMORY:
            group = groups[reason] = FailureGroup(result.code, result.message)
        if group is not None:
            group.count += 1
            if len(group.records) < RECORDS_SHOWN:
                group.records.append(result)
    ranked = sorted(groups.values(), key=lambda group: -group.count)
    return Failures(job_id, failed, ranked[:MAX_GROUPS])
