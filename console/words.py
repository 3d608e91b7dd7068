"""How values are said on the pages: times, numbers, states and names. Filters and functions of the templates."""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from cron_descriptor import FormatError, Options, get_description
from flask import Flask, g, request, url_for
from markupsafe import Markup, escape
from werkzeug.local import LocalProxy

from console.assets import STATIC
from console.outlook import open_jobs
from console.pages import ZONE, person
from console.sessions import Role
from quotejob import clock
from quotejob.errors import InvalidRequest
from quotejob.jobs.job import MAX_NAME_LENGTH, BuiltIn, Job, Status, Waiting
from quotejob.jobtypes.sample_data import DEFAULT_OPPORTUNITIES
from quotejob.schedules.cron import MAX_EXPRESSION_LENGTH, time_zone_named

LONGEST_TITLE = 80  # characters
MOST_RUNS = 10  # bars of a schedule
OUTCOMES = {Status.COMPLETED: "ok", Status.FAILED: "ko", Status.ABORTED: "st0", None: "rn"}  # how a bar looks
WEEK = timedelta(days=7)
TIME, ONE_DAY = "%H:%M", timedelta(hours=20)  # a clock time alone is clear for so long
# Letters and signs that show nothing, and signs that turn the direction of what follows them.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_TURNS = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
_KINDS = {
    BuiltIn.SAMPLE_DATA_CREATE: "Make sample data",
    BuiltIn.SAMPLE_DATA_DELETE: "Delete sample data",
}


def install(app: Flask) -> None:
    """Give the templates their filters and functions."""
    env = app.jinja_env
    env.trim_blocks = env.lstrip_blocks = True
    env.filters |= {
        "number": number,
        "relative": relative,
        "at": at,
        "fires": fires,
        "named": named,
        "bdi": bdi,
        "lasting": lasting,
        "percent": percent,
        "spoken": spoken,
    }
    env.globals |= {
        "title": title,
        "asset": asset,
        "zone": zone,
        "about": about,
        "ran": ran,
        "bars": bars,
        "said_of_runs": said_of_runs,
        "Role": Role,
        "once": once,
        "MAX_NAME_LENGTH": MAX_NAME_LENGTH,
        "MAX_EXPRESSION_LENGTH": MAX_EXPRESSION_LENGTH,
        "DEFAULT_OPPORTUNITIES": DEFAULT_OPPORTUNITIES,
    }
    app.context_processor(lambda: {"me": g.get("session"), "who": LocalProxy(person)})


def number(value: int) -> str:
    """Return a whole number with commas."""
    return f"{value:,}"


