"""The store of schedules: what a caller does with them. :mod:`quotejob.schedules.firing` is what the clock does.

A schedule is a hash in Redis (:mod:`quotejob.schedules.rows`). Its next fire time is part of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from quotejob import audit, clock, rights
from quotejob.errors import InvalidRequest, NewerVersion, ScheduleConflict, ScheduleNotFound, TooManySchedules
from quotejob.jobs.job import ENDED
from quotejob.salesforce.caller import CallerContext
from quotejob.schedules import guarantee, rows
from quotejob.schedules.cron import FIRST_YEAR, LAST_YEAR
from quotejob.schedules.schedule import Schedule, State
from quotejob.settings import Settings
from quotejob.store import keys, scripts
from quotejob.store.client import RedisClient
from quotejob.store.rows import Row

MAX_SCHEDULES_PER_ORG = 100  # as on the platform
MAX_REASON_LENGTH = 1000  # characters of extendedStatus
_TIMING = ("cron_expression", "time_zone", "start_time", "end_time")
CHANGEABLE = (
    *("name", *_TIMING, "job_type", "soql_where_clause", "number_of_opportunities", "parameters", "commit_by"),
    *("misfire", "overlap", "guaranteed", "authorization"),
)


class ScheduleStore:
    """Keeps schedules in Redis: creates, changes, reads, pauses, resumes, deletes and stops them.

    In: ids and the fields of Schedule. Out: Schedule values. ``now`` is the clock that fire times go by. Every method
    may raise StoreUnavailable when Redis does not answer.
    """

    def __init__(self, client: RedisClient, settings: Settings, now: Callable[[], datetime]) -> None:
        self._redis = client
        self._settings = settings
        self.now = now

    def create(self, context: CallerContext, name: str, cron_expression: str, **fields: Any) -> Schedule:
        """Store a new schedule for the caller's org and return it. ``fields``: further fields of Schedule.

        Raises InvalidRequest when a field is wrong or the schedule would never fire, ScheduleConflict when the name is
        taken or a guaranteed start is not possible, and TooManySchedules.
        """
        now = self.now()
        given = {"time_zone": "UTC", **{field: value for field, value in fields.items() if value is not None}}
        schedule = Schedule(
            schedule_id=str(uuid.uuid4()), org_id=context.org_id, name=name, cron_expression=cron_expression,
            created_date=now, created_by_id=context.user_id, created_by_name=context.user_name,
            **given,
        )  # fmt: skip
        schedule = replace(schedule, cron_expression=schedule.cron.expression)
        _check_times(schedule)
        schedule = replace(schedule, next_fire_time=_first_fire_time(schedule, now))
        answer = self._create(schedule, now)
        while answer == "stale":
            answer = self._create(schedule, now)
        if answer == "full":
            raise TooManySchedules(f"This org already has {MAX_SCHEDULES_PER_ORG} schedules; delete one first")
        if answer == "name":
            raise _name_taken(name)
        self._note("createSchedule", schedule)
        return self.get(schedule.schedule_id)

    def change(self, schedule_id: str, org_id: str, changes: Mapping[str, Any]) -> Schedule:
        """Change fields of Schedule and return the schedule. Its state, counts and last job stay.

        If other times come of it, the next one is after now, and a COMPLETE schedule waits for it. Raises as create().
        """
        answer, name = "stale", ""
        while answer == "stale":
            row = self._row(schedule_id, org_id)
            before = rows.from_row(schedule_id, row)
            rights.check(self._settings, before.created_by_id)
            after = self._changed(before, changes)
            answer, name = self._store_change(row, before, after), after.name
        if answer == "name":
            raise _name_taken(name)
        self._note(
            "updateSchedule", before, *(name for name in CHANGEABLE if getattr(before, name) != getattr(after, name))
        )
        return self.get(schedule_id, org_id)

    def get(self, schedule_id: str, org_id: str | None = None) -> Schedule:
        """Return a schedule. Raises ScheduleNotFound when there is none, or when it is not of ``org_id`` (if given)."""
        return self._with_executing([rows.from_row(schedule_id, self._row(schedule_id, org_id))])[0]

    def list_for_org(self, org_id: str) -> list[Schedule]:
        """Return all schedules of an org, newest first."""
        oldest_first = self._redis.ranked(keys.jobs_of(org_id, "schedules"))
        return self._with_executing(rows.get_many(self._redis, oldest_first[::-1]))

    def pause(self, schedule_id: str, org_id: str) -> Schedule:
        """Pause a schedule and return it. Raises ScheduleConflict when it is not WAITING."""
        before = self._own(schedule_id, org_id)
        after = self._change_state(before, State.PAUSED, (State.WAITING,))
        self._note("pauseSchedule", before, "state")
        return after

    def resume(self, schedule_id: str, org_id: str) -> Schedule:
        """Resume a schedule that is PAUSED or in ERROR, and return it. Fire times that passed meanwhile do not run.

        Raises ScheduleConflict in another state, or when its start can no longer be guaranteed, and InvalidRequest when
        it has no further fire time.
        """
        schedule = self._own(schedule_id, org_id)
        if schedule.state not in (State.PAUSED, State.ERROR):
            raise ScheduleConflict(
                f"Only a schedule that is PAUSED or in ERROR can be resumed; this one is {schedule.state}"
            )
        resumed = replace(schedule, next_fire_time=_first_fire_time(schedule, self.now()))
        after = self._change_state(resumed, State.WAITING, (State.PAUSED, State.ERROR))
        self._note("resumeSchedule", schedule, "state")
        return after

    def delete(self, schedule_id: str, org_id: str) -> Schedule:
        """Delete a schedule and return it as it was, in state DELETED. Its jobs stay."""
        schedule = self._own(schedule_id, org_id)
        self._move(schedule, State.DELETED, (State.WAITING, State.PAUSED, State.COMPLETE, State.ERROR))
        self._note("deleteSchedule", schedule, "state", *CHANGEABLE)
        return replace(schedule, state=State.DELETED, next_fire_time=None)

    def _own(self, schedule_id: str, org_id: str) -> Schedule:
        """Return a schedule that the person who acts may change. Raises NotAManager."""
        found = self.get(schedule_id, org_id)
        rights.check(self._settings, found.created_by_id)
        return found

    def stop(self, schedule_id: str, reason: str) -> None:
        """Put a schedule whose jobs cannot run into ERROR. ``reason`` becomes its extendedStatus.

        Does nothing when the schedule does not exist, or when only a newer version understands it.
        """
        try:
            self._move(self.get(schedule_id), State.ERROR, (State.WAITING, State.PAUSED, State.COMPLETE), reason)
        except (ScheduleNotFound, NewerVersion):
            return

    # -- inside --------------------------------------------------------------------------------------------------------

    def _note(self, action: str, before: Schedule, *changed: str) -> None:
        """Write into the audit what was done to a schedule, with the values of these fields before."""
        values = {rows.camel(field): getattr(before, field) for field in changed}
        if "parameters" in values:
            values["parameters"] = ", ".join(f"{name}={value}" for name, value in before.parameters)
        audit.note(self._redis, before.org_id, action, schedule_id=before.schedule_id, name=before.name, before=values)

    def _row(self, schedule_id: str, org_id: str | None) -> Row:
        found = self._redis.hash(rows.key(schedule_id))
        if not found or (org_id is not None and found[b"orgId"].decode() != org_id):
            raise ScheduleNotFound(
                f"There is no schedule {schedule_id} in this org; listSchedules gives the ids of all schedules"
            )
        return found

    def _changed(self, before: Schedule, changes: Mapping[str, Any]) -> Schedule:
        """Return the schedule with these fields, and with the state and the next fire time that come of them."""
        after = replace(before, **changes)
        after = replace(after, cron_expression=after.cron.expression)
        _check_times(after)
        if _timing(after) == _timing(before):
            return after
        first = _first_fire_time(after, self.now())
        if before.state in (State.WAITING, State.COMPLETE):
            after = replace(after, state=State.WAITING, next_fire_time=first)
        return after

    def _store_change(self, row: Row, before: Schedule, after: Schedule) -> str:
        """Run schedules/change and return its answer. ``row`` is what ``before`` was read from."""
        before.check()
        fires = after.next_fire_time
        may_clash = after.guaranteed and (not before.guaranteed or _timing(after) != _timing(before))
        new = rows.to_row(after)
        names = [rows.camel(field) for field in (*CHANGEABLE, "state", "next_fire_time", "format")]
        answer: bytes = scripts.run(
            self._redis,
            "schedules/change",
            **rows.script_keys(before),
            id=before.schedule_id,
            expected={name: row.get(name.encode(), b"").decode() for name in names},
            fields={name: new[name] for name in names if name in new},
            gone=[name for name in names if name not in new],
            old_name=before.name,
            name=after.name,
            next_fire=None if fires is None else clock.ms(fires),
            revision=self._revision_without_clash(after, self.now()) if fires and may_clash else None,
        )
        return answer.decode()

    def _create(self, schedule: Schedule, now: datetime) -> str:
        """Run schedules/create and return its answer. "stale": the org's guaranteed schedules changed; try again."""
        revision = self._revision_without_clash(schedule, now)
        answer: bytes = scripts.run(
            self._redis,
            "schedules/create",
            **rows.script_keys(schedule),
            id=schedule.schedule_id,
            created=clock.us(now),
            most=MAX_SCHEDULES_PER_ORG,
            name=schedule.name,
            first_fire=clock.ms(_first_fire_time(schedule, now)),
            guaranteed=schedule.guaranteed,
            revision=revision,
            fields=rows.to_row(schedule),
        )
        return answer.decode()

    def _revision_without_clash(self, schedule: Schedule, now: datetime) -> str:
        """Return the revision of the org's guaranteed schedules with which this one fits. Raises ScheduleConflict."""
        revision = self._revision(schedule.org_id)
        if schedule.guaranteed:
            others = [other for other in self.list_for_org(schedule.org_id) if other.next_fire_time and other.is_known]
            if found := guarantee.clash(schedule, others, self._settings, now):
                moment, names = found
                raise ScheduleConflict(
                    f"Its start cannot be guaranteed: within {self._settings.reserve_minutes} minutes from "
                    f"{moment:%Y-%m-%d %H:%M:%S} UTC on, {', '.join(names)} start too, and this org has "
                    f"{self._settings.active_jobs} slots; choose another time"
                )
        return revision

    def _revision(self, org_id: str) -> str:
        return (self._redis.value(keys.jobs_of(org_id, "guaranteed-revision")) or b"0").decode()

    def _change_state(self, schedule: Schedule, state: State, origins: Sequence[State]) -> Schedule:
        """Move the schedule and return it. Raises ScheduleConflict when it was in none of the origins."""
        before = self._move(schedule, state, origins)
        while before == "stale":
            before = self._move(schedule, state, origins)
        if before not in origins:
            raise ScheduleConflict(f"This schedule is {before or State.DELETED}; it should be {' or '.join(origins)}")
        return self.get(schedule.schedule_id)

    def _move(self, schedule: Schedule, state: State, origins: Sequence[State], reason: str = "") -> str:
        """Move the schedule if it is in one of the origins. Return its state before, "" when it did not exist.

        "stale": the org's guaranteed schedules changed; try again. Raises NewerVersion.
        """
        if state is not State.DELETED:  # what is to go needs not be understood
            schedule.check()
        fires = state is State.WAITING and schedule.next_fire_time is not None
        revision = self._revision_without_clash(schedule, self.now()) if fires else None
        answer: bytes = scripts.run(
            self._redis,
            "schedules/move",
            **rows.script_keys(schedule),
            id=schedule.schedule_id,
            state=state,
            next_fire=clock.ms(schedule.next_fire_time) if fires and schedule.next_fire_time else None,
            revision=revision,
            reason=reason[:MAX_REASON_LENGTH] or None,
            origins=origins,
        )
        return answer.decode()

    def _with_executing(self, schedules: list[Schedule]) -> list[Schedule]:
        """Return the schedules; a WAITING one whose last job has not ended is EXECUTING."""
        statuses = self._redis.field_of_each([keys.job(each.last_job_id or "") for each in schedules], "status")
        return [
            replace(schedule, state=State.EXECUTING)
            if schedule.state is State.WAITING and status is not None and status.decode() not in ENDED
            else schedule
            for schedule, status in zip(schedules, statuses, strict=True)
        ]


