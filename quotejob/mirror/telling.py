"""One request that tells an org of its jobs. The record is the truth; the event is a nudge to look at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

import structlog

from quotejob.errors import AuthorizationFailed, OrgClosed, OrgRefused, SessionExpired
from quotejob.jobs.job import Job
from quotejob.jobs.store import JobStore
from quotejob.mirror import record
from quotejob.mirror.owed import MirrorNotes
from quotejob.run.context import session
from quotejob.salesforce import OrgAddress, OrgClient
from quotejob.salesforce.graphs import Said
from quotejob.settings import Settings

CONNECT_SECONDS, SECONDS = 3, 12  # of the request; together less than the lease

# Nothing can be mirrored before somebody deploys or assigns something in the org.
_ABSENT = frozenset({"NOT_FOUND", "INVALID_TYPE", "INVALID_FIELD", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"})
_ABSENT |= {"API_DISABLED_FOR_ORG"}
# This user may not; another one may.
_DENIED = frozenset({"INSUFFICIENT_ACCESS_OR_READONLY", "INSUFFICIENT_ACCESS", "INVALID_FIELD_FOR_INSERT_UPDATE"})
_PASSING = frozenset({"UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION", "QUERY_TIMEOUT"})

log = structlog.get_logger()


class Answer(Enum):
    """What came of a request."""

    DONE = "done"
    LATER = "later"  # a fault that passes, no session, or few calls are left
    ABSENT = "absent"  # the org has no such object
    DENIED = "denied"  # no user of these jobs may write it


def tell(jobs: Sequence[Job], store: JobStore, notes: MirrorNotes, settings: Settings) -> Answer:
    """Tell the org of these jobs of it, with the session of one of them. Raises OrgError for a fault of the org."""
    answer = Answer.LATER
    for address in _addresses(jobs, store, settings):
        if notes.is_low(address.host):
            log.info("The mirror pauses: few of the org's daily calls are left")
            return Answer.LATER
        try:
            said = _tell(jobs, address)
        except SessionExpired:
            continue
        if said is not Answer.DENIED:
            return said
        answer = said
    if answer is Answer.DENIED:
        log.warning("Jobs are not mirrored: none of their users has the permission set QuoteJobWorker")
    return answer


def _tell(jobs: Sequence[Job], address: OrgAddress) -> Answer:
    org = OrgClient(address, connect_timeout=CONNECT_SECONDS, read_timeout=SECONDS, retry_for=0)
    try:
        return _read(org.send_parts(record.parts(jobs)))
    except SessionExpired:
        raise
    except (OrgClosed, OrgRefused) as refused:
        if refused.code in _DENIED:
            return Answer.DENIED
        if refused.code not in _ABSENT and not isinstance(refused, OrgClosed):
            raise
        log.warning(f"The mirror is off for a while: {refused}")
        return Answer.ABSENT


def _addresses(jobs: Sequence[Job], store: JobStore, settings: Settings) -> Iterator[OrgAddress]:
    """Yield the org with the session of each job that still has one; the newest first. One token only once."""
    tried: set[str] = set()
    for job in sorted(jobs, key=lambda each: each.created_date, reverse=True):
        try:
            context = session(job, store, settings)
        except (SessionExpired, AuthorizationFailed):
            continue
        if context.access_token not in tried:
            tried.add(context.access_token)
            yield OrgAddress.of(context)


def _read(said: Mapping[str, Said]) -> Answer:
    """Return what came of the records. What came of the events changes nothing."""
    for failure in _failures(said["events"]):
        log.info(f"An event was not published: {failure}")
        break
    codes = set()
    for failure in _failures(said["records"]):
        codes.add(failure["errorCode"])
        log.warning(f"A job could not be mirrored: {failure}")
    if codes & _DENIED:
        return Answer.DENIED
    if codes & _ABSENT:
        return Answer.ABSENT
    return Answer.LATER if codes & _PASSING else Answer.DONE


def _failures(said: Said) -> Iterator[dict[str, Any]]:
    """Yield the errors of a part, in one form: {"errorCode", "message"}."""
    for row in said.body if isinstance(said.body, list) else [said.body]:
        if "errorCode" in row:  # the part was refused as a whole
            yield {"errorCode": row["errorCode"], "message": row.get("message")}
        elif not row.get("success", True):
            for error in row["errors"]:
                yield {"errorCode": error["statusCode"], "message": error.get("message")}
