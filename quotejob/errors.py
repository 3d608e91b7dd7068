"""All errors that quotejob raises.

::

    QuotejobError               the base class: code, message, details and an HTTP status
    ├── SettingsError           an environment variable is missing or wrong
    ├── RulesError              pricing.yaml cannot be used
    ├── Unpriceable             one Opportunity's numbers cannot be priced; see quotejob.pricing
    ├── InvalidRequest          400  something in the request is wrong
    ├── Unauthenticated         401  no usable caller context, or the org does not know the token
    ├── OrgNotAllowed           403  the host of the org is not an allowed one
    ├── JobNotFound             404  no such job in the caller's org
    ├── ScheduleNotFound        404  no such schedule in the caller's org
    ├── JobConflict             409  the job is not in a state that allows this
    ├── ScheduleConflict        409  the schedule's state or name does not allow this, or its guarantee cannot be kept
    ├── NewerVersion            409  only a newer version of quotejob understands this job or schedule
    ├── IdempotencyKeyReused    422  the Idempotency-Key came before with another request
    ├── FlexQueueFull           429  the org already holds as many waiting jobs as it may
    ├── TooManySchedules        429  the org already has as many schedules as allowed
    ├── StoreUnavailable        503  Redis does not answer, or is full
    ├── JobStopped              the job ended (Aborted, Failed) while a step still worked on it
    ├── LeaseLost               another step works on this unit of the job
    ├── UnknownJobType          this process does not know the job's type
    │   └── NoWorkerHas         no worker that runs knows it
    └── OrgError                the org refused a request, or did not answer; there are four kinds
        ├── OrgUnreachable      retry        connection, timeout, 5xx, row lock: try again shortly
        │   └── OrgSilent       503  the org did not answer several calls: nothing is sent to it for now
        ├── OrgExhausted        wait         the org's daily API allocation is used up: try again hours later
        │   └── CallsKept       wait         the calls that are left are kept for others
        ├── OrgRefused          record       the org refused this record or this query
        └── OrgClosed           give up      session expired, no permission: trying again does not help
            ├── SessionExpired  401  the access token has expired or is not valid
            ├── AuthorizationFailed  400  the AppLink authorization of a schedule gives no session of its org
            └── AnswerTooLarge  503  an answer is larger than quotejob reads
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any


class QuotejobError(Exception):
    """The base class. ``code`` is a word for programs, ``message`` is a sentence that says what to do.

    ``retry_after`` is set for every 429 and 503: the seconds after which the same request may succeed.
    """

    code = "INTERNAL_ERROR"
    status = 500
    retry_after: int | None = None

    def __init__(self, message: str, *, code: str | None = None, details: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.details = list(details)

    def __str__(self) -> str:
        return self.message


class SettingsError(QuotejobError):
    """An environment variable is missing or wrong. The message has its name, its value and what is expected."""

    code = "SETTINGS_ERROR"


class RulesError(QuotejobError):
    """The file of pricing rules cannot be used. The message has the line and the reason."""

    code = "PRICING_RULES_ERROR"


class InvalidRequest(QuotejobError):
    """Something in the request is wrong. ``details`` is a list of ``{"field", "message"}``."""

    code = "INVALID_REQUEST"
    status = 400

    @classmethod
    def field(cls, field: str, message: str, *, code: str | None = None) -> InvalidRequest:
        """Return the error for one wrong field. Its message and its details name the field."""
        return cls(f"{field}: {message}", code=code, details=[{"field": field, "message": message}])


class Unauthenticated(QuotejobError):
    """The caller's context is missing, cannot be read, or has a token that its org does not accept."""

    code = "UNAUTHENTICATED"
    status = 401


class OrgNotAllowed(QuotejobError):
    """``orgDomainUrl`` is not an https URL of an allowed host. QUOTEJOB_ORG_HOSTS has these."""

    code = "ORG_NOT_ALLOWED"
    status = 403


class NotAManager(QuotejobError):
    """The caller may change only what they made themselves. QUOTEJOB_MANAGERS has those who may change the rest."""

    code = "NOT_A_MANAGER"
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
    """The schedule's state or name does not allow this, or its start cannot be guaranteed."""

    code = "SCHEDULE_CONFLICT"
    status = 409


class TooManySchedules(QuotejobError):
    """The org already has as many schedules as allowed. Delete one first."""

    code = "TOO_MANY_SCHEDULES"
    status = 429
    retry_after = 3600  # not before somebody has deleted one


