"""What the forecast of a user's own job asks: how many records there are, and what its code decides of the first."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from quotejob import clock
from quotejob.errors import InvalidRequest, OrgClosed, OrgUnreachable
from quotejob.jobtypes.batches.calls import Calls, Shape
from quotejob.jobtypes.own import calls
from quotejob.jobtypes.own.calling import asked, translated
from quotejob.jobtypes.own.calls import Sample
from quotejob.salesforce import OrgClient
from quotejob.salesforce.clause import check_clause
from quotejob.settings import Settings
from quotejob.usercode.isolation.crew import of_process
from quotejob.usercode.jobs.apart import Apart
from quotejob.usercode.jobs.words import Known
from quotejob.usercode.jobtype import JobType, Keys, described_object
from quotejob.usercode.rows import columns, flat, select_list
from quotejob.usercode.trouble import Retry

MOST = 200  # records of a sample, and never more than a page


@dataclass(frozen=True, slots=True)
class OwnFound:
    """What was found out of a user's own job."""

    job: type[JobType[Any]]
    sample: Sample
    latency: float  # seconds that the org took to answer
    same_account: int = 0  # not known

    @property
    def records(self) -> int:
        """How many records match."""
        return self.sample.records

    @property
    def quotes(self) -> int:
        """About how many of them are written for."""
        return self.sample.units

    @property
    def lines(self) -> int:
        """About how many writes there are beside the first of each."""
        return max(0, self.sample.nodes - self.sample.units)

    def calls(self, shape: Shape) -> Calls:
        """Return how many requests the job sends."""
        return calls.of_sample(self.job, self.sample, shape)


def look(
    org: OrgClient, job: type[JobType[Any]], clause: str | None, given: Sequence[tuple[str, str]], settings: Settings
) -> OwnFound:
    """Count the records, read the first ones, and let the job's code decide them, as in a dry run.

    Raises InvalidRequest if its code cannot be used or its ``start`` fails; OrgRefused for a wrong clause;
    OrgUnreachable if its code asks to wait.
    """
    known = Known(str(uuid.uuid4()), clock.now(), list(given), clause or "", dry_run=True)
    apart = Apart(job, of_process(settings.code_processes))
    query = partial(asked, org)
    with _told():
        chosen: str | Keys = apart.start(known) if job.start is not JobType.start else clause or ""
        if isinstance(chosen, Keys):
            keys = list(chosen.keys)
            decided = apart.execute(known, [(key, [key]) for key in keys[: min(MOST, job.page_size)]], query)
            return OwnFound(job, Sample(len(keys), decided, 0, asks=False), 0.0)
        where, sobject = check_clause(chosen), described_object(job)
        began = time.perf_counter()
        records = org.count(f"SELECT COUNT() FROM {sobject} WHERE ({where})")
        latency = time.perf_counter() - began
        rows = _first(org, job, where) if records else []
        read = [(str(row["Id"]), flat(columns(job.row), row)) for row in rows]
        below = sum(len(value) for _, values in read for value in values if isinstance(value, list))
        return OwnFound(job, Sample(records, apart.execute(known, read, query) if read else [], below), latency)


def _first(org: OrgClient, job: type[JobType[Any]], where: str) -> list[dict[str, Any]]:
    """Return the first records. Child rows that do not come with the first answer are left out."""
    of = columns(job.row)
    most = min(MOST, job.page_size)
    soql = f"SELECT {select_list(of)} FROM {described_object(job)} WHERE ({where}) ORDER BY Id LIMIT {most}"
    return [
        {
            name: value["records"] if isinstance(value, dict) and "records" in value else value
            for name, value in row.items()
        }
        for row in org.first_page(soql)
    ]


@contextmanager
def _told() -> Iterator[None]:
    """Say what is wrong with the job's code as what is wrong with the request, and that it asks to wait as a fault."""
    try:
        with translated():
            yield
    except Retry as away:
        raise OrgUnreachable(f"The job's code asks to wait: {away}", code=away.code) from away
    except OrgClosed as wrong:
        raise InvalidRequest.field("jobType", f"cannot be forecast: {wrong.message}") from wrong
