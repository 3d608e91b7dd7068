"""The options that choose jobs: the filters of the API's listJobs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from cli import find, options, times
from cli.api import Json
from cli.options import F, Session
from cli.problems import NAME

STATUSES = ("Holding", "Queued", "Preparing", "Processing", "Completed", "Failed", "Aborted")
Query = Callable[[Session], Json]  # the query parameters; ids and names of schedules are looked up

_OPTIONS = (
    click.option(
        "--status",
        multiple=True,
        type=click.Choice(STATUSES, case_sensitive=False),
        metavar="STATUS",
        help=f"{', '.join(STATUSES)}; repeat it for several.",
    ),
    click.option(
        "--type",
        "job_type",
        multiple=True,
        type=options.JobType(),
        metavar="TYPE",
        help=f"A job type of `{NAME} jobtypes`, or sample data; repeat it for several.",
    ),
    click.option("--created-from", type=times.Moment(), help="This time or later: ISO 8601, or 2h for two hours ago."),
    click.option("--created-to", type=times.Moment(), help="Before this time."),
    click.option("--completed-from", type=times.Moment(), help="Ended at this time or later."),
    click.option("--completed-to", type=times.Moment(), help="Ended before this time."),
    click.option("--name", metavar="TEXT", help="This text is in the job's name."),
    click.option("--schedule", metavar="ID|NAME", help="Submitted by this schedule."),
    click.option("--parent", metavar="ID", help="Jobs that depend on this job."),
    click.option("--has-errors/--no-errors", default=None, help="Jobs in which a record failed, or none failed."),
    click.option("--reason", metavar="TEXT", help="This text is in the job's reason (extendedStatus)."),
)


def filters(command: F) -> F:
    """Add the filters; the command gets ``query``, a function that gives the query parameters."""

    @functools.wraps(command)
    def wrapped(**values: Any) -> Any:
        chosen = {name: values.pop(name) for name in NAMES}
        return command(query=functools.partial(_query, chosen), **values)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]  # click's options keep the function


NAMES = {
    "status": "status", "job_type": "jobType", "created_from": "createdFrom", "created_to": "createdTo",
    "completed_from": "completedFrom", "completed_to": "completedTo", "name": "name", "schedule": "scheduleId",
    "parent": "parentId", "has_errors": "hasErrors", "reason": "extendedStatus",
}  # fmt: skip


def _query(chosen: dict[str, Any], session: Session) -> Json:
    """Return the query parameters of what was chosen."""
    found = {wire: chosen[name] for name, wire in NAMES.items()}
    if chosen["has_errors"] is not None:
        found["hasErrors"] = str(chosen["has_errors"]).lower()
    if chosen["schedule"] is not None:
        found["scheduleId"] = find.schedule(session.api, chosen["schedule"])["scheduleId"]
    if chosen["parent"] is not None:
        found["parentId"] = find.job(session.api, chosen["parent"])
    return {name: value for name, value in found.items() if value not in (None, ())}  # an empty text is for the API
