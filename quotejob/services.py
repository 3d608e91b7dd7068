"""The one place where stores are made. Each process asks here and gets all of them on one client and one clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial

from quotejob import clock
from quotejob.dispatch import Dispatcher
from quotejob.forecast.notes import ForecastNotes
from quotejob.forecast.org import Forecast
from quotejob.jobs.flexqueue import FlexQueue
from quotejob.jobs.search import JobSearch
from quotejob.jobs.store import JobStore
from quotejob.jobs.workers import Workers
from quotejob.jobtypes.living import Living
from quotejob.mirror.owed import MirrorNotes
from quotejob.notices.outbox import Outbox
from quotejob.run.budget import Budget
from quotejob.run.dry_runs import DryRuns
from quotejob.run.gate import Gate
from quotejob.run.leases import Leases
from quotejob.run.progress import Progress
from quotejob.run.results import Results
from quotejob.run.retries import Retries
from quotejob.schedules.firing import Firing
from quotejob.schedules.store import ScheduleStore
from quotejob.settings import Settings
from quotejob.store.client import RedisClient, connect, server_time


@dataclass(frozen=True)
class Services:
    """The stores of one process. Making this value connects to nothing; each store is made at its first use.

    ``now`` is another clock than the real one, for simulated time. Any method of a store may raise StoreUnavailable.
    """

    settings: Settings
    client: RedisClient
    now: Callable[[], datetime] | None = None

    @classmethod
    def connected(cls, settings: Settings, *, patient: bool = False) -> Services:
        """Return the services of this process; ``patient`` ones wait for a Redis that restarts, as workers do."""
        return cls(settings, connect(settings, patient=patient))

    @cached_property
    def jobs(self) -> JobStore:
        """The store of jobs."""
        return JobStore(self.client, self.settings, self.now)

    @cached_property
    def progress(self) -> Progress:
        """What the steps of all jobs leave for each other."""
        return Progress(self.client)

    @cached_property
    def results(self) -> Results:
        """What came of all jobs' records."""
        return Results(self.progress)

    @cached_property
    def retries(self) -> Retries:
        """What submits jobs for failed records."""
        return Retries(self.client, self.jobs, self.progress, self.results)

    @cached_property
    def dry_runs(self) -> DryRuns:
        """What dry runs have found, and the jobs that then write it."""
        return DryRuns(self.client, self.jobs, self.progress, self.results)

    @cached_property
    def search(self) -> JobSearch:
        """The lists of jobs."""
        return JobSearch(self.client, self.jobs)

    @cached_property
    def leases(self) -> Leases:
        """The leases of all jobs' units."""
        return Leases(self.client)

    @cached_property
    def budget(self) -> Budget:
        """How many API calls of an org's day jobs may use."""
        return Budget(self.client, self.settings)

    @cached_property
    def gate(self) -> Gate:
        """How many steps may ask an org at a time."""
        return Gate(self.client, self.settings)

    @cached_property
    def schedules(self) -> ScheduleStore:
        """The store of schedules."""
        return ScheduleStore(self.client, self.settings, self._fire_clock)

    @cached_property
    def firing(self) -> Firing:
        """What fires due schedules."""
        return Firing(self.client, self.schedules, self.jobs, self._fire_clock)

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """What gives free slots to Holding jobs."""
        return Dispatcher(self.client, self.settings, self.jobs, self.forecast, self._fire_clock)

    @cached_property
    def forecast(self) -> Forecast:
        """The estimates of all jobs."""
        return Forecast(self.client, self.settings, self.jobs, self.now or clock.now)

    @cached_property
    def forecast_notes(self) -> ForecastNotes:
        """What is kept of forecasts of jobs that are not submitted yet."""
        return ForecastNotes(self.client)

    @cached_property
    def outbox(self) -> Outbox:
        """The notices of ended jobs that have to be sent."""
        return Outbox(self.client)

    @cached_property
    def mirror(self) -> MirrorNotes:
        """What the orgs have to be told of their jobs."""
        return MirrorNotes(self.client, self.settings)

    @cached_property
    def workers(self) -> Workers:
        """The signs of life of all workers."""
        return Workers(self.client)

    @cached_property
    def living(self) -> Living:
        """The job types of users that the living workers have."""
        return Living(self.client)

    @cached_property
    def flexqueue(self) -> FlexQueue:
        """The order of the Holding jobs."""
        return FlexQueue(self.client, self.jobs)

    @cached_property
    def _fire_clock(self) -> Callable[[], datetime]:
        """The clock that fire times go by: Redis's, because all processes share it; or the one that was given."""
        return self.now or partial(server_time, self.client)
