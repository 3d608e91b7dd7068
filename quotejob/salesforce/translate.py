"""Translate the errors of orgs and libraries into quotejob's errors. Only this module does this.

There are two tables. ``ANSWERS`` is for an org's answers: errorCode, words in the message, HTTP status -> our error.
``FOREIGN`` is for the errors that libraries raise. The codes and their meanings come from the REST API guide
("Status Codes and Error Responses"), the SOAP API guide ("Core Data Types", ExceptionCode and StatusCode) and the Bulk
API guide ("Errors").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import requests.exceptions as http
import simple_salesforce.exceptions as salesforce
import urllib3.exceptions

from quotejob.errors import (
    AnswerTooLarge,
    AuthorizationFailed,
    CallsKept,
    OrgClosed,
    OrgError,
    OrgExhausted,
    OrgRefused,
    OrgSilent,
    OrgUnreachable,
    SessionExpired,
)
from quotejob.salesforce.advice import silent, with_advice

LOCATOR_LOST = "INVALID_QUERY_LOCATOR"
UNEXPECTED_ANSWER = "UNEXPECTED_ANSWER"
URI_TOO_LONG = "URI_TOO_LONG"
TIMEOUT = "TIMEOUT"
HALTED = "PROCESSING_HALTED"


class Kind(StrEnum):
    """The reaction that an error needs."""

    RETRY = "retry"  # a passing fault: the same request may succeed shortly
    WAIT = "wait"  # an allocation is used up: much later
    RECORD = "record"  # the org will refuse this record, or this query, again
    GIVE_UP = "give up"  # nothing will succeed until a person changes something


KINDS: dict[type[OrgError], Kind] = {
    OrgUnreachable: Kind.RETRY,
    OrgSilent: Kind.RETRY,
    OrgExhausted: Kind.WAIT,
    CallsKept: Kind.WAIT,
    OrgRefused: Kind.RECORD,
    OrgClosed: Kind.GIVE_UP,
    SessionExpired: Kind.GIVE_UP,
    AuthorizationFailed: Kind.GIVE_UP,
    AnswerTooLarge: Kind.GIVE_UP,
}


class Row(NamedTuple):
    """One line of the table: what must match (empty matches everything), and our error for it."""

    code: str  # errorCode; with * at its end: how the errorCode begins
    says: str  # words in the message, lower case
    statuses: range | None  # HTTP statuses
    error: type[OrgError]

    def matches(self, code: str, message: str, status: int) -> bool:
        """Return whether this line is for such an error."""
        if self.statuses is not None and status not in self.statuses:
            return False
        if self.says not in message.lower():
            return False
        return code.startswith(self.code[:-1]) if self.code.endswith("*") else self.code in ("", code)


# The first line that matches counts, so specific lines stand above general ones.
ANSWERS: tuple[Row, ...] = (
    Row("REQUEST_LIMIT_EXCEEDED", "concurrent", None, OrgUnreachable),  # too many long calls at once: it passes
    Row("REQUEST_LIMIT_EXCEEDED", "", None, OrgExhausted),
    Row("ExceededQuota", "", None, OrgExhausted),
    Row("INVALID_SESSION_ID", "", None, SessionExpired),
    Row("InvalidSessionId", "", None, SessionExpired),
    Row("Bad_OAuth_Token", "", None, SessionExpired),
    Row("Missing_OAuth_Token", "", None, SessionExpired),
    Row(HALTED, "invalid reference", None, OrgRefused),  # the node refers to something that does not exist
    Row(HALTED, "", None, OrgUnreachable),  # not run, or rolled back because of another node
    Row("UNABLE_TO_LOCK_ROW", "", None, OrgUnreachable),  # comes as 400, as 500, and inside a 200
    Row("", "unable_to_lock_row", None, OrgUnreachable),  # met by a trigger or a flow, which has a code of its own
    Row("", "unable to obtain exclusive access", None, OrgUnreachable),
    Row("TooManyLockFailure", "", None, OrgUnreachable),
    Row("SERVER_UNAVAILABLE", "", None, OrgUnreachable),
    Row("QUERY_TIMEOUT", "", None, OrgUnreachable),
    Row("REQUEST_RUNNING_TOO_LONG", "", None, OrgUnreachable),
    Row("UNKNOWN_EXCEPTION", "", None, OrgUnreachable),
    Row("INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", "", None, OrgUnreachable),
    Row(LOCATOR_LOST, "", None, OrgUnreachable),
    Row("API_CURRENTLY_DISABLED", "", None, OrgClosed),
    Row("API_DISABLED_FOR_ORG", "", None, OrgClosed),
    Row("FEATURE_NOT_ENABLED", "", None, OrgClosed),
    Row("FeatureNotEnabled", "", None, OrgClosed),
    Row("FUNCTIONALITY_NOT_ENABLED", "", None, OrgClosed),
    Row("FUNCTIONALITY_TEMPORARILY_UNAVAILABLE", "", None, OrgClosed),
    Row("INVALID_OPERATION_WITH_EXPIRED_PASSWORD", "", None, OrgClosed),
    Row("ORG_LOCKED", "", None, OrgClosed),
    Row("STORAGE_LIMIT_EXCEEDED", "", None, OrgClosed),
    Row("TRIAL_EXPIRED", "", None, OrgClosed),
    Row("INSUFFICIENT_ACCESS*", "", None, OrgRefused),  # to this record or its parent, with any status
    Row("", "", range(300, 301), OrgRefused),  # several records have this external id
    Row("", "", range(301, 400), OrgClosed),  # the org has another address; no token is sent to it
    Row("", "", range(401, 402), SessionExpired),
    Row("", "", range(403, 404), OrgClosed),
    Row("", "", range(407, 409), OrgUnreachable),  # a proxy, or a slow request
    Row("", "", range(420, 421), OrgUnreachable),  # Salesforce Edge has no route
    Row("", "", range(429, 430), OrgUnreachable),
    Row("", "", range(500, 600), OrgUnreachable),
    Row("", "", None, OrgRefused),
)


class Verdict(NamedTuple):
    """Our error for an error of a library. The details are in its cause."""

    error: type[OrgError]
    code: str
    sentence: str  # after the org's host


_NO_CONNECTION = Verdict(OrgUnreachable, "NO_CONNECTION", "cannot be reached, or broke the connection.")
_CUT = Verdict(OrgUnreachable, "ANSWER_CUT", "did not send its whole answer.")
_TIMEOUT = Verdict(OrgUnreachable, TIMEOUT, "did not answer in time.")
_ADDRESS = Verdict(OrgClosed, "BAD_ADDRESS", "cannot be called: check orgDomainUrl and the proxy settings.")
_UNREADABLE = Verdict(OrgUnreachable, UNEXPECTED_ANSWER, "did not answer with JSON: check the proxy settings.")

# None: the org answered, so its status and body decide, by ANSWERS.
FOREIGN: dict[type[Exception], Verdict | None] = {
    http.RequestException: _NO_CONNECTION,
    http.ConnectionError: _NO_CONNECTION,
    http.ProxyError: Verdict(OrgUnreachable, "NO_CONNECTION", "cannot be reached through the proxy."),
    http.SSLError: Verdict(OrgUnreachable, "NO_CONNECTION", "does not complete a secure connection."),
    http.Timeout: _TIMEOUT,
    http.ConnectTimeout: Verdict(OrgUnreachable, TIMEOUT, "did not accept a connection in time."),
    http.ReadTimeout: _TIMEOUT,
    http.HTTPError: _CUT,
    http.ChunkedEncodingError: _CUT,
    http.ContentDecodingError: _CUT,
    http.StreamConsumedError: _CUT,
    http.RetryError: _NO_CONNECTION,
    http.UnrewindableBodyError: _CUT,
    http.InvalidJSONError: _UNREADABLE,
    http.JSONDecodeError: _UNREADABLE,
    http.TooManyRedirects: _ADDRESS,
    http.URLRequired: _ADDRESS,
    http.MissingSchema: _ADDRESS,
    http.InvalidSchema: _ADDRESS,
    http.InvalidURL: _ADDRESS,
    http.InvalidHeader: _ADDRESS,
    http.InvalidProxyURL: _ADDRESS,
    urllib3.exceptions.HTTPError: _NO_CONNECTION,  # requests does not translate all of them
    salesforce.SalesforceError: None,
    salesforce.SalesforceMoreThanOneRecord: None,
    salesforce.SalesforceMalformedRequest: None,
    salesforce.SalesforceExpiredSession: None,
    salesforce.SalesforceRefusedRequest: None,
    salesforce.SalesforceResourceNotFound: None,
    salesforce.SalesforceAuthenticationFailed: None,
    salesforce.SalesforceGeneralError: None,
    salesforce.SalesforceOperationError: _CUT,
    salesforce.SalesforceBulkV2LoadError: _CUT,
    salesforce.SalesforceBulkV2ExtractError: _CUT,
}

# Our own messages, because those of the org do not say what to do.
SENTENCES = {
    LOCATOR_LOST: "{host} no longer has the other rows of this query: run the query again.",
    URI_TOO_LONG: "The query is too long ({message}): make the WHERE clause shorter.",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One error of an answer's body."""

    code: str
    message: str
    fields: tuple[str, ...] = ()


