"""Ids as people type them: shortened, --last, a schedule's name."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cli.api import Json, QuotejobApi
from cli.problems import NAME, USAGE, CommandError

LAST = "--last"  # in place of an id
SHORTEST = 4
MAX_CANDIDATES = 5
_FULL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PART = re.compile(r"[0-9a-f-]+")


def job(api: QuotejobApi, given: str) -> str:
    """Return the whole id of the job; LAST stands for the newest one. Raise CommandError for none or several."""
    if given == LAST:
        newest = next(api.pages("/api/jobs", "jobs", limit=1), None)
        if newest is None:
            raise CommandError(f"This org has no job yet: submit one with `{NAME} run`.", USAGE, "NO_JOB")
        return str(newest["jobId"])
    text = given.strip().lower()
    if _FULL.fullmatch(text):
        return text
    return pick(given, (str(each["jobId"]) for each in api.pages("/api/jobs", "jobs")), "job", f"{NAME} jobs")


def schedule(api: QuotejobApi, given: str) -> Json:
    """Return the schedule of this name, id or beginning of an id."""
    known: list[Json] = api.get("/api/schedules")["schedules"]
    for each in known:
        if given in (each["name"], each["scheduleId"]):
            return each
    ids = [str(each["scheduleId"]) for each in known]
    found = pick(given, ids, "schedule", f"{NAME} schedules list", named=True)
    return known[ids.index(found)]


def pick(given: str, ids: Iterable[str], what: str, command: str, *, named: bool = False) -> str:
    """Return the only id that begins with what was given.

    The rest is for the error. ``named``: a name could have been given too, and was looked for.
    """
    text = given.strip().lower()
    hint = f"`{command}` lists them."
    if not _PART.fullmatch(text):
        kind = "is not the name of a {}, nor an id" if named else "is not an id of a {}"
        raise CommandError(f"{given!r} {kind.format(what)}: {hint}", USAGE, "NOT_FOUND")
    if len(text) < SHORTEST:
        other = ", or the whole name" if named else ""
        raise CommandError(f"{given!r} is too short: give at least {SHORTEST} characters of the id{other}.")
    found: list[str] = []
    for each in ids:
        if each.startswith(text):
            found.append(each)
        if len(found) > MAX_CANDIDATES:
            break
    if not found:
        has = f"the name {given!r}, or an id that begins so" if named else f"an id that begins with {given!r}"
        raise CommandError(f"No {what} of this org has {has}: {hint}", USAGE, "NOT_FOUND")
    if len(found) > 1:
        more = ", ..." if len(found) > MAX_CANDIDATES else ""
        raise CommandError(
            f"Several ids begin with {given!r}, give more characters: {', '.join(found[:MAX_CANDIDATES])}{more}",
            USAGE,
            "AMBIGUOUS",
        )
    return found[0]
