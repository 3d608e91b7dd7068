"""Two versions side by side, as during a deploy, and after a rollback: each job is right, and done once."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from systems.versions import last_release, next_release, start, start_web, start_worker
from systems.waiting import responds, wait

from harness.api import Api
from harness.org_reader import OrgReader
from harness.process import ROOT, free_port
from harness.stack import Stack
from harness.verdict import check_job

RECORDS = 500
ALL = "Name LIKE 'Sample%' OR Name LIKE 'Opportunity%'"
FEW = "Name LIKE '%1'"
SOON = 20.0  # seconds
OWN = """
from collections.abc import Iterator, Sequence
from quotejob.usercode.context import Context
from quotejob.usercode.jobtype import JobType
from quotejob.usercode.rows import Row
from quotejob.usercode.writes import updates

class Opportunity(Row, frozen=True, kw_only=True):
    Name: str

class NextStep(JobType[Opportunity]):
    '''Notes a next step.'''
    writes = (updates("Opportunity", "NextStep"),)

    def execute(self, records: Sequence[Opportunity], context: Context) -> Iterator[object]:
        for deal in records:
            yield deal.update(NextStep="Call")
"""
Apis = Callable[[str], Api]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Redis and an org that takes its time; a job type of users."""
    folder = tmp_path_factory.mktemp("versions")
    (folder / "next_step.py").write_text(OWN)
    with Stack(folder, extra={"QUOTEJOB_JOBS": "next_step", "QUOTEJOB_ACTIVE_JOBS": "10"}) as made:
        made.start_redis()
        made.start_org(0, "--opportunities", str(RECORDS), "--lines", "2")
        yield made


@pytest.fixture(autouse=True)
def own_processes(stack: Stack) -> Iterator[None]:
    """Ends the processes of a test, also when it fails: those of another version would do the next test's work."""
    before = [*stack.processes]
    yield
    for process in [each for each in stack.processes if each not in before]:
        stack.kill(process.name)


@pytest.fixture
def api(stack: Stack) -> Apis:
    """The API at an address, once it answers."""
    assert stack.org
    org = stack.org

    def answering(url: str) -> Api:
        wait(lambda: responds(f"{url}/health"))
        stack.check()
        return Api(url, org, OrgReader(org).username())

    return answering


def right(reader: OrgReader, api: Api, job_id: str, where: str) -> None:
    """The job is Completed, with one right Quote and one result for each record."""
    job = api.follow(job_id)
    assert job["status"] == "Completed", job
    assert check_job(reader, job_id, where).differences == []
    results = Counter(result["recordId"] for result in api.results(job_id))
    assert len(results) == job["records"]["total"] == job["records"]["succeeded"] > 0
    assert max(results.values()) == 1


def test_the_last_release_and_this_version_end_each_others_jobs(stack: Stack, api: Apis, tmp_path: Path) -> None:
    """An upgrade and a rollback in the middle of jobs of all kinds, with workers of both that are killed."""
    assert stack.org
    reader, old = OrgReader(stack.org), last_release(tmp_path / "old")
    start_worker(stack, old, "old1")
    start(stack, old, "old-beat", sys.executable, "-m", "celery", "-A", "tasks", "beat")
    urls = [start_web(stack, code, name, free_port(0)) for code, name in ((old, "old-web"), (ROOT, "new-web"))]
    before, after = map(api, urls)
    begun = before.submit(ALL)  # by the release before
    wait(lambda: before.job(begun)["records"]["succeeded"])
    start_worker(stack, ROOT, "new1")
    jobs = {each.submit(where): where for where in (ALL, FEW) for each in (before, after)}
    dry = [each.post("/api/jobs", {"jobType": "BatchQuote", "soqlWhereClause": FEW, "dryRun": True})["jobId"]
           for each in (before, after)]  # fmt: skip
    own = [each.post("/api/jobs", {"jobType": "NextStep", "soqlWhereClause": FEW})["jobId"] for each in (before, after)]
    schedules = [
        each.post("/api/schedules", {"name": name, "cronExpression": "0/3 * * * * ?", "soqlWhereClause": FEW,
                                     "authorization": "worker", "overlap": "queue"})["scheduleId"]
        for each, name in ((before, "Old"), (after, "New"))
    ]  # fmt: skip
    last = after.post("/api/executebatch", {"soqlWhereClause": FEW, "dependsOn": [*jobs]})["jobId"]
    wait(
        lambda: "The worker is ready" in stack.process("new1").tail(400) or " ready." in stack.process("new1").tail(400)
    )
    stack.kill("old1")  # the upgrade: from now on only this version works
    stack.kill("old-beat")
    stack.start_beat()
    wait(lambda: after.job(begun)["status"] == "Completed")
    another = after.submit(ALL)
    wait(lambda: after.job(another)["records"]["succeeded"])
    start_worker(stack, old, "old2")  # the rollback, in the middle of that job
    stack.kill("new1")
    for job_id, where in {begun: ALL, **jobs, last: FEW, another: ALL}.items():
        right(reader, before, job_id, where)
    for each, job_id in zip((before, after), dry, strict=True):
        assert each.follow(job_id)["records"]["planned"] > 0
        assert reader.count(f"SELECT COUNT() FROM Quote WHERE QuoteJobKey__c LIKE '{job_id}:%'") == 0
        right(reader, each, after.post(f"/api/jobs/{job_id}/run")["jobId"], FEW)
    for job_id in own:
        job = before.follow(job_id)
        assert (job["status"], job["records"]["failed"]) == ("Completed", 0), job["extendedStatus"]
    for schedule_id in schedules:
        schedule = _paused(before, schedule_id)
        fired = after.jobs(scheduleId=schedule_id)
        assert len(fired) == schedule["timesTriggered"]
        for job in fired:
            right(reader, after, job["jobId"], FEW)
    stack.check()