def error_class(code: str, message: str = "", http_status: int = 0) -> type[OrgError]:
    """Return the class of our error for an org's error. The status decides for unknown codes; else it is a refusal."""
    return next(row.error for row in ANSWERS if row.matches(code, message, http_status))


def kind_of(code: str, message: str = "", http_status: int = 0) -> Kind:
    """Return the reaction to an error that an org reports, in a body or inside an HTTP 200."""
    return KINDS[error_class(code, message, http_status)]


def faults(content: Any) -> list[Fault]:
    """Return the errors in an answer's body: an array, an object, an OAuth error, or one word. Else there are none."""
    if isinstance(content, dict):
        content = [content]
    if isinstance(content, list):
        found = [_fault(item) for item in content if isinstance(item, dict)]
        return [fault for fault in found if fault.code]
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content)
    return [Fault(text.strip(), text.strip())] if re.fullmatch(r"\s*[A-Za-z]+(_[A-Za-z]+)+\s*", text) else []


def _fault(item: dict[str, Any]) -> Fault:
    code = item.get("errorCode") or item.get("statusCode") or item.get("error") or ""
    if "LOCATOR" in str(code):  # INVALID_QUERY_LOCATOR and its extended codes: QUERY_LOCATOR_EXPIRED and others
        code = LOCATOR_LOST
    message = item.get("message") or item.get("error_description") or code
    return Fault(str(code), str(message).strip(), tuple(str(name) for name in item.get("fields") or ()))


