"""Every error quotejob raises, drawn before it is defined.

::

    QuotejobError               anything below; carries code, message, details and an HTTP status
    ├── SettingsError           the environment is missing something or holds something wrong
    ├── RulesError              pricing.yaml cannot be used
    ├── Unpriceable             one Opportunity's numbers cannot be priced; see quotejob.pricing
    ├── InvalidRequest          400  the caller sent something we cannot take
    ├── Unauthenticated         401  no usable caller context, or the org does not know the token
    ├── OrgNotAllowed           403  the org's address is not one we may talk to
    ├── JobNotFound             404  no such job in the caller's org
    ├── ScheduleNotFound        404  no such schedule in the caller's org
    ├── JobConflict             409  the job is not in a state that allows this
    ├── ScheduleConflict        409  the schedule's state or name does not allow this, or its guarantee cannot be kept
    ├── IdempotencyKeyReused    422  the Idempotency-Key came before with another request
    ├── FlexQueueFull           429  the org already holds as many waiting jobs as it may
    ├── TooManySchedules        429  the org has as many schedules as it may
    ├── StoreUnavailable        503  Redis does not answer
    ├── JobStopped              the job ended (aborted, failed) while a task was still at work on it
    ├── LeaseLost               somebody else works on this unit of the job
    ├── UnknownJobType          this process does not know the job's type
    └── OrgError                the org, or the way to it, said no; see the four kinds
        ├── OrgUnreachable      retry        connection, timeout, 5xx, row lock: try again shortly
        ├── OrgExhausted        wait         the org's daily allocation is used up: try again much later
        ├── OrgRefused          record       the org refused this record or this query
        └── OrgClosed           give up      session expired, no permission: no repeat will help
            ├── SessionExpired  the token is not valid (any more)
            └── AuthorizationFailed  400  the AppLink authorization a schedule names gives no session of its org
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class QuotejobError(Exception):
    """Root of the tree. ``code`` is a MACHINE_WORD, ``message`` a sentence that says what to do."""

    code = "INTERNAL_ERROR"
    status = 500

    def __init__(self, message: str, *, code: str | None = None, details: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.details = list(details)

    def __str__(self) -> str:
        return self.message


class SettingsError(QuotejobError):
    """An environment variable is missing or wrong; the message names it, what it holds and what it should hold."""

    code = "SETTINGS_ERROR"


class RulesError(QuotejobError):
    """The pricing rules file cannot be used; the message gives the line and the reason."""

    code = "PRICING_RULES_ERROR"


class InvalidRequest(QuotejobError):
    """The request holds something we cannot take. ``details`` is a list of ``{"field", "message"}``."""

    code = "INVALID_REQUEST"
    status = 400

    @classmethod
    def field(cls, field: str, message: str, *, code: str | None = None) -> InvalidRequest:
        """One field is wrong: the sentence and the details name it."""
        return cls(f"{field}: {message}", code=code, details=[{"field": field, "message": message}])


class Unauthenticated(QuotejobError):
    """The caller's context is missing, cannot be read, or holds a token its org does not accept."""

    code = "UNAUTHENTICATED"
    status = 401


class OrgNotAllowed(QuotejobError):
    """``orgDomainUrl`` is not https on an allowed host (see QUOTEJOB_ORG_HOSTS)."""

    code = "ORG_NOT_ALLOWED"
    status = 403


class JobNotFound(QuotejobError):
    """There is no such job in the caller's org."""

    code = "JOB_NOT_FOUND"
    status = 404


class ScheduleNotFound(QuotejobError):
    """There is no such schedule in the caller's org."""

    code = "SCHEDULE_NOT_FOUND"
    status = 404


class ScheduleConflict(QuotejobError):
    """The schedule's state or name does not allow this, or what it guarantees could not be kept."""

    code = "SCHEDULE_CONFLICT"
    status = 409


class TooManySchedules(QuotejobError):
    """The org has as many schedules as it may; delete one first."""

    code = "TOO_MANY_SCHEDULES"
    status = 429


class JobConflict(QuotejobError):
    """The job's state does not allow this."""

    code = "JOB_CONFLICT"
    status = 409


class IdempotencyKeyReused(QuotejobError):
    """The Idempotency-Key came before with another request; a new request needs a new key."""

    code = "IDEMPOTENCY_KEY_REUSED"
    status = 422


class FlexQueueFull(QuotejobError):
    """The org holds as many waiting jobs as it may; wait for some to start, or abort some."""

    code = "FLEX_QUEUE_FULL"
    status = 429


class StoreUnavailable(QuotejobError):
    """Redis does not answer. Nothing was accepted; try again shortly."""

    code = "STORE_UNAVAILABLE"
    status = 503


class JobStopped(QuotejobError):
    """The job has ended meanwhile; whoever was still working on it should stop quietly."""

    code = "JOB_STOPPED"


class LeaseLost(QuotejobError):
    """Somebody else works on this unit of the job, or it is to wait; leave it to them."""

    code = "LEASE_LOST"


class UnknownJobType(QuotejobError):
    """This process does not know the job type: another version of quotejob, or a plug-in, has it."""

    code = "UNKNOWN_JOB_TYPE"


class OrgError(QuotejobError):
    """The org said no. ``code`` is the platform's errorCode, ``fields`` the fields it named."""

    code = "ORG_ERROR"
    status = 502

    def __init__(
        self, message: str, *, code: str | None = None, fields: Sequence[str] = (), http_status: int = 0
    ) -> None:
        super().__init__(message, code=code)
        self.fields = tuple(fields)
        self.http_status = http_status


class OrgUnreachable(OrgError):
    """*retry*: a passing fault (connection, timeout, 5xx, row lock). A write may or may not have happened."""

    code = "ORG_UNREACHABLE"
    status = 503


class OrgExhausted(OrgError):
    """*wait*: the org's daily API allocation is used up; no quick repeat will help."""

    code = "REQUEST_LIMIT_EXCEEDED"
    status = 503


class OrgRefused(OrgError):
    """*record failed*: the org refused this record or this query; the same request will be refused again."""

    code = "ORG_REFUSED"
    status = 400


class OrgClosed(OrgError):
    """*give up*: permissions or configuration; the job cannot go on until a person changes something."""

    code = "ORG_CLOSED"
    status = 403


class SessionExpired(OrgClosed):
    """The access token is not valid (any more)."""

    code = "INVALID_SESSION_ID"
    status = 401


class AuthorizationFailed(OrgClosed):
    """The AppLink authorization that a schedule names gives no session of the schedule's org."""

    code = "AUTHORIZATION_FAILED"
    status = 400
