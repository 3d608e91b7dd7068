"""The failed and skipped records of a job, grouped by code and message, each group with a hint."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from quotejob.run.receipt import Outcome, Result

MOST_READ = 20_000  # results
MOST_RECORDS = 5  # named in a group
_HINTS = {
    "UNABLE_TO_LOCK_ROW": "Somebody else held the row. A retry usually works.",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": "A validation rule of the org refused it. Mend the records, then retry.",
    "QUOTE_INCOMPLETE": "Resume the job to complete these Quotes, or wait until they are removed.",
    "WORKER_LOST": "Its worker ended several times. Look at the worker's log, then retry.",
    "REQUEST_LIMIT_EXCEEDED": "The org had no API calls left. Retry when it has some again.",
    "INSUFFICIENT_ACCESS_OR_READONLY": "The user of the job may not write these records.",
}


@dataclass
class Reason:
    """Records that came to nothing for one reason."""

    outcome: Outcome
    code: str
    message: str
    records: int = 0
    first: list[str] = field(default_factory=list)  # ids of Opportunities

    @property
    def hint(self) -> str | None:
        """What usually helps. None: nothing is known."""
        return _HINTS.get(self.code)


def reasons(results: Iterable[Result]) -> list[Reason]:
    """Return the reasons, failed ones first, the most frequent first. Reads at most MOST_READ results."""
    found: dict[tuple[str, str, str], Reason] = {}
    unlucky = (result for result in islice(results, MOST_READ) if result.outcome is not Outcome.SUCCEEDED)
    for result in unlucky:
        code, message = result.code or "", result.message or "No reason was given"
        reason = found.setdefault((result.outcome, code, message), Reason(result.outcome, code, message))
        reason.records += 1
        if len(reason.first) < MOST_RECORDS:
            reason.first.append(result.record_id)
    return sorted(found.values(), key=lambda each: (each.outcome is not Outcome.FAILED, -each.records))