def answered(status: int, content: Any, host: str = "The org") -> OrgError:
    """Return our error for an answer that is not a success."""
    found = faults(content)
    fault = found[0] if found else _silent(status, host)
    error = error_class(fault.code, fault.message, status)
    if fault.code in SENTENCES:
        sentence = SENTENCES[fault.code].format(host=host, message=fault.message)
    elif found:
        sentence = with_advice(fault.code, fault.message, session_ended=error is SessionExpired)
    else:
        sentence = fault.message
    return error(sentence, code=fault.code, fields=fault.fields, http_status=status)


def _silent(status: int, host: str) -> Fault:
    if status in (414, 431):
        return Fault(URI_TOO_LONG, f"HTTP {status}")
    return Fault(f"HTTP_{status}", silent(status, host))


def translate(error: Exception, *, host: str = "The org", token: str = "") -> OrgError:
    """Return our error for one of requests, urllib3 or simple-salesforce. Neither it nor its cause has the token."""
    verdict = next(FOREIGN[kind] for kind in type(error).__mro__ if kind in FOREIGN)
    _clean(error, token)
    if verdict is not None:
        return _judged(verdict, error, host)
    assert isinstance(error, salesforce.SalesforceError)
    return answered(error.status, error.content, host)


def _clean(error: Exception, token: str) -> None:
    """Remove the token from an error that becomes a cause: a proxy's error page may show the request."""
    if isinstance(error, http.RequestException):
        error.request = error.response = None  # both hold the headers we sent
    for name, value in vars(error).items():
        if token and token in str(value):
            setattr(error, name, str(value).replace(token, "[token]"))


def _judged(verdict: Verdict, error: Exception, host: str) -> OrgError:
    if isinstance(error, http.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return OrgClosed(f"{host} has a certificate that is not valid for it.", code="BAD_CERTIFICATE")
    return verdict.error(f"{host} {verdict.sentence}", code=verdict.code)


@contextmanager
def translated(host: str = "The org", token: str = "") -> Iterator[None]:
    """Turn errors of the libraries inside the block into ours, with their cause."""
    try:
        yield
    except tuple(FOREIGN) as error:
        raise translate(error, host=host, token=token) from error
