"""Foreign errors become ours: one table, no gaps, no token."""

from __future__ import annotations

import inspect
import pickle
from types import ModuleType

import pytest
import requests.exceptions
import simple_salesforce.exceptions

from quotejob.errors import OrgClosed, OrgError, OrgExhausted, OrgRefused, OrgUnreachable, SessionExpired
from quotejob.salesforce.translate import FOREIGN, KINDS, Kind, answered, faults, kind_of, translate, translated

TOKEN = "00D000000000001!SECRET"


def _exceptions(module: ModuleType) -> list[type[Exception]]:
    return [
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Exception) and not issubclass(kind, Warning) and kind.__module__ == module.__name__
    ]


LOCKED = (
    "caused by: System.DmlException: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access to this record or 4 records"
)


@pytest.mark.parametrize(
    "module", [requests.exceptions, simple_salesforce.exceptions], ids=lambda module: module.__name__
)
def test_every_exception_of_the_libraries_is_in_the_table(module: ModuleType) -> None:
    """An upgrade that brings a new exception fails here, before it surprises a job."""
    found = _exceptions(module)
    assert len(found) > 8
    assert [kind.__name__ for kind in found if kind not in FOREIGN] == []


def test_every_kind_of_our_org_errors_says_what_to_do() -> None:
    """A new OrgError without a Kind fails here."""

    def below(kind: type[OrgError]) -> set[type[OrgError]]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    assert below(OrgError) - {OrgError} == set(KINDS)


@pytest.mark.parametrize(
    ("code", "message", "status", "kind"),
    [
        ("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record", 400, Kind.RETRY),
        ("UNABLE_TO_LOCK_ROW", "", 500, Kind.RETRY),
        ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", 403, Kind.WAIT),
        ("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.", 403, Kind.RETRY),
        ("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.", 403, Kind.RETRY),
        ("INVALID_SESSION_ID", "Session expired or invalid", 401, Kind.GIVE_UP),
        ("SERVER_UNAVAILABLE", "", 503, Kind.RETRY),
        ("UNKNOWN_EXCEPTION", "", 500, Kind.RETRY),
        ("QUERY_TIMEOUT", "Your query request was running for too long.", 400, Kind.RETRY),
        ("INVALID_QUERY_LOCATOR", "", 400, Kind.RETRY),
        ("API_DISABLED_FOR_ORG", "", 403, Kind.GIVE_UP),
        ("STORAGE_LIMIT_EXCEEDED", "", 400, Kind.GIVE_UP),
        ("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "", 403, Kind.RECORD),
        ("DUPLICATE_VALUE", "duplicate value found", 400, Kind.RECORD),
        ("MALFORMED_QUERY", "unexpected token: SELEKT", 400, Kind.RECORD),
        ("NOT_FOUND", "", 404, Kind.RECORD),
        ("PROCESSING_HALTED", "The transaction was rolled back", 400, Kind.RETRY),
        ("PROCESSING_HALTED", "Invalid reference specified. No value for q1.Id found in q1", 400, Kind.RECORD),
        ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"QuoteTrigger: execution of AfterInsert {LOCKED}", 400, Kind.RETRY),
        ("CANNOT_EXECUTE_FLOW_TRIGGER", f"The flow could not save: {LOCKED}", 400, Kind.RETRY),
        ("System.DmlException", "Upsert failed: unable to obtain exclusive access to this record", 0, Kind.RETRY),
        ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "QuoteTrigger: execution of AfterInsert", 400, Kind.RECORD),
        ("SOMETHING_NEW", "", 0, Kind.RECORD),
        ("SOMETHING_NEW", "", 403, Kind.GIVE_UP),
        ("SOMETHING_NEW", "", 502, Kind.RETRY),
        ("", "", 429, Kind.RETRY),
    ],
)
def test_what_to_do_about_an_error(code: str, message: str, status: int, kind: Kind) -> None:
    """The code decides, with words where one code means two things; the status only when the code is unknown."""
    assert kind_of(code, message, status) is kind


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([{"message": "m", "errorCode": "C", "fields": ["Name"]}], [("C", "m", ("Name",))]),
        ({"message": "m", "errorCode": "C"}, [("C", "m", ())]),
        ([{"statusCode": "C", "message": "m", "fields": None}], [("C", "m", ())]),
        ({"error": "invalid_grant", "error_description": "expired"}, [("invalid_grant", "expired", ())]),
        ([{"errorCode": "QUERY_LOCATOR_EXPIRED", "message": "m"}], [("INVALID_QUERY_LOCATOR", "m", ())]),
        ("Bad_OAuth_Token", [("Bad_OAuth_Token", "Bad_OAuth_Token", ())]),
        (b"<html>502 Bad Gateway</html>", []),
        ("", []),
        ([], []),
        (None, []),
        (7, []),
        ([["nested"]], []),
    ],
)
def test_error_bodies_of_every_shape_are_read(content: object, found: list[tuple[str, str, tuple[str, ...]]]) -> None:
    """An array, a bare object, an OAuth error, a word; a page of HTML is no error of the org's."""
    assert [(fault.code, fault.message, fault.fields) for fault in faults(content)] == found