def _timing(schedule: Schedule) -> tuple[Any, ...]:
    return tuple(getattr(schedule, field) for field in _TIMING)


def _name_taken(name: str) -> ScheduleConflict:
    return ScheduleConflict(f"This org already has a schedule named {name}; choose another name, or delete that one")


def _check_times(schedule: Schedule) -> None:
    """Raise InvalidRequest when the start time or the end time is wrong."""
    for field, moment in (("startTime", schedule.start_time), ("endTime", schedule.end_time)):
        if moment is not None and moment.utcoffset() is None:
            raise InvalidRequest.field(field, "should have a time zone, such as 2026-01-31T22:00:00+01:00")
        if moment is not None and not FIRST_YEAR < moment.year < LAST_YEAR:
            raise InvalidRequest.field(field, f"should be between the years {FIRST_YEAR} and {LAST_YEAR}")
    if schedule.start_time and schedule.end_time and schedule.end_time <= schedule.start_time:
        raise InvalidRequest.field("endTime", "should be later than startTime")


def _first_fire_time(schedule: Schedule, now: datetime) -> datetime:
    """Return the first fire time after ``now``. Raises InvalidRequest when there is none."""
    found = schedule.fires_after(now)
    if found is None:
        raise InvalidRequest.field(
            "cronExpression", "has no fire time from now on between startTime and endTime; change one of them"
        )
    return found
