"""One org that does not answer: callers of other orgs, and their jobs, do not wait for it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from _hanging import HangingOrg, hanging

from harness.api import Api
from harness.org_reader import OrgReader
from harness.stack import Stack
from quotejob.asking.door import AT_ONCE, CLOSED_AFTER

CALLERS = 24
BEFORE_IT_TIMES_OUT = 8  # seconds; a call to an org has ten
JOBS = 5


@pytest.fixture(scope="module")
def two_orgs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Api]]:
    """Web of one process, a worker, and an org that answers. A request of a worker to an org has two seconds."""
    with Stack(
        tmp_path_factory.mktemp("hanging"), extra={"QUOTEJOB_ORG_TIMEOUT": "2", "WEB_CONCURRENCY": "1"}
    ) as stack:
        stack.start_redis()
        org = stack.start_org(0, "--opportunities", "20")
        stack.start_web()
        stack.start_worker(1, "-c", "2")
        stack.start_beat()
        stack.wait_ready()
        yield stack, Api(stack.web_url, org, OrgReader(org).username())
        stack.check()


@pytest.fixture
def silent() -> Iterator[HangingOrg]:
    with hanging() as org:
        yield org


def header(org: HangingOrg) -> dict[str, str]:
    """The context of the org's caller."""
    caller = org.caller
    document = {
        "requestId": "r", "orgId": caller.org_id, "orgDomainUrl": caller.org_domain_url, "apiVersion": "66.0",
        "namespace": "", "accessToken": caller.access_token,
        "userContext": {"userId": caller.user_id, "username": caller.username},
    }  # fmt: skip
    return {"x-client-context": base64.b64encode(json.dumps(document).encode()).decode()}


def test_callers_of_other_orgs_are_answered(two_orgs: tuple[Stack, Api], silent: HangingOrg) -> None:
    """24 callers of an org that hangs: another tenant's list comes at once. All are told which org it is."""
    stack, api = two_orgs

    def ask(_: int) -> requests.Response:
        return requests.get(f"{stack.web_url}/api/jobs", headers=header(silent), timeout=120)

    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [pool.submit(ask, number) for number in range(CALLERS)]
        while not silent.asked:
            time.sleep(0.01)
        began = time.monotonic()
        for _ in range(5):
            assert requests.get(f"{stack.web_url}/health", timeout=BEFORE_IT_TIMES_OUT).status_code == 200
            listed = requests.get(f"{stack.web_url}/api/jobs", headers=api.context(), timeout=BEFORE_IT_TIMES_OUT)
            assert listed.status_code == 200
        print(f"others: {(time.monotonic() - began) / 10:.3f} s each")
        answers = [each.result() for each in callers]
    for answer in answers:
        assert answer.status_code == 503
        assert f"127.0.0.1:{silent.server_port}" in answer.json()["message"]
        assert int(answer.headers["Retry-After"]) >= 1
    asked = len(silent.asked)
    assert (
        asked < AT_ONCE + CLOSED_AFTER
    )  # the others did not wait; one that comes late may still ask until it is closed
    assert all(ask(0).status_code == 503 for _ in range(10))
    assert len(silent.asked) == asked  # it is closed for longer than that takes


def test_jobs_of_other_orgs_are_done(two_orgs: tuple[Stack, Api], silent: HangingOrg) -> None:
    """Five jobs of an org that hangs, as many as may be active: another org's job is done meanwhile."""
    stack, api = two_orgs
    silent.knows_callers.set()
    for _ in range(JOBS):
        submitted = requests.post(
            f"{stack.web_url}/api/executebatch",
            json={"soqlWhereClause": "Name = 'x'"},
            headers=header(silent),
            timeout=60,
        )
        assert submitted.status_code == 202, submitted.text
    while not silent.asked:
        time.sleep(0.05)
    began = time.monotonic()
    job = api.follow(api.submit("Name LIKE 'Opportunity %'"), quiet=300)
    print(f"the other job: {time.monotonic() - began:.1f} s, {len(silent.asked)} calls to the org that hangs")
    assert job["status"] == "Completed"
    assert job["records"]["succeeded"] == 20
    waiting = requests.get(f"{stack.web_url}/api/jobs", headers=header(silent), timeout=60).json()["jobs"]
    assert {each["status"] for each in waiting} <= {"Queued", "Preparing", "Processing"}
    assert len(waiting) == JOBS