@pytest.mark.parametrize(
    ("status", "content", "error", "code"),
    [
        (400, [{"message": "\nSELECT x\nbad", "errorCode": "INVALID_FIELD"}], OrgRefused, "INVALID_FIELD"),
        (
            401,
            [{"message": "Session expired", "errorCode": "INVALID_SESSION_ID"}],
            SessionExpired,
            "INVALID_SESSION_ID",
        ),
        (401, "", SessionExpired, "HTTP_401"),
        (403, "Bad_OAuth_Token", SessionExpired, "Bad_OAuth_Token"),
        (403, [{"message": "no", "errorCode": "API_DISABLED_FOR_ORG"}], OrgClosed, "API_DISABLED_FOR_ORG"),
        (
            403,
            [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}],
            OrgExhausted,
            None,
        ),
        (300, ["/services/data/v66.0/sobjects/Account/001"], OrgRefused, "HTTP_300"),
        (302, "", OrgClosed, "HTTP_302"),
        (414, "<html>", OrgRefused, "URI_TOO_LONG"),
        (431, "", OrgRefused, "URI_TOO_LONG"),
        (502, "<html>", OrgUnreachable, "HTTP_502"),
    ],
)
def test_an_answer_becomes_our_error(status: int, content: object, error: type[OrgError], code: str | None) -> None:
    """Code, status and fields travel along; the message never starts with the caret picture's blank line."""
    ours = answered(status, content)
    assert type(ours) is error
    assert ours.code == (code or "REQUEST_LIMIT_EXCEEDED")
    assert ours.http_status == status
    assert ours.message == ours.message.strip() != ""


def test_the_message_of_a_refused_query_is_the_orgs_own() -> None:
    """The caller of the API reads what the org said."""
    ours = answered(400, [{"message": "unexpected token: SELEKT", "errorCode": "MALFORMED_QUERY"}])
    assert str(ours) == "unexpected token: SELEKT"


@pytest.mark.parametrize(
    ("status", "content", "what_to_do"),
    [
        (401, [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}], "log in again"),
        (403, "Bad_OAuth_Token", "log in again"),
        (403, "Wrong_Org", "orgDomainUrl"),
        (403, [{"message": "API is not enabled", "errorCode": "API_DISABLED_FOR_ORG"}], "API Enabled"),
        (403, [{"message": "API is not enabled", "errorCode": "API_CURRENTLY_DISABLED"}], "API Enabled"),
        (403, [{"message": "IP restricted", "errorCode": "LOGIN_DURING_RESTRICTED_DOMAIN"}], "login IP ranges"),
        (403, [{"message": "locked out", "errorCode": "PASSWORD_LOCKOUT"}], "unlock it"),
        (403, [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}], "are used up"),
        (403, [{"message": "ConcurrentRequests Limit", "errorCode": "REQUEST_LIMIT_EXCEEDED"}], "try again shortly"),
        (503, [{"message": "too busy", "errorCode": "SERVER_UNAVAILABLE"}], "status.salesforce.com"),
        (400, [{"message": "full", "errorCode": "STORAGE_LIMIT_EXCEEDED"}], "delete data"),
        (403, [{"message": "off", "errorCode": "FUNCTIONALITY_NOT_ENABLED"}], "Setup"),
        (503, "<html><title>Maintenance</title></html>", "in maintenance or overloaded; try again later"),
        (500, "", "in maintenance or overloaded"),
        (429, "<html>", "too many requests"),
        (403, "<html>Forbidden</html>", "firewall or proxy"),
        (404, "<html>", "My Domain"),
        (302, "", "My Domain"),
        (407, "<html>", "proxy"),
        (400, "<html>", "address of a Salesforce org"),
    ],
)
def test_the_message_says_what_to_do(status: int, content: object, what_to_do: str) -> None:
    """And what the org said, where it said something."""
    ours = answered(status, content, "acme.my.salesforce.com")
    assert what_to_do in ours.message
    said = content[0]["message"] if isinstance(content, list) else ""
    assert said in ours.message


def test_the_more_specific_class_wins() -> None:
    """A ConnectTimeout is a ConnectionError too, and a class nobody has met goes by its parent."""

    class Unheard(requests.exceptions.ReadTimeout):
        pass

    assert "accept a connection" in translate(requests.exceptions.ConnectTimeout()).message
    assert translate(Unheard()).code == "TIMEOUT"


def test_a_bad_certificate_is_not_tried_again() -> None:
    """A handshake that breaks may pass; a certificate that is wrong stays wrong."""
    broken = requests.exceptions.SSLError("EOF occurred in violation of protocol")
    wrong = requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    assert isinstance(translate(broken), OrgUnreachable)
    assert isinstance(translate(wrong), OrgClosed)


def test_the_cause_is_kept_and_the_token_is_in_neither() -> None:
    """A proxy's page that shows the request's headers does not carry the token into a log."""
    foreign = simple_salesforce.exceptions.SalesforceGeneralError(
        "https://x", 502, "q", f"<html>Authorization: Bearer {TOKEN}</html>".encode()
    )
    with pytest.raises(OrgUnreachable) as caught, translated("x", TOKEN):
        raise foreign
    assert caught.value.__cause__ is foreign
    assert TOKEN not in f"{caught.value}{caught.value!r}{foreign}{foreign!r}{vars(foreign)}"


def test_our_errors_pass_through_unchanged() -> None:
    """What is ours already, and what is a fault of our own, is left alone."""
    ours = OrgRefused("no", code="X")
    with pytest.raises(OrgRefused) as caught, translated():
        raise ours
    assert caught.value is ours
    with pytest.raises(ZeroDivisionError), translated():
        raise ZeroDivisionError


def test_our_errors_survive_pickling() -> None:
    """Celery may send one between processes; simple-salesforce's own cannot be unpickled."""
    ours = answered(400, [{"message": "m", "errorCode": "C", "fields": ["Name"]}])
    copy = pickle.loads(pickle.dumps(ours))
    assert (type(copy), copy.code, copy.message, copy.fields, copy.http_status) == (
        OrgRefused,
        "C",
        "m",
        ("Name",),
        400,
    )
