"""The org client's Bulk API 2.0 against a real local org."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from _place import fault

from harness.api import LocalOrg
from quotejob.errors import OrgRefused, OrgUnreachable
from quotejob.salesforce import OrgClient, bulk

pytestmark = pytest.mark.usefixtures("as_new")


class Notes:
    """A checkpoint in memory."""

    def __init__(self) -> None:
        self.job_ids: list[str] = []

    def load(self) -> list[str]:
        return list(self.job_ids)

    def save(self, job_ids: list[str]) -> None:
        self.job_ids = list(job_ids)


def _accounts(number: int, name: str) -> Iterator[dict[str, str]]:
    for place in range(number):
        yield {"Name": f'{name} "{place}",\nüñ', "BillingCountry": "DE"}


def _names(org: OrgClient, name: str) -> list[str]:
    return [record["Name"] for record in org.query(f"SELECT Name FROM Account WHERE Name LIKE '{name}%'")]


def test_rows_go_in_and_their_fates_come_back(org: OrgClient) -> None:
    """Good and bad rows, known by their own columns, in whatever order."""
    name = str(uuid4())
    told: list[tuple[int, int]] = []
    rows = [*_accounts(5, name), {"Name": "", "BillingCountry": "FR"}]
    result = org.ingest(
        "Account", "insert", rows, ["Name", "BillingCountry"], on_look=lambda done, bad: told.append((done, bad))
    )
    assert (result.records_processed, result.records_failed, result.errors) == (6, 1, ())
    assert told[-1] == (6, 1)
    good, bad = list(result.succeeded()), list(result.failed())
    assert sorted(row["Name"] for row in good) == sorted(row["Name"] for row in rows[:5])
    assert all(row["sf__Id"].startswith("001") and row["sf__Created"] == "true" for row in good)
    assert [row["BillingCountry"] for row in bad] == ["FR"]
    assert bad[0]["sf__Error"].startswith("REQUIRED_FIELD_MISSING:")
    assert list(result.unprocessed()) == []
    assert len(_names(org, name)) == 5


def test_no_rows_cost_nothing(org: OrgClient) -> None:
    """Not even a job."""
    result = org.ingest("Account", "insert", [], ["Name"])
    assert (org.calls, result.job_ids, list(result.succeeded())) == (0, (), [])


def test_rows_beyond_the_limit_go_into_several_jobs(org: OrgClient) -> None:
    """All of them, once; the results of the jobs come as one."""
    name, notes = str(uuid4()), Notes()
    job = bulk.NewJob("Account", "insert")
    result = bulk.ingest(
        org._connection, job, _accounts(40, name), ["Name", "BillingCountry"], checkpoint=notes, max_upload=1000
    )
    assert len(result.job_ids) > 2
    assert list(result.job_ids) == notes.job_ids
    assert (result.records_processed, len(list(result.succeeded()))) == (40, 40)
    assert sorted(_names(org, name)) == sorted(row["Name"] for row in _accounts(40, name))


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.mark.parametrize("moment", ["_create", "_upload", "_start", "_wait"])
@pytest.mark.parametrize("part", [1, 2])
def test_a_killed_run_is_taken_up_again(
    org: OrgClient, monkeypatch: pytest.MonkeyPatch, moment: str, part: int
) -> None:
    """Wherever it died, every row is there once after the repeat."""
    name, notes = str(uuid4()), Notes()
    job = bulk.NewJob("Account", "insert")
    real = getattr(bulk, moment)
    times = 0

    def dying(*args: Any) -> Any:
        nonlocal times
        times += 1
        if times == part or moment == "_wait":
            raise Killed
        return real(*args)

    def run() -> bulk.IngestResult:
        rows = _accounts(40, name)
        return bulk.ingest(org._connection, job, rows, ["Name", "BillingCountry"], checkpoint=notes, max_upload=1000)

    monkeypatch.setattr(bulk, moment, dying)
    with pytest.raises(Killed):
        run()
    monkeypatch.setattr(bulk, moment, real)
    assert run().records_processed == 40
    assert sorted(_names(org, name)) == sorted(row["Name"] for row in _accounts(40, name))


@pytest.mark.parametrize("kind", ["fail_before_write", "fail_after_write", "reset_before_write", "reset_after_write"])
def test_bulk_goes_through_faults_without_writing_twice(org: OrgClient, place: LocalOrg, kind: str) -> None:
    """Creating, uploading, starting, asking, fetching: each answer is lost once."""
    name = str(uuid4())
    for method, resource in [
        *[("POST", "jobs/ingest"), ("PUT", "jobs/ingest/batches"), ("PATCH", "jobs/ingest")],
        *[("GET", "jobs/ingest"), ("GET", "jobs/ingest/results")],
    ]:
        fault(place, kind, resource, method=method)
    result = org.ingest("Account", "insert", _accounts(20, name), ["Name", "BillingCountry"])
    assert len(list(result.succeeded())) == 20
    assert len(_names(org, name)) == 20


def test_waiting_for_bulk_has_an_end(org: OrgClient) -> None:
    """The job goes on in the org and a repeat finds it."""
    name, notes = str(uuid4()), Notes()
    with pytest.raises(OrgUnreachable) as caught:
        org.ingest("Account", "insert", _accounts(3, name), ["Name", "BillingCountry"], checkpoint=notes, deadline=0)
    assert caught.value.code == "BULK_DEADLINE"
    result = org.ingest("Account", "insert", _accounts(3, name), ["Name", "BillingCountry"], checkpoint=notes)
    assert (result.records_processed, len(_names(org, name))) == (3, 3)


def test_rows_are_deleted_by_id(org: OrgClient) -> None:
    """A delete job has one column."""
    name = str(uuid4())
    made = org.ingest("Account", "insert", _accounts(3, name), ["Name", "BillingCountry"])
    gone = org.ingest("Account", "delete", ({"Id": row["sf__Id"]} for row in made.succeeded()), ["Id"])
    assert (gone.records_processed, gone.records_failed, _names(org, name)) == (3, 0, [])


def test_a_job_for_an_object_that_is_not_there_is_refused(org: OrgClient) -> None:
    """Before anything is uploaded, or as a job that failed with the reason."""
    try:
        result = org.ingest("NoSuchThing__c", "insert", [{"Name": "x"}], ["Name"])
    except OrgRefused:
        return
    assert result.errors
