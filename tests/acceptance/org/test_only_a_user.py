"""Who has only the permission set QuoteJobUser submits jobs and watches them, and changes nothing else."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import requests

from cli.local import API_VERSION
from harness.api import Api, LocalOrg
from harness.org_reader import OrgReader
from harness.process import ROOT
from harness.stack import Stack

SOURCE = ROOT / "force-app" / "main" / "default"
_NAMESPACE = "{http://soap.sforce.com/2006/04/metadata}"
CHANGES = ("abort", "resume", "retry", "moveToPosition")  # of QuoteJobTransport


@pytest.fixture(scope="module")
def user(stack: Stack) -> LocalOrg:
    """The org, as this user."""
    assert stack.org
    everyone = requests.get(f"{stack.org.url}/localorg/users", timeout=10).json()["users"]
    [found] = [each for each in everyone if each["profile"] == "QuoteJobUser"]
    return replace(stack.org, token=found["accessToken"], user_id=found["id"])


@pytest.fixture(scope="module")
def rows(user: LocalOrg) -> Callable[..., requests.Response]:
    """``rows("PATCH", "sobjects/Quote/0Q0...", {...})``: a request to the org by this user."""

    def send(method: str, path: str, body: Any = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {user.token}"}
        url = f"{user.url}/services/data/v{API_VERSION}/{path}"
        return requests.request(method, url, json=body, headers=headers, timeout=30)

    return send


def test_it_submits_a_job_that_writes_nothing_without_more_rights(
    stack: Stack, user: LocalOrg, reader: OrgReader, make_opportunity: Callable[..., str], name: str
) -> None:
    """The job runs as its user, so the org refuses each Quote, and the job says so."""
    opportunity = make_opportunity(name)
    mine = Api(stack.web_url, user)
    job = mine.follow(mine.submit(f"Name = '{name}'"))
    assert (job["createdById"], job["records"]["failed"]) == (user.user_id, 1)
    [reason] = mine.get(f"/api/jobs/{job['jobId']}/failures")["failures"]
    assert "INSUFFICIENT_ACCESS" in reason["code"]
    assert reader.count(f"SELECT COUNT() FROM Quote WHERE OpportunityId = '{opportunity}'") == 0


def test_it_watches_and_changes_no_record(
    api: Api, reader: OrgReader, rows: Callable[..., requests.Response], make_opportunity: Callable[..., str], name: str
) -> None:
    opportunity = make_opportunity(name)
    record = reader.create("QuoteJob__c", {"Name": name, "JobId__c": name, "Status__c": "Processing"})
    found = rows("GET", f"query?q=SELECT Name, Status__c FROM QuoteJob__c WHERE Id = '{record}'").json()["records"]
    assert found[0]["Status__c"] == "Processing"
    assert rows("GET", "sobjects/QuoteJobProgress__e/describe").status_code == 200
    tries = [
        rows("PATCH", f"sobjects/QuoteJob__c/{record}", {"Status__c": "Aborted"}),
        rows("DELETE", f"sobjects/QuoteJob__c/{record}"),
        rows("POST", "sobjects/QuoteJob__c", {"Name": "x", "JobId__c": "x"}),
        rows("POST", "sobjects/QuoteJobProgress__e", {"JobId__c": "x", "Status__c": "Completed"}),
        rows("PATCH", f"sobjects/Opportunity/{opportunity}", {"QuoteJobKey__c": "x"}),
    ]
    assert [each.status_code for each in tries] == [403] * 5


def test_its_apex_changes_no_job() -> None:
    """The classes that the set grants submit and look. Those that change a job belong to QuoteJobAdmin."""
    root = ElementTree.parse(SOURCE / "permissionsets" / "QuoteJobUser.permissionset-meta.xml").getroot()
    granted = [each.text for each in root.iter(f"{_NAMESPACE}apexClass")]
    assert {"QuoteJobSubmit", "QuoteJobLook", "QuoteJobController"} <= set(granted)
    for name in granted:
        text = next(SOURCE.rglob(f"{name}.cls")).read_text(encoding="utf-8")
        assert re.findall(rf"\.({'|'.join(CHANGES)})\(", text) == [], name
