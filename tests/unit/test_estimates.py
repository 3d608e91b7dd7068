"""Estimates: what is said of running jobs, and the flex queue played through, against a plain model of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from quotejob.forecast.estimate import MAX_ESTIMATE_SECONDS, Estimate, Pace, Paces, PastRun, Slots, estimate
from quotejob.jobs.job import ALIVE, BuiltIn, Job, Status, Waiting

NOW = datetime(2031, 5, 1, 12, tzinfo=UTC)
QUOTES, CREATE, DELETE = BuiltIn.BATCH_QUOTE, BuiltIn.SAMPLE_DATA_CREATE, BuiltIn.SAMPLE_DATA_DELETE
History = dict[str, list[PastRun]]
TEN_SECONDS: History = {QUOTES: [PastRun(100, 10.0)]}


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def job(name: str, status: Status = Status.HOLDING, **also: Any) -> Job:
    given: dict[str, Any] = {"job_type": QUOTES, "org_id": "o", "created_date": NOW, "created_by_id": "u"} | also
    return Job(job_id=name, status=status, **given)


def running(done: int, pages: int, elapsed: float, **also: Any) -> Job:
    """A job that has been at work for so many seconds; 100 records a page."""
    given = {"started_date": at(-elapsed), "waves": 1, "total_job_items": pages, "total": pages * 100} | also
    return job("r", Status.PROCESSING, job_items_processed=done, **given)


def left(one: Job, *runs: PastRun) -> float | None:
    return Paces({QUOTES: runs}).seconds_left(one, NOW)


def test_records_count_before_their_page_is_done() -> None:
    """Written in batches that reach over pages: 300 of 600 records in 8 s leave 8 s, though only one page is done."""
    assert left(running(1, 6, 8.0, succeeded=280, failed=20)) == 8
    assert left(running(0, 6, 1.0, failed=1)) is None  # one that was decided at once tells no pace
    assert left(running(1, 6, 8.0)) == 40
    resumed = running(3, 6, 8.0, succeeded=500, resumed_date=at(-2), resumed_items=2)
    assert left(resumed) == 6  # of what it had done before, only whole pages are known


# -- one job -----------------------------------------------------------------------------------------------------------


def test_a_run_is_a_fixed_part_and_so_much_a_record() -> None:
    """Three seconds and 10 ms a record, found although a third of the runs were odd ones."""
    runs = [PastRun(n, 3 + n / 100) for n in (100, 200, 400, 800, 1600, 3200)] + [
        PastRun(300, 900.0),
        PastRun(1000, 1e6),
        PastRun(0, 60),
    ]
    assert Pace(runs).seconds(5000) == pytest.approx(53, rel=0.05)
    assert Pace([PastRun(100, 10)] * 3).seconds(200) == 20
    assert Pace([PastRun(0, 2), PastRun(0, 4)]).seconds(0) == 3
    assert Pace([PastRun(0, 2), PastRun(0, 4)]).seconds(700) == 3
    assert Pace([PastRun(100, 20), PastRun(200, 10)]).seconds(1000) == 15  # more records take no less time
    assert Pace([PastRun(100, 1), PastRun(200, 10)]).seconds(10) == pytest.approx(0.3)
    assert Pace([PastRun(1, 5), PastRun(900, 50), PastRun(7, 6)]).seconds(None) == 6
    assert Pace([]).seconds(7) is None


@given(
    st.lists(st.builds(PastRun, st.integers(0, 10**9), st.floats(0, 10**7)), max_size=50),
    st.none() | st.integers(0, 10**9),
)
def test_no_run_takes_less_than_no_time(runs: list[PastRun], records: int | None) -> None:
    """Whatever ran before; and something is said as soon as anything did."""
    found = Pace(runs).seconds(records)
    assert (found is None) == (not runs)
    assert found is None or found >= 0


def test_a_running_job_goes_on_at_its_own_pace() -> None:
    """That of earlier runs counts as much as five pages of its own."""
    assert left(running(2, 10, 20)) == 80
    assert left(running(5, 10, 50), PastRun(1000, 200)) == (50 + 100) / 2
    assert left(running(500, 1000, 50), PastRun(100_000, 1000)) == pytest.approx(50, rel=0.1)
    assert left(running(10, 10, 20)) == 0
    assert left(running(0, 0, 5, waves=0)) == 0


def test_a_job_that_has_done_nothing_yet_takes_what_others_took() -> None:
    """From its beginning on; without any nothing is said; one that is late takes as long again as it is late."""
    assert left(running(0, 10, 20)) is None
    assert left(running(0, 10, 20), PastRun(1000, 50)) == 30
    assert left(running(0, 10, 70), PastRun(1000, 50)) == 20
    assert left(running(0, 10, -5), PastRun(1000, 50)) == 50  # clocks differ
    assert left(job("p", Status.PREPARING, started_date=at(-4)), PastRun(1000, 50)) == 46
    assert left(job("q", Status.QUEUED), PastRun(1000, 50), PastRun(10, 60)) == 55
    assert left(job("h"), PastRun(1000, 50)) == 50
    assert left(job("h", job_type=CREATE, number_of_opportunities=10), PastRun(1000, 50)) is None
    create = Paces({CREATE: [PastRun(100, 10)]})
    assert create.seconds_left(job("h", job_type=CREATE, number_of_opportunities=50), NOW) == 5


def test_a_resumed_job_goes_on_from_where_it_was() -> None:
    """Its rest before is no part of its pace, nor are the pages it had done."""
    rested = {"started_date": at(-90_000), "resumed_date": at(-10), "resumed_items": 60}
    assert left(running(70, 100, 0, **rested)) == 30
    assert left(running(60, 100, 0, **rested), PastRun(10_000, 100)) == 30
    assert (
        left(structs.replace(running(60, 100, 0, **rested), status=Status.HOLDING, extended_status="x"), PastRun(1, 1))
        == 4000
    )


def test_runs_of_the_same_schedule_count_before_others() -> None:
    """And those of no schedule for a job of none."""
    runs = [PastRun(100, 1000, "nightly"), PastRun(100, 10, "hourly"), PastRun(100, 5)]
    assert left(job("h", schedule_id="nightly"), *runs) == 1000
    assert left(job("h", schedule_id="hourly"), *runs) == 10
    assert left(job("h", schedule_id="new"), *runs) == 10  # the median of all
    assert left(job("h"), *runs) == 5
    assert left(job("h"), *runs[:2]) == 505


def test_of_a_job_that_waits_for_its_org_nothing_is_said() -> None:
    """Nor of one whose pace gives no time anybody would plan with."""
    assert left(running(5, 10, 50, extended_status="Waiting: the org's daily API allocation is used up")) is None
    assert left(running(1, 10_000_000, 3600)) is None
    assert left(job("h"), PastRun(1, MAX_ESTIMATE_SECONDS + 1)) is None


# -- the queue ---------------------------------------------------------------------------------------------------------


def waits(*parents: str, not_before: float | None = None) -> dict[str, Any]:
    found = [Waiting("", job_id=parent) for parent in parents]
    return {"waiting_for": (*found, *([] if not_before is None else [Waiting("", not_before=at(not_before))]))}


def test_slots_fall_free_and_are_taken_in_turn() -> None:
    """One takes the free slot, the next ones those of jobs that end; who waits for a time lets others pass."""
    jobs = [running(5, 10, 50), job("a", **waits(not_before=55)), job("b"), job("c"), job("d", **waits("b"))]
    assert estimate(jobs, Slots(2), {QUOTES: [PastRun(1000, 20)]}, NOW) == {
        "r": Estimate(None, at(30)), "b": Estimate(at(0), at(20)), "c": Estimate(at(20), at(40)),
        "d": Estimate(at(30), at(50)), "a": Estimate(at(55), at(75)),
    }  # fmt: skip


def test_a_guaranteed_job_goes_first_into_a_slot_that_is_kept_free() -> None:
    """The others leave as many slots as are reserved."""
    jobs = [job("a"), job("b"), job("g")]
    found = estimate(jobs, Slots(2, reserved=1, priority_job_ids={"g"}), TEN_SECONDS, NOW)
    assert {name: one.start for name, one in found.items()} == {"g": at(0), "a": at(10), "b": at(20)}
    assert estimate(jobs, Slots(1, reserved=1), TEN_SECONDS, NOW)["a"] == Estimate()
    assert estimate([job("q", Status.QUEUED)], Slots(1), TEN_SECONDS, NOW) == {"q": Estimate(at(0), at(10))}


def test_what_comes_after_somebody_unknown_is_unknown_too() -> None:
    """The slot of a job of which nothing can be said is never free; nor does its child, or that of a stranger, come."""
    jobs = [
        job("x", job_type=DELETE), job("a"), job("b"),
        job("child", **waits("x")), job("grandchild", **waits("child")), job("stranger", **waits("gone")),
    ]  # fmt: skip
    found = estimate(jobs, Slots(2), TEN_SECONDS, NOW)
    assert found["x"] == Estimate(at(0), None)
    assert (found["a"].start, found["b"].start) == (at(0), at(10))
    assert found["child"] == found["grandchild"] == found["stranger"] == Estimate()
    assert estimate(jobs, Slots(1), TEN_SECONDS, NOW)["a"] == Estimate()


@dataclass
class Queued:
    """A job of the model: whole seconds from now on."""

    takes: int | None
    parents: list[int] = field(default_factory=list)
    not_before: int | None = None
    first: bool = False


@st.composite
def queues(draw: st.DrawFn) -> tuple[list[int | None], list[Queued], int, int]:
    """Who runs and for how long, who holds, how many slots there are and are reserved."""
    seconds = st.sampled_from([None, 0, 1, 2, 3, 7])
    active = draw(st.lists(seconds, max_size=4))
    held: list[Queued] = []
    for number in range(draw(st.integers(0, 9))):
        parents = draw(st.lists(st.integers(0, number - 1), max_size=2, unique=True)) if number else []
        times = draw(st.none() | st.integers(1, 30))
        held.append(Queued(draw(seconds), parents, times, draw(st.booleans()) and not parents and times is None))
    order = draw(st.permutations(range(len(held))))
    moved = [replace(held[old], parents=[order.index(parent) for parent in held[old].parents]) for old in order]
    most = draw(st.integers(1, 4))
    return active, moved, most, draw(st.integers(0, most))


def by_the_second(active: list[int | None], held: list[Queued], most: int, reserved: int) -> list[tuple[Any, Any]]:
    """The plain model: promote.lua, once a second and as often as somebody can be promoted, until nothing happens."""
    ends: list[int | None] = [*active]
    found: list[tuple[int | None, int | None]] = [(None, None)] * len(held)
    for now in range(200):
        while True:
            taken = sum(end is None or end > now for end in ends)
            may_go = [
                number
                for number, one in enumerate(held)
                if found[number][0] is None
                and (one.not_before is None or one.not_before <= now)
                and all((end := found[parent][1]) is not None and end <= now for parent in one.parents)
                and taken < most - (0 if one.first else reserved)
            ]
            if not may_go:
                break
            number = min(may_go, key=lambda number: (not held[number].first, number))
            takes = held[number].takes
            found[number] = (now, None if takes is None else now + takes)
            ends.append(found[number][1])
    return found


@given(queues())
@example(([2, 5], [Queued(3, [1]), Queued(1), Queued(7, first=True)], 2, 1))
def test_the_queue_is_played_through_as_dispatch_does_it(
    given: tuple[list[int | None], list[Queued], int, int],
) -> None:
    """Never more at once than there are slots, in order, conditions kept, no slot idle that somebody could have."""
    active, held, most, reserved = given
    # Each takes what a schedule's last run took, so that whole seconds can be given.
    history: History = {QUOTES: [PastRun(0, float(seconds), str(seconds)) for seconds in (0, 1, 2, 3, 7)], DELETE: []}

    def kind(takes: int | None) -> dict[str, Any]:
        return {"job_type": DELETE} if takes is None else {"schedule_id": str(takes)}

    jobs = [job(f"active {n}", Status.QUEUED, **kind(takes)) for n, takes in enumerate(active)]
    for number, one in enumerate(held):
        jobs.append(job(f"{number}", **kind(one.takes), **waits(*map(str, one.parents), not_before=one.not_before)))
    first = {str(number) for number, one in enumerate(held) if one.first}
    found = estimate(jobs, Slots(most, reserved, first), history, NOW)

    def after(moment: datetime | None) -> float | None:
        return None if moment is None else (moment - NOW).total_seconds()

    said = [(after(found[str(number)].start), after(found[str(number)].end)) for number in range(len(held))]
    assert said == by_the_second(active, held, most, reserved)


moments = st.floats(-1e6, 1e6).map(at)
runs = st.builds(PastRun, st.integers(0, 10**9), st.floats(0, 1e7))


@given(
    st.lists(
        st.builds(
            structs.replace,
            st.builds(
                job, st.uuids().map(str), st.sampled_from(ALIVE), job_type=st.sampled_from(list(BuiltIn)),
            ),
            started_date=st.none() | moments,
            resumed_date=st.none() | moments,
            resumed_items=st.integers(0, 100),
            total_job_items=st.integers(0, 100),
            job_items_processed=st.integers(0, 100),
            total=st.integers(0, 10**9),
            waves=st.none() | st.integers(0, 3),
            waiting_for=st.sampled_from([(), (Waiting("", not_before=at(900)),), (Waiting("", not_before=at(-900)),)]),
        ),
        max_size=15, unique_by=lambda one: one.job_id,
    ),
    st.builds(Slots, st.integers(1, 5), st.integers(0, 5)),
    st.dictionaries(st.sampled_from(list(BuiltIn)), st.lists(runs, max_size=9)),
)  # fmt: skip
def test_whatever_is_stored_no_time_is_in_the_past(jobs: list[Job], slots: Slots, history: History) -> None:
    """Fields that contradict each other too: an answer for each, no error, no end before the start or before now."""
    found = estimate(jobs, slots, history, NOW)
    assert found.keys() == {one.job_id for one in jobs}
    for one in found.values():
        assert one.start is None or one.start >= NOW
        assert one.end is None or one.end >= (one.start or NOW)