class TooManyJobs(QuotejobError):
    """The org has submitted as many jobs within an hour as QUOTEJOB_HOURLY_JOBS allows."""

    code = "TOO_MANY_JOBS"
    status = 429
    retry_after = 3600  # at most

    def __init__(self, allowed: int, seconds: int) -> None:
        super().__init__(
            f"This org has submitted {allowed} jobs within an hour, and QUOTEJOB_HOURLY_JOBS allows no more; try again "
            f"in {seconds} s, or let one job do the work of several"
        )
        self.retry_after = seconds


class JobConflict(QuotejobError):
    """The job's state does not allow this."""

    code = "JOB_CONFLICT"
    status = 409


class NewerVersion(QuotejobError):
    """Only a newer version of quotejob understands this job or schedule, so this one leaves it alone."""

    code = "NEWER_VERSION"
    status = 409


class IdempotencyKeyReused(QuotejobError):
    """The Idempotency-Key came before with another request; a new request needs a new key."""

    code = "IDEMPOTENCY_KEY_REUSED"
    status = 422


class FlexQueueFull(QuotejobError):
    """The org holds as many waiting jobs as it may; wait for some to start, or abort some."""

    code = "FLEX_QUEUE_FULL"
    status = 429
    retry_after = 10


class StoreUnavailable(QuotejobError):
    """Redis does not answer, or is full. Nothing was accepted. Try again later."""

    code = "STORE_UNAVAILABLE"
    status = 503
    retry_after = 5


class JobStopped(QuotejobError):
    """The job has ended. A step that still works on it should stop; that is no fault."""

    code = "JOB_STOPPED"


class LeaseLost(QuotejobError):
    """Another step works on this unit of the job, or nobody may work on it yet. This step should stop."""

    code = "LEASE_LOST"


class UnknownJobType(QuotejobError):
    """This process does not know the job type, or not in this version. Another process may know it.

    ``lacking``: the name of the job type, and the version of its code; None: any.
    """

    code = "UNKNOWN_JOB_TYPE"

    def __init__(self, message: str, *, lacking: tuple[str, str | None] | None = None) -> None:
        super().__init__(message)
        self.lacking = lacking


class NoWorkerHas(UnknownJobType):
    """No worker that runs has the job type, or not in this version."""

    code = "NO_WORKER_HAS"


class OrgError(QuotejobError):
    """The org refused a request, or did not answer. ``code`` is the org's errorCode, ``fields`` the fields it names."""

    code = "ORG_ERROR"
    status = 502

    def __init__(
        self, message: str, *, code: str | None = None, fields: Sequence[str] = (), http_status: int = 0
    ) -> None:
        super().__init__(message, code=code)
        self.fields = tuple(fields)
        self.http_status = http_status


class OrgUnreachable(OrgError):
    """*retry*: a connection error, a timeout, a 5xx answer or a row lock. A write may have happened or not."""

    code = "ORG_UNREACHABLE"
    status = 503
    retry_after = 10


class OrgSilent(OrgUnreachable):
    """The org has not answered several calls. Nothing is sent to it for ``wait`` seconds."""

    code = "ORG_SILENT"

    def __init__(self, message: str, wait: float, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.wait = wait
        self.retry_after = ceil(wait)


class OrgExhausted(OrgError):
    """*wait*: the org's daily API allocation is used up. Trying again soon does not help."""

    code = "REQUEST_LIMIT_EXCEEDED"
    status = 503
    retry_after = 3600  # the allocation counts the last 24 hours


class CallsKept(OrgExhausted):
    """*wait*: the org has API calls left, but they are kept for others. The message says how many."""

    code = "CALLS_KEPT"


class OrgRefused(OrgError):
    """*record failed*: the org refused this record or this query. It will refuse the same request again."""

    code = "ORG_REFUSED"
    status = 400


class OrgClosed(OrgError):
    """*give up*: a permission or the configuration is wrong. The job cannot continue until a person changes it."""

    code = "ORG_CLOSED"
    status = 403


class SessionExpired(OrgClosed):
    """The access token has expired or is not valid."""

    code = "INVALID_SESSION_ID"
    status = 401


class AuthorizationFailed(OrgClosed):
    """The AppLink authorization of a schedule gives no session of the schedule's org."""

    code = "AUTHORIZATION_FAILED"
    status = 400


class AnswerTooLarge(OrgClosed):
    """An answer is larger than quotejob reads. Nothing of it was used; ask for less at once."""

    code = "ANSWER_TOO_LARGE"
    status = 503
    retry_after = 3600  # not before somebody has changed the question, the org or the setting
