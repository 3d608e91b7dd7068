"""The format of what is kept in Redis: so that a version leaves alone what only a newer one understands.

While a deploy is under way, or after a rollback, processes of two versions share one Redis. A version ignores fields
that it does not know. That is harmless for most of them. For others it is not: a version that does not know ``dryRun``
would write the Quotes of a dry run. So the row of a job or schedule has the number of the format that it needs
(``format``; without it: 1). A process that knows only older formats does no step of such a job. It does not start,
end, resend or change it, and it does not fire such a schedule. The job waits for a worker of a newer version.

A message has only the id of a job and small numbers, and every step reads the row first. So a message needs no number
of its own. But the messages of a job that needs format 2 go to queues of their own, for example ``pages.2``. Only
workers that know format 2 serve these, so no older one takes a message and drops it. This rule stays the same in all
versions. A message that means something else gets another name. An older worker does not know that name, and Celery
drops the message. A sweep of the newer version sends it again.
"""

from __future__ import annotations

from collections.abc import Iterable

from quotejob.errors import NewerVersion

# The newest format that this version understands. Who changes the meaning of what is kept, so that the version before
# would do something wrong with it, adds 1 here, and adds the new field to NEEDED_BY. The release before then waits
# instead. If no field of the row tells it, the step that first stores the new thing writes ``format`` into the row
# before it sends anything. It reads the job again, so that what it sends goes to the queues of that format.
# tests/integration/upgrade/test_shapes.py fails when a shape changes.
FORMAT = 1
FIRST_IN_COLUMNS = 5  # wave; versions before 1.0.0 read only what earlier waves have
# Field of a job's or schedule's row -> the format that a row with this field needs.
NEEDED_BY: dict[str, int] = {}


def in_columns(wave: int) -> bool:
    """Return whether the results and reasons of this wave are kept in columns: a large job has few bytes a record."""
    return wave >= FIRST_IN_COLUMNS


def needed(fields: Iterable[str]) -> int:
    """Return the format that a row with these fields needs."""
    return max((NEEDED_BY.get(field, 1) for field in fields), default=1)


def stored(fields: Iterable[str]) -> dict[str, int]:
    """Return what a row with these fields has besides: its format, unless every version understands it."""
    number = needed(fields)
    return {"format": number} if number > 1 else {}


def queue(name: str, number: int) -> str:
    """Return the queue for messages of a job that needs this format. ``name``: their queue if it needs none."""
    return name if number == 1 else f"{name}.{number}"


def check(what: str, number: int) -> None:
    """Raise NewerVersion if this version does not understand the format. ``what`` begins the sentence."""
    if number > FORMAT:
        raise NewerVersion(
            f"{what} needs format {number}, and this version of quotejob knows {FORMAT}: it is left to processes of a "
            "newer version. Start these, or upgrade this one"
        )
