"""bin/demo --queue: the scheduler's worked example of docs/api.md, run through the public API, drawn and checked.

A and B price Opportunities. C waits for both and for a time. A crowd of others fills the flex queue and keeps it full.
D is scheduled, with a guaranteed start. E, the last in the queue, is moved to its front by hand.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from harness.api import Api, ApiError, Json
from harness.org_reader import OrgReader
from harness.stack import Stack
from harness.verdict import check_job

SLOTS = 5
HOLDING = 20  # size of the flex queue in this example, so that it is full soon; the default is 100
OPPORTUNITIES = 300
NOT_BEFORE = 16.0  # seconds until the time that C waits for
AHEAD = 6.0  # seconds until D is due
LONGEST = 240.0  # seconds for the whole example
CROWD = 4  # callers at the same time
WIDTH = 64  # width of the drawing in characters

Say = Callable[[str], None]


@dataclass
class Story:
    """What was requested, and when."""

    jobs: dict[str, str]  # name -> job id
    not_before: datetime
    due: datetime
    passed: list[str]  # jobs that were Holding before E when it was moved


def tell(stack: Stack, say: Say) -> list[str]:
    """Run the example. Return what did not go as drawn; the list is empty if all went well."""
    assert stack.org
    reader = OrgReader(stack.org)
    api = Api(stack.web_url, stack.org, reader.username())
    say(f"\n{OPPORTUNITIES} sample Opportunities first")
    api.follow(str(api.post(f"/api/data/create?numberOfOpportunities={OPPORTUNITIES}")["jobId"]), 120)
    with crowd(api) as others:
        story = ask(api, others, say)
        until = time.monotonic() + LONGEST
        while not all(api.job(job_id)["completedDate"] for job_id in story.jobs.values()):
            if time.monotonic() > until:
                return [f"Not all had ended after {LONGEST:.0f} s"]
            stack.check()
            time.sleep(0.5)
    crowded = [api.follow(job_id, 120) for job_id in others.jobs]
    named = {name: api.job(job_id) for name, job_id in story.jobs.items()}
    say(f"\nHow it went, {len(crowded)} others beside them (· waits, █ runs)\n")
    for line in drawing(named, story):
        say(line)
    wrong = judged(named, crowded, story)
    for name, where in WHERE.items():
        wrong += [f"{name}: {difference}" for difference in check_job(reader, story.jobs[name], where).differences]
    return wrong


def ask(api: Api, others: Crowd, say: Say) -> Story:
    """Make all requests of the example, in their order."""
    jobs = {}
    for name in "AB":
        where = WHERE[name]
        jobs[name] = api.submit(where)
        say(f'\n{name}  POST /api/executebatch {{"soqlWhereClause": "{where}"}}')
    not_before = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=NOT_BEFORE)
    conditions = {"dependsOn": [jobs["A"], jobs["B"]], "notBefore": not_before.isoformat()}
    body = {"soqlWhereClause": WHERE["C"], **conditions}
    jobs["C"] = str(api.post("/api/executebatch", body)["jobId"])
    say(f'\nC  POST /api/executebatch {{... "dependsOn": [A, B], "notBefore": "{not_before:%H:%M:%S}Z"}}')
    for waiting in api.job(jobs["C"])["waitingFor"]:
        say(f"   {waiting['message'].replace(jobs['A'], 'A').replace(jobs['B'], 'B')}")

    others.begin()
    refusal = others.refused()
    say(f"\n   The flex queue is full: 429 {refusal}")

    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=AHEAD)
    cron = f"{due.second} {due.minute} {due.hour} {due.day} {due.month} ? {due.year}"
    schedule = {"name": "D", "cronExpression": cron, "soqlWhereClause": WHERE["D"]}
    schedule_id = api.post("/api/schedules", {**schedule, "guaranteed": True, "authorization": "worker"})["scheduleId"]
    say(f'\nD  POST /api/schedules {{"cronExpression": "{cron}", "guaranteed": true, ...}}')

    queue = [job["jobId"] for job in api.get("/api/flexqueue")["jobs"]]
    jobs["E"], passed = queue[-1], [job_id for job_id in queue[:-1] if job_id != jobs["C"]]
    moved = api.post("/api/flexqueue/moveJobToFront", {"jobId": jobs["E"]})["moved"]
    say(f"\nE  POST /api/flexqueue/moveJobToFront {{jobId}}: the last of {len(queue)}, moved: {moved}")

    until = time.monotonic() + 60
    while (last := api.get(f"/api/schedules/{schedule_id}")["lastJobId"]) is None:
        if time.monotonic() > until:
            raise ApiError("The schedule has not fired a minute after it was due")
        time.sleep(0.1)
    jobs["D"] = last
    return Story(jobs, not_before, due, passed)


WHERE = {
    "A": "Name LIKE 'Sample Opportunity 1%'",
    "B": "Name LIKE 'Sample Opportunity 2%'",
    "C": "Name LIKE 'Sample Opportunity 3%'",
    "D": "Name LIKE 'Sample Opportunity 4%'",
}


class Crowd:
    """Other callers of the same org, who submit jobs as fast as they are allowed to."""

    def __init__(self, api: Api) -> None:
        self.jobs: list[str] = []
        self._api = api
        self._refusals: list[str] = []
        self._begun, self._over = threading.Event(), threading.Event()

    def begin(self) -> None:
        """Let the callers submit from now until `end`."""
        self._begun.set()

    def refused(self) -> str:
        """Return the message of the first refusal, once there is one."""
        until = time.monotonic() + 60
        while not self._refusals:
            if time.monotonic() > until:
                raise ApiError("The flex queue was not full after a minute")
            time.sleep(0.05)
        return self._refusals[0]

    def submit(self, caller: int) -> None:
        """Submit jobs as one of the callers."""
        self._begun.wait()
        api, number = self._api.another(), caller
        while not self._over.is_set():
            where = f"Name LIKE 'Sample Opportunity {50 + number % 50}%'"
            answer = api.request("POST", "/api/executebatch", json={"soqlWhereClause": where})
            if answer.status_code == 429:
                self._refusals.append(answer.json()["message"])
                self._over.wait(0.5)
            elif answer.ok:
                self.jobs.append(answer.json()["jobId"])
                number += CROWD
            else:
                raise ApiError(f"One of the crowd was answered {answer.status_code}: {answer.text[:500]}")

    def end(self) -> None:
        """Stop the callers."""
        self._over.set()
        self._begun.set()


@contextmanager
def crowd(api: Api) -> Iterator[Crowd]:
    """Run a crowd that is gone at the end of the block. Raise ApiError when one caller got an error."""
    others = Crowd(api)
    with ThreadPoolExecutor(CROWD) as pool:
        callers = [pool.submit(others.submit, number) for number in range(CROWD)]
        try:
            yield others
        finally:
            others.end()
        for caller in callers:
            caller.result()


def drawing(named: dict[str, Json], story: Story) -> Iterator[str]:
    """Return a line for each job, all on one time scale."""
    begin = min(moment(job, "createdDate") for job in named.values())
    end = max(moment(job, "completedDate") for job in named.values())
    scale = (end - begin).total_seconds() / WIDTH

    def place(when: datetime) -> int:
        return round((when - begin).total_seconds() / scale)

    notes = {
        "A": "",
        "B": "",
        "C": f"waits for A, B and {place_of(story.not_before, begin)}",
        "D": f"guaranteed at {place_of(story.due, begin)}; runs {late(named['D'], story):.2f} s later",
        "E": "moved to the front",
    }
    for name, job in sorted(named.items()):
        created, started, completed = (
            place(moment(job, f"{word}Date")) for word in ("created", "started", "completed")
        )
        bar = " " * created + "·" * (started - created) + "█" * max(1, completed - started)
        yield f"{name}  {bar:<{WIDTH + 1}} {notes[name]}".rstrip()
    yield "   0" + f"{(end - begin).total_seconds():.0f} s".rjust(WIDTH)


def judged(named: dict[str, Json], crowded: list[Json], story: Story) -> list[str]:
    """Return what in the order of the jobs is not as drawn."""
    wrong = [f"{name} is {job['status']}" for name, job in named.items() if job["status"] != "Completed"]
    wrong += [f"One of the crowd is {job['status']}" for job in crowded if job["status"] != "Completed"]
    if wrong:
        return wrong
    ready = max(moment(named["A"], "completedDate"), moment(named["B"], "completedDate"), story.not_before)
    if moment(named["C"], "startedDate") < ready:
        wrong.append("C ran before A and B were Completed and its time had come")
    d_began, e_began = moment(named["D"], "startedDate"), moment(named["E"], "startedDate")
    held = [job for job in crowded if moment(job, "createdDate") < story.due and moment(job, "startedDate") > d_began]
    if d_began < story.due or not held:
        wrong.append("D did not run at its time, before others that were Holding then")
    before = [job for job in crowded if job["jobId"] in story.passed and moment(job, "startedDate") < e_began]
    if len(before) > SLOTS:  # so many jobs may have started while E was being moved
        wrong.append(f"{len(before)} of {len(story.passed)} that stood before E ran before it")
    return wrong


def late(job: Json, story: Story) -> float:
    """Return the seconds from the fire time of D to its start."""
    return (moment(job, "startedDate") - story.due).total_seconds()


def moment(job: Json, field: str) -> datetime:
    """Return one of the job's dates."""
    return datetime.fromisoformat(job[field])


def place_of(when: datetime, begin: datetime) -> str:
    """Return the place of a time in the drawing."""
    return f"{(when - begin).total_seconds():.0f} s"
