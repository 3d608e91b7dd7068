"""Checks after a round: every job has ended, every Quote is there once and whole, every fire time was decided once."""

from __future__ import annotations

import time

from redis import Redis

from cli.api import ENDED
from harness.api import Json, facts, read_body
from harness.chaos.cases import Case, wrong
from harness.chaos.system import System, Violation, patient
from harness.timetable import PLANS, Plan, check_schedule, seconds
from harness.verdict import check_job

STUCK_AFTER = 150.0  # seconds without any progress after all is healed
CLEAN_AFTER = 45.0  # seconds after its end, when a late request cannot come any more: everything is looked at again
LONGEST_CLEAN_UP = 200.0  # seconds after its end, when nothing of a job may be left, and its org knows of the end
# Parts of a job that must not be in Redis any more when it has ended, and when it is Completed.
GONE_AT_ITS_END = ("leases", "deaths", "context", "lent")
GONE_WHEN_COMPLETED = (*GONE_AT_ITS_END, "quotes", "left", "marks", "batches", "pages")


class Checks:
    """The checks of a round: they wait for its jobs and schedules and judge them. Each method raises Violation."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._schedules: dict[str, Plan] = {}
        self._first_fires: dict[str, int] = {}  # the first fire time of each schedule
        self._later: list[tuple[float, Case]] = []  # ended jobs, by their end, that are looked at again

    def finish(self, cases: list[Case]) -> None:
        """Wait for the end of the jobs, and check each. Resume those that ended otherwise and shall not stay so."""
        waiting, last, since = list(cases), "", time.monotonic()
        while waiting:
            self._system.tick()
            jobs = [self._job(case) for case in waiting]
            waiting = [case for case, job in zip(waiting, jobs, strict=True) if job and not self._is_done(case, job)]
            if (seen := repr([facts(job) for job in jobs if job])) != last:
                last, since = seen, time.monotonic()
            stall = time.monotonic() - since
            self._system.figures.longest_stall = max(self._system.figures.longest_stall, stall)
            if stall > STUCK_AFTER:
                raise Violation(f"stuck: {[job for job in jobs if job and job['status'] not in ENDED][:3]}")
            time.sleep(0.25)

    def _job(self, case: Case) -> Json | None:
        """Return what the API says of the job. None: Redis has lost it, in a round where it may."""
        answer = patient(lambda: self._known(case.job_id))
        if answer is None:
            if not self._system.may_forget:
                raise Violation(f"job {case.job_id} ({case.kind}) was accepted, and is not known any more")
            self._system.figures.forgotten += 1
        return answer

    def _known(self, job_id: str) -> Json | None:
        response = self._system.api.request("GET", f"/api/jobs/{job_id}")
        return None if response.status_code == 404 else read_body(response)

    def _is_done(self, case: Case, job: Json) -> bool:
        """Return whether nothing more is expected of the job; then it is checked, or will be later."""
        if job["status"] not in ENDED:
            return False
        if job["status"] != "Completed" and not case.stays:
            patient(lambda: self._system.api.post(f"/api/jobs/{case.job_id}/resume"))
            self._system.figures.resumed += 1
            return False
        if job["status"] == "Completed" and (said := self._wrong(case)):
            raise Violation(f"job {case.job_id} ({case}): {said[:5]}")
        self._later.append((time.monotonic(), case))
        return True

    def _wrong(self, case: Case) -> list[str]:
        """Return what is wrong with an ended job, and with what the org was told of it."""
        job = patient(lambda: self._system.api.job(case.job_id))
        results = patient(lambda: self._system.api.results(case.job_id))
        return wrong(self._system.reader, case, job, results)

    def _left_behind(self, case: Case) -> list[str]:
        """Return what an ended job has left: a record in the org that says something else, or its parts in Redis."""
        told = [row["Status__c"] for row in self._system.reader.query(
            f"SELECT Status__c FROM QuoteJob__c WHERE JobId__c = '{case.job_id}'")]  # fmt: skip
        status = patient(lambda: self._system.api.job(case.job_id))["status"]
        said = [] if told == [status] else [f"the org was told {told}, and it is {status}"]
        with self._system.redis() as client:
            left = self._left(client, case.job_id, GONE_WHEN_COMPLETED if status == "Completed" else GONE_AT_ITS_END)
        return said + ([f"left in Redis: {left}"] if left else [])

    def check_later(self, *, last: bool = False) -> None:
        """Look again at jobs whose clean-up must have ended. ``last``: wait for it."""
        while self._later:
            for ended, case in list(self._later):
                age = time.monotonic() - ended
                if age < CLEAN_AFTER:
                    continue
                if not (said := self._wrong(case) + self._left_behind(case)):
                    self._system.figures.checked += 1
                    self._later.remove((ended, case))
                elif age > LONGEST_CLEAN_UP:
                    raise Violation(f"job {case.job_id} ({case}), {age:.0f} s after its end: {said[:5]}")
            if not last:
                return
            self._system.tick()
            time.sleep(1)

    def _left(self, client: Redis, job_id: str, gone: tuple[str, ...]) -> list[str]:
        """Return the keys of an ended job that should be gone. A session stays until its org was told of the end."""
        return [
            key.decode()
            for key in client.scan_iter(f"quotejob:job:{job_id}:*", count=1000)
            if key.decode().rpartition(":")[2] in gone
        ]

    def make_schedules(self) -> None:
        """Create every schedule of PLANS while nothing is broken."""
        self._schedules.clear()
        for plan in PLANS:
            made = self._system.api.post("/api/schedules", plan.body())
            self._schedules[made["scheduleId"]] = plan
            self._first_fires[made["scheduleId"]] = seconds(made["nextFireTime"])

    def pause_schedules(self) -> dict[str, tuple[Json, int]]:
        """Wait until each schedule has caught up with the clock, then pause it.

        Return its state and its next fire time.
        """
        paused: dict[str, tuple[Json, int]] = {}
        for schedule_id, plan in self._schedules.items():
            until = time.monotonic() + STUCK_AFTER
            while True:
                self._system.tick()
                before = patient(lambda path=f"/api/schedules/{schedule_id}": self._system.api.get(path))  # type: ignore[misc]
                if seconds(before["nextFireTime"]) > self._system.clock.now() - plan.every - 2:
                    break
                if time.monotonic() > until or before["state"] == "ERROR":
                    raise Violation(f"schedule {plan.name} does not fire: {before}")
                time.sleep(0.25)
            after = self._system.api.post(f"/api/schedules/{schedule_id}/pause")
            meanwhile = _decided(after) - _decided(before)
            paused[schedule_id] = (after, seconds(before["nextFireTime"]) + meanwhile * plan.every)
        return paused

    def check_schedules(self, paused: dict[str, tuple[Json, int]]) -> None:
        """Check that each fire time was decided once and its job is Completed and right. Then delete the schedules."""
        made = self._finish_scheduled(sum(schedule["timesTriggered"] for schedule, _ in paused.values()))
        for schedule_id, (schedule, following) in paused.items():
            plan, first = self._schedules[schedule_id], self._first_fires[schedule_id]
            jobs = [job["jobId"] for job in made if job["scheduleId"] == schedule_id]
            wrong = check_schedule(schedule, plan.every, first, following, jobs, self._system.clock.stretches())
            if wrong:
                raise Violation(
                    f"schedule {plan.name}: {wrong}; the clock jumped {self._system.clock.jumps}; {schedule}"
                )
            self._system.figures.fires += _decided(schedule)
            for job_id in jobs if plan.where else ():
                if said := check_job(self._system.reader, job_id, plan.where or "").differences:
                    raise Violation(f"job {job_id} of schedule {plan.name}: {said[:5]}")
            self._system.api.request("DELETE", f"/api/schedules/{schedule_id}").raise_for_status()

    def _finish_scheduled(self, least: int) -> list[Json]:
        """Return the schedules' jobs when all of them are there and Completed.

        Resume a job that ended in another state.
        """
        last, since = "", time.monotonic()
        while True:
            self._system.tick()
            listed = patient(
                lambda: self._system.api.jobs(createdFrom=self._system.began.isoformat().replace("+00:00", "Z"))
            )
            jobs = [job for job in listed if job["scheduleId"] in self._schedules]
            for job in jobs:
                if job["status"] in ("Failed", "Aborted"):
                    patient(lambda job=job: self._system.api.post(f"/api/jobs/{job['jobId']}/resume"))  # type: ignore[misc]
                    self._system.figures.resumed += 1
            if len(jobs) >= least and all(job["status"] == "Completed" for job in jobs):
                return jobs
            if (seen := repr([facts(job) for job in jobs])) != last:
                last, since = seen, time.monotonic()
            self._system.figures.longest_stall = max(self._system.figures.longest_stall, time.monotonic() - since)
            if time.monotonic() - since > STUCK_AFTER:
                left = [job for job in jobs if job["status"] != "Completed"]
                raise Violation(f"of {least} jobs of schedules there are {len(jobs)}, not Completed: {left[:3]}")
            time.sleep(0.5)


def _decided(schedule: Json) -> int:
    return int(schedule["timesTriggered"] + schedule["timesSkipped"])
