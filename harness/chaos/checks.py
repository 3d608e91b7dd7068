"""Checks after a round: every job is Completed, every Quote is there once, every fire time was decided once."""

from __future__ import annotations

import time
from collections import Counter

from redis import Redis

from cli.client import ENDED, Json, facts
from harness.chaos.system import REFUSED, System, Violation, patient
from harness.timetable import PLANS, Plan, check_schedule, seconds
from harness.verdict import check_job

STUCK_AFTER = 150.0  # seconds without any progress after all is healed
LONGEST_MIRROR = 60.0  # seconds until an org was told of the end of its jobs
# Parts of an ended job that must not be in Redis any more.
GONE_WITH_THE_JOB = ("leases", "deaths", "faults", "context", "quotes", "left", "marks", "batches", "pages")


class Checks:
    """The checks of a round: they wait for its jobs and schedules and judge them. Each method raises Violation."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._schedules: dict[str, Plan] = {}
        self._first_fires: dict[str, int] = {}  # the first fire time of each schedule
        self._scheduled: set[str] = set()  # the ids of their jobs

    def finish(self, job_id: str) -> None:
        """Wait for the end of the job. Resume it when it ended in another state than Completed."""
        last, since = "", time.monotonic()
        while True:
            self._system.tick()
            job = patient(lambda: self._system.api.job(job_id))
            if job["status"] == "Completed":
                return
            if job["status"] in ENDED:
                patient(lambda: self._system.api.post(f"/api/jobs/{job_id}/resume"))
                self._system.figures.resumed += 1
            if repr(facts(job)) != last:
                last, since = repr(facts(job)), time.monotonic()
            stall = time.monotonic() - since
            self._system.figures.longest_stall = max(self._system.figures.longest_stall, stall)
            if stall > STUCK_AFTER:
                raise Violation(f"job {job_id} is stuck: {job}")
            time.sleep(0.25)

    def check(self, job_id: str, where: str, refused: int = REFUSED) -> None:
        """Compare the org's Quotes with what is expected, and the job's own figures with both."""
        verdict = check_job(self._system.reader, job_id, where)
        if verdict.differences:
            raise Violation(f"job {job_id}: {len(verdict.differences)} differences: {verdict.differences[:5]}")
        matching = self._system.reader.count(f"SELECT COUNT() FROM Opportunity WHERE {where}")
        job = self._system.api.job(job_id)
        records = job["records"]
        said = (
            records["total"],
            records["succeeded"],
            records["failed"],
            job["quotesCreated"],
            job["jobItemsProcessed"],
        )
        true = (matching + refused, verdict.quotes, refused, verdict.quotes, job["totalJobItems"])
        results = Counter(result["recordId"] for result in self._system.api.results(job_id))
        if said != true or len(results) != matching + refused or max(results.values()) > 1:
            raise Violation(f"job {job_id} says {said} with {len(results)} results; the org says {true}")
        self._system.figures.quotes += verdict.quotes

    def check_rest(self) -> None:
        """Check that there are only the checked Quotes, and that Redis holds no remains of ended jobs."""
        quotes = self._system.reader.count("SELECT COUNT() FROM Quote")
        if quotes != self._system.figures.quotes:
            raise Violation(f"the org has {quotes} quotes, {self._system.figures.quotes} were checked")
        with self._system.redis() as client:
            end = time.monotonic() + LONGEST_MIRROR
            while (left := self._left(client)) and time.monotonic() < end:
                time.sleep(1)
        if left:
            raise Violation(f"left in Redis: {left[:5]}")

    def _left(self, client: Redis) -> list[str]:
        """Return the keys of ended jobs that should be gone. A session stays until its org was told of the end."""
        return [
            key.decode()
            for job_id in (*self._system.jobs, *self._scheduled)
            for key in client.scan_iter(f"quotejob:job:{job_id}:*", count=1000)
            if key.decode().rpartition(":")[2] in GONE_WITH_THE_JOB
        ]

    def make_schedules(self) -> None:
        """Create every schedule of PLANS while nothing is broken."""
        self._schedules.clear()
        self._scheduled.clear()
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
                self.check(job_id, plan.where or "", refused=0)
            self._system.api.request("DELETE", f"/api/schedules/{schedule_id}").raise_for_status()
        self._scheduled.update(job["jobId"] for job in made)

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
