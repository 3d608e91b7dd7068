"""The schedules of a history: they fire while everything fails, and each fire time is decided once."""

from __future__ import annotations

from harness.histories.workers import Workers
from harness.histories.world import Actor, Process, World
from harness.timetable import check_schedule
from quotejob import clock
from quotejob.jobs.job import Job
from quotejob.salesforce.caller import CallerContext
from quotejob.schedules.schedule import Misfire, Overlap, Schedule
from quotejob.services import Services
from quotejob.store import keys

EVERY = 20  # seconds between two fire times


class Schedules:
    """The schedules, the ticks that fire them, and the check at the end."""

    def __init__(self, world: World, made: Services, workers: Workers) -> None:
        self._world = world
        self._made = made
        self._workers = workers
        self._org_id = ""
        self._first: dict[str, int] = {}  # the first fire time of each, in seconds since 1970
        self._ended = False
        self._last: list[tuple[Schedule, int]] = []  # each when it was paused, and the first time that it did not fire

    def create(self, caller: CallerContext, group: str) -> None:
        """Create a schedule of one group of Opportunities."""
        dice = self._world.dice
        made = self._made.schedules.create(
            caller, f"schedule {len(self._first)}", f"0/{EVERY} * * * * ?", job_type="BatchQuote",
            soql_where_clause=f"Name = '{group}'", authorization="worker", guaranteed=dice.random() < 0.3,
            overlap=dice.choice(list(Overlap)), misfire=dice.choice(list(Misfire)),
        )  # fmt: skip
        self._first[made.schedule_id], self._org_id = _seconds(made), made.org_id

    def there(self) -> bool:
        """Return whether there is one."""
        return bool(self._first)

    def tick(self, beat: Process) -> None:
        """Send a tick, as beat does. Until all jobs are made: a tick finishes what one before it has begun."""
        if self._first and not self._ended:
            self._world.spawn(Actor("beat", beat, lambda: self._workers.publish("quotejob.tick", {})))

    def end(self) -> list[Job]:
        """Pause them when they have caught up with the clock. Return their jobs."""
        if not self._first:
            return []
        self._world.run(lambda: all(_seconds(each) > self._now() - EVERY for each in self._current()), 300)
        for schedule in self._current():
            self._last.append((schedule, _seconds(schedule)))
            self._made.schedules.pause(schedule.schedule_id, schedule.org_id)
        wanted = sum(schedule.times_triggered for schedule, _ in self._last)
        self._world.run(lambda: len(self.jobs()) >= wanted, 300)
        self._ended = True
        return self.jobs()

    def wrong(self) -> list[str]:
        """Return what is wrong with their fire times."""
        made, said = self.jobs(), []
        for schedule, last in self._last:
            first = self._first[schedule.schedule_id]
            known = {
                "scheduleId": schedule.schedule_id, "timesTriggered": schedule.times_triggered,
                "timesSkipped": schedule.times_skipped, "misfire": schedule.misfire,
                "previousFireTime": schedule.previous_fire_time and schedule.previous_fire_time.isoformat(),
            }  # fmt: skip
            jobs = [job.job_id for job in made if job.schedule_id == schedule.schedule_id]
            said += check_schedule(known, EVERY, first, last, jobs, [(first - EVERY, self._now())])
        return said

    def jobs(self) -> list[Job]:
        """Return the jobs that they made."""
        found = self._made.jobs.get_many(self._made.client.ranked(keys.jobs_of(self._org_id, "jobs")))
        return [job for job in found if job.schedule_id is not None]

    def _current(self) -> list[Schedule]:
        return [self._made.schedules.get(schedule_id) for schedule_id in self._first]

    def _now(self) -> int:
        return clock.ms(self._world.now()) // 1000


def _seconds(schedule: Schedule) -> int:
    assert schedule.next_fire_time is not None
    return clock.ms(schedule.next_fire_time) // 1000