def percent(part: int, whole: int) -> int:
    """Return the whole percentage, 100 only at the end."""
    return min(99, part * 100 // whole) if part < whole else 100


def lasting(seconds: float) -> str:
    """Return a length of time in one unit. console.js says the same."""
    whole = int(abs(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86_400:
        return f"{whole // 3600} h"
    return "1 day" if whole < 2 * 86_400 else f"{whole // 86_400} days"


def relative(moment: datetime) -> Markup:
    """Return a time as "in 5 min" or "9 min ago", with the full time as its title."""
    seconds = (moment - clock.now()).total_seconds()
    said = f"in {lasting(seconds)}" if seconds >= 0 else f"{lasting(seconds)} ago"
    return _time(moment, moment.astimezone(_zone()), said, "relative")


def at(moment: datetime, form: str = TIME) -> Markup:
    """Return a time on the reader's clock, with the full time as its title. One of another day has its date."""
    if form == TIME and abs(moment - clock.now()) > ONE_DAY:
        form = "%d %b %Y"
    local = moment.astimezone(_zone())
    return _time(moment, local, local.strftime(form), "clock")


def fires(moment: datetime, form: str = "%a %H:%M") -> Markup:
    """Return a fire time on the reader's clock. One after a week has its date, and one of another year its year."""
    local, today = moment.astimezone(_zone()), clock.now().astimezone(_zone())
    if abs(local.date() - today.date()) >= WEEK:
        form = form if "%b" in form else form.replace("%a", "%a %d %b,")
    return at(moment, form if local.year == today.year else form.replace("%b", "%b %Y"))


def _time(moment: datetime, local: datetime, said: str, kind: str) -> Markup:
    """Return a time. Nothing here is from outside: Markup.format would take as long as all the rest of a page."""
    full = f"{local.day} {local:%b %Y, %H:%M:%S} {local.tzinfo}"
    return Markup(f'<time datetime="{moment.isoformat()}" title="{full}" class="{kind}">{said}</time>')


def spoken(expression: str) -> str:
    """Return when a valid cron expression fires, in words; nothing for what would be said wrongly."""
    fields = expression.upper().split()
    if not all(_is_said_well(place, text) for place, text in enumerate(fields)):
        return ""
    options = Options()
    options.locale_code, options.use_24hour_time_format, options.day_of_week_start_index_zero = "en_US", True, False
    try:
        said: str = get_description(" ".join(fields), options)
    except FormatError:  # it does not know L alone as a day of the week
        return ""
    return said


def _is_said_well(place: int, text: str) -> bool:
    """Return whether cron-descriptor says this field as it is (tried with version 2.2.1; place 0: the seconds).

    It leaves out parts of a list with L, W or #. A step it calls "every 7 minutes", but after minute 56 comes minute 0.
    """
    size = (60, 60, 24, 0, 12, 0, 0)[place]  # 0: no step of it is even
    if "," in text and re.search(("[-*/]", "[-*/]", "[-*/]", "[-*/LW]", "[*/]", "[*/L#]", "[-*/]")[place], text):
        return False
    span, slash, step = text.partition("/")
    start, dash, end = span.partition("-")
    if dash and place in (0, 1, 3) and start.isdecimal() and end.isdecimal() and int(start) > int(end):
        return False
    if not slash or (dash and size):
        return True
    first = 0 if span == "*" or not span.isdecimal() else int(span) - (place == 4)
    return size > 0 and size % int(step) == 0 and first < int(step) and (span == "*" or span.isdecimal())


def zone() -> str:
    """Return the name of the reader's time zone: as the browser says it, else UTC."""
    return _zone().key


def _zone() -> ZoneInfo:
    if "zone" not in g:
        try:
            g.zone = time_zone_named(request.cookies.get(ZONE, "UTC"))
        except InvalidRequest:
            g.zone = ZoneInfo("UTC")
    found: ZoneInfo = g.zone
    return found


def named(name: str) -> str:
    """Return a name, or words for one without anything to see: nobody could click a link with it."""
    seen = (unicodedata.category(each)[0] not in "CMZ" and each not in _BLANK for each in name)
    return name if any(seen) else "(no name)"


def bdi(name: str) -> Markup:
    """Return a name as an element of its own, so that its direction changes nothing beside it."""
    return Markup(f"<bdi>{escape(named(name))}</bdi>")


def apart(name: str) -> str:
    """Return the same for a text without elements."""
    return f"\u2068{named(name).translate(_TURNS)}\u2069"


def title(job: Job) -> str:
    """Return what people call the job."""
    if job.name:
        return named(job.name)
    if job.retry_of:
        return f"Retry of {job.retry_of[:8]}"
    if job.job_type == BuiltIn.SAMPLE_DATA_CREATE and job.number_of_opportunities:
        return f"{_KINDS[BuiltIn.SAMPLE_DATA_CREATE]}, {job.number_of_opportunities:,} Opportunities"
    said = _KINDS.get(BuiltIn(job.job_type)) if job.job_type in list(BuiltIn) else None
    said = said or job.soql_where_clause or job.job_type
    return said if len(said) <= LONGEST_TITLE else f"{said[: LONGEST_TITLE - 1]}…"


def ran(job: Job) -> float:
    """Return how many seconds an ended job ran; 0 if it did not, or still does."""
    if job.started_date is None or job.completed_date is None:
        return 0.0
    return (job.completed_date - job.started_date).total_seconds()


def bars(runs: Sequence[Job]) -> dict[str, str]:
    """Return runs, the latest first, as bars in a field of 100 x 24: a path of SVG for each outcome.

    A bar is as high as its run was long, beside the longest one. The latest is at the right.
    """
    longest, paths = max(map(ran, runs), default=0) or 1, dict.fromkeys(OUTCOMES.values(), "")
    for place, job in enumerate(runs[:MOST_RUNS]):
        tall = max(ran(job) / longest * 24, 2)
        paths[OUTCOMES.get(job.status, OUTCOMES[None])] += f"M{91 - 10 * place} 24v-{tall:.0f}h8V24z"
    return {kind: path for kind, path in paths.items() if path}


def said_of_runs(runs: Sequence[Job]) -> str:
    """Return the same in a sentence."""
    counts = Counter(job.status if job.ended else "not ended" for job in runs[:MOST_RUNS])
    lasted = f" The last one took {lasting(ran(runs[0]))}." if runs and ran(runs[0]) else ""
    return f"The last runs: {', '.join(f'{count} {word}' for word, count in counts.items())}.{lasted}"


def about(job: Job) -> str:
    """Return the second line under a job's title: why it failed, what it waits for, its clause, or its short id."""
    if job.waiting_for:
        return "; ".join(_waits(each) for each in job.waiting_for)
    clause = job.soql_where_clause if job.name else None
    return job.extended_status or clause or f"{job.job_type} {job.job_id[:8]}"


def _waits(each: Waiting) -> str:
    """Return what a job waits for: a time on the reader's clock, and a job that has not ended by its name."""
    if each.not_before:
        return f"Does not run before {each.not_before.astimezone(_zone()):%d %b %Y, %H:%M}"
    if each.job_id is None:
        return each.message
    if "names" not in g:
        g.names = names_of_open_jobs()
    name = g.names.get(each.job_id)
    return each.message.replace(each.job_id, apart(name) if name else each.job_id[:8])


def names_of_open_jobs() -> dict[str, str]:
    """Return the names of the jobs that have not ended, by id."""
    return {job.job_id: title(job) for job in open_jobs()}


def once() -> str:
    """Return a new key, by which a form that is sent twice makes one job."""
    return secrets.token_hex(16)


def asset(name: str) -> str:
    """Return the address of a file of the console. It changes with the file."""
    return url_for("console.asset", name=name, v=_version(name))


@cache
def _version(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