def test_a_job_of_the_next_version_waits_for_its_workers(stack: Stack, api: Apis, tmp_path: Path) -> None:
    """Dry runs, and ends of schedules, are new in it. A worker of this version leaves them alone, and does the others.

    Once workers of the newer version run beside it, nothing of that waits any longer.
    """
    assert stack.org
    following = next_release(tmp_path / "next", "dryRun", "endTime")
    start_worker(stack, ROOT, "new2")
    stack.start_beat()
    web = api(start_web(stack, following, "next-web", free_port(0)))
    wait(lambda: responds(f"{web.url}/ready"))
    dry = _dry(web)
    plain = web.submit(FEW)
    assert web.follow(plain)["status"] == "Completed"
    time.sleep(3)  # of sweeps
    job = web.job(dry)
    assert (job["status"], job["records"]["total"]) == ("Holding", 0)
    assert "workers of a newer version" in job["extendedStatus"]
    assert any("workers of a newer version" in each["message"] for each in job["waitingFor"])
    said = [check["message"] for check in web.get("/api/diagnosis")["checks"] if check["subject"] == "workers"]
    assert any("1 jobs need workers of a newer version" in text for text in said), said
    lines = stack.process("new2").tail(1000).splitlines()
    assert not [line for line in lines if "Holding" in line and "Job is " not in line]
    start_worker(stack, following, "next-pages", "-Q", "pages")
    start_worker(stack, following, "next-others", "-Q", "clock,control")
    began = time.monotonic()
    _ends_well(web, dry)
    print(f"took {time.monotonic() - began:.1f} s")
    assert time.monotonic() - began < SOON  # with the start of the two
    began, chain = time.monotonic(), [_dry(web)]
    for _ in range(3):
        chain.append(_dry(web, dependsOn=[chain[-1]]))
    schedule = web.post("/api/schedules", {"name": "Next", "cronExpression": "0/2 * * * * ?", "soqlWhereClause": FEW,
                                           "authorization": "worker", "endTime": "2098-01-01T00:00:00Z"})  # fmt: skip
    for job_id in chain:
        _ends_well(web, job_id)
    wait(lambda: web.jobs(scheduleId=schedule["scheduleId"]))
    print(f"took {time.monotonic() - began:.1f} s")
    assert time.monotonic() - began < SOON
    web.post(f"/api/schedules/{schedule['scheduleId']}/pause")
    left = [line for line in stack.process("new2").tail(1000).splitlines() if "needs format" in line]
    assert not [line for line in left if "task=" in line]  # no message of these jobs came to it
    stack.check()  # also the older one has run all the time


def _paused(api: Api, schedule_id: str) -> dict[str, Any]:
    """Pause the schedule once it has fired twice. After the death of a worker in a tick that takes up to 13 s."""
    path = f"/api/schedules/{schedule_id}"
    wait(lambda: api.get(path)["timesTriggered"] >= 2)
    return dict(api.post(f"{path}/pause"))


def _dry(web: Api, **what: object) -> str:
    job = web.post("/api/jobs", {"jobType": "BatchQuote", "soqlWhereClause": FEW, "dryRun": True, **what})
    return str(job["jobId"])


def _ends_well(web: Api, job_id: str) -> None:
    """The job is Completed, and has had something to do."""
    job = web.follow(job_id)
    assert job["status"] == "Completed"
    assert "newer version" not in (job["extendedStatus"] or "")
    assert job["records"]["planned"] > 0
