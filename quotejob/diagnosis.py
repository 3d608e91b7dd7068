"""Is everything there that jobs need? Each check gives one line: that it is all right, or what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from quotejob import clock
from quotejob.errors import OrgError, QuotejobError, StoreUnavailable
from quotejob.jobtypes import key_field
from quotejob.jobtypes.quotes import pages
from quotejob.metrics import reading
from quotejob.metrics.reading import Reading
from quotejob.salesforce import OrgClient, applink
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store.client import RedisClient, server_time
from quotejob.store.intake import concerns
from quotejob.webhook import is_loopback

MOST_TICK_AGE = 15.0  # seconds since the last tick or sweep
NEWER = "start these; or go back to the version that the jobs were submitted to"
MOST_SKEW = 5.0  # seconds between two clocks
LEAST_LEFT = 0.1  # share of API calls, and of memory


class Subject(StrEnum):
    """What a check looks at."""

    REDIS = "redis"
    WORKERS = "workers"
    SCHEDULER = "scheduler"
    ORG = "org"
    CLOCK = "clock"
    SETTINGS = "settings"


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at, whether it is all right, and what was found or is to be done."""

    subject: Subject
    ok: bool
    message: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All lines."""

    checks: list[Check] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True if every line is."""
        return all(check.ok for check in self.checks)


def diagnose(services: Services, org: OrgClient, org_id: str, served: Callable[[], dict[str, list[str]]]) -> Diagnosis:
    """Look at everything. ``served`` asks which worker serves which queues. It is asked if Redis answers."""
    return Diagnosis([*of_store(services, org_id, served), *of_org(services, org, org_id)])


def of_org(services: Services, org: OrgClient, org_id: str) -> list[Check]:
    """Look at the org, and at the settings. This costs four API calls."""
    return [*_org(org), *_settings(services.settings, org_id)]


def of_store(services: Services, org_id: str, served: Callable[[], dict[str, list[str]]]) -> Iterator[Check]:
    """Check Redis, and what is known only through it."""
    try:
        found = reading.read(services.client)
        worries = list(_worries(services.client, found, services.settings))
        skew = abs((server_time(services.client) - clock.now()).total_seconds())
    except StoreUnavailable as away:
        yield Check(Subject.REDIS, False, f"{away.message}. Start it, or correct REDIS_URL")
        for subject in (Subject.WORKERS, Subject.SCHEDULER, Subject.CLOCK):
            yield Check(subject, False, "Not known without Redis")
        return
    for worry in worries:
        yield Check(Subject.REDIS, False, worry)
    if not worries:
        yield Check(Subject.REDIS, True, f"Answers, and uses {found.memory['used_memory'] / 1e6:,.0f} MB")
    yield from _workers(served(), services.workers.versions())
    if left := services.workers.waiting_for_newer(org_id):
        yield Check(Subject.WORKERS, False, f"{left} jobs need workers of a newer version: {NEWER}")
    yield _scheduler(found)
    if skew > MOST_SKEW:
        yield Check(Subject.CLOCK, False, f"The clocks of the API and of Redis differ by {skew:.0f} s: set both by NTP")
    else:
        yield Check(Subject.CLOCK, True, "The API and Redis have the same time")


def _worries(client: RedisClient, found: Reading, settings: Settings) -> Iterator[str]:
    yield from concerns(client)
    used, most = found.memory["used_memory"], found.memory["maxmemory"]
    if most and used / most > 1 - LEAST_LEFT:
        yield f"Redis uses {used / most:.0%} of its memory: choose a larger plan before it is full"
    if found.memory["evicted_keys"]:
        yield f"Redis has evicted {found.memory['evicted_keys']:,} keys, and jobs may be lost: set it to noeviction"
    parts = urlsplit(settings.redis_url)
    if not is_loopback(parts.hostname or "") and not parts.password:
        yield "Redis is on another machine and has no password: set one, and put it into REDIS_URL"


def _workers(served: dict[str, list[str]], versions: Iterable[str]) -> Iterator[Check]:
    if not served:
        yield Check(Subject.WORKERS, False, "No worker answers: start one with: celery -A tasks worker")
        return
    known = {queue for queues in served.values() for queue in queues}
    if missing := sorted({"clock", "control", "pages"} - known):
        yield Check(Subject.WORKERS, False, f"No worker serves the queue {' and '.join(missing)}: start one without -Q")
    else:
        noun = "worker answers" if len(served) == 1 else "workers answer"
        said = f"{len(served)} {noun}: {', '.join(sorted(served))}; version {' and '.join(sorted(versions))}"
        yield Check(Subject.WORKERS, True, said)


def _scheduler(found: Reading) -> Check:
    age = (found.state.now - found.state.ticked) / 1000
    if found.state.ticked and age <= MOST_TICK_AGE:
        return Check(Subject.SCHEDULER, True, f"The last tick was {max(0, age):.0f} s ago")
    last = f"the last tick was {age:,.0f} s ago" if found.state.ticked else "there was no tick yet"
    return Check(
        Subject.SCHEDULER, False, f"Schedules do not fire, {last}: start one with: celery -A tasks beat; and a worker"
    )


def _org(org: OrgClient) -> Iterable[Check]:
    """Check the fields that jobs write, by describe, and the API calls left. The session is checked before."""
    try:
        for name in ("Opportunity", "Quote", "QuoteLineItem"):
            key_field.check(org.describe(name))
        most, left = org.daily_api_calls()
    except OrgError as error:
        return [Check(Subject.ORG, False, error.message)]
    said = f"{left:,} of {most:,} API calls are left today"
    if left < most * LEAST_LEFT:
        return [Check(Subject.ORG, False, f"Only {said}: jobs wait when there are none")]
    return [Check(Subject.ORG, True, f"The session works, the key fields are there, {said}")]


def _settings(settings: Settings, org_id: str) -> Iterable[Check]:
    found = []
    try:
        pages.rules(settings.pricing_rules)
    except QuotejobError as error:
        found.append(Check(Subject.SETTINGS, False, f"QUOTEJOB_PRICING_RULES: {error.message}"))
    if settings.authorization is not None:
        try:
            applink.session(settings.authorization, org_id, settings)
        except QuotejobError as error:
            found.append(Check(Subject.SETTINGS, False, f"QUOTEJOB_AUTHORIZATION: {error.message}"))
    return found or [Check(Subject.SETTINGS, True, "The pricing rules can be read; every value can be used")]
