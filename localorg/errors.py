"""The errors of an org: one exception, and a function for each error that clients know.

In an answer they are a JSON array of `{"message", "errorCode", "fields"}` (REST API guide, "Status Codes and Error
Responses"). `fields` is missing where the platform does not send it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_COLUMN_ADVICE = (
    "If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. "
    "Please reference your WSDL or the describe call for the appropriate names."
)


class OrgError(Exception):
    """A refusal that is ready to be sent: HTTP status, platform error code, message, names of the fields concerned.

    `fields` is None where the platform sends no such key, and a tuple (maybe empty) where it does.
    """

    def __init__(self, status: int, code: str, message: str, fields: Iterable[str] | None = None) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.fields: tuple[str, ...] | None = None if fields is None else tuple(fields)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def one(self) -> dict[str, Any]:
        """Return the error as one JSON object, as in a composite or collection result."""
        body: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            body["fields"] = list(self.fields)
        return body

    def body(self) -> list[dict[str, Any]]:
        """Return the error as the body of an answer: an array with one error."""
        return [self.one()]


# --- requests -----------------------------------------------------------------------------------------------------


def not_found(message: str = "The requested resource does not exist") -> OrgError:
    """Refuse a path, object or row that does not exist."""
    return OrgError(404, "NOT_FOUND", message)


def external_id_not_found(name_or_id: str) -> OrgError:
    """Refuse an id without a row, or an external id field that does not exist."""
    return not_found(f"Provided external ID field does not exist or is not accessible: {name_or_id}")


def method_not_allowed(method: str, allowed: Iterable[str]) -> OrgError:
    """Refuse a method that an existing path does not accept."""
    return OrgError(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{method}' not allowed. Allowed are {','.join(allowed)}")


def invalid_session() -> OrgError:
    """Refuse a request without a token, or with a token that the org does not know."""
    return OrgError(401, "INVALID_SESSION_ID", "Session expired or invalid")


OF_IDENTITY = frozenset({"Bad_OAuth_Token", "Missing_OAuth_Token"})
"""The whole answer in plain text; all other errors are JSON."""


def no_oauth_token(*, missing: bool) -> OrgError:
    """Refuse a request for an identity without a good token.

    Issue 3398 of SalesforceMobileSDK-iOS has the status, issue 13 of omniauth-salesforce the word for no token.
    """
    code = "Missing_OAuth_Token" if missing else "Bad_OAuth_Token"
    return OrgError(403, code, code)


def json_parser_error(message: str) -> OrgError:
    """Refuse a body that is not JSON, or that has a value of the wrong JSON type."""
    return OrgError(400, "JSON_PARSER_ERROR", message)


def request_limit_exceeded(message: str = "TotalRequests Limit exceeded.") -> OrgError:
    """Refuse a request when the day's requests are used up, or too many long requests run at once."""
    return OrgError(403, "REQUEST_LIMIT_EXCEEDED", message)


def unknown_exception() -> OrgError:
    """Report a failure inside the org."""
    message = "An unexpected error occurred. Please include this ErrorId if you contact support."
    return OrgError(500, "UNKNOWN_EXCEPTION", message)


def not_imitated(what: str) -> OrgError:
    """Refuse a resource that the platform has and this org does not have (501, with a clear message)."""
    return OrgError(501, "NOT_IMPLEMENTED", f"The local org does not imitate {what}")


# --- queries ------------------------------------------------------------------------------------------------------


def malformed_query(message: str) -> OrgError:
    """Refuse SOQL that does not parse, or that breaks a rule of the language."""
    return OrgError(400, "MALFORMED_QUERY", message)


def no_such_column_on_entity(field: str, entity: str) -> str:
    """Return the message for an unknown field in a query (REST API guide and recorded answers)."""
    return f"No such column '{field}' on entity '{entity}'. {_COLUMN_ADVICE}"


def invalid_query_locator() -> OrgError:
    """Refuse a locator that is malformed, unknown or older than two days: the client must run the query again."""
    return OrgError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")


# --- rows ---------------------------------------------------------------------------------------------------------


def no_such_column(field: str, entity: str) -> OrgError:
    """Refuse a body with a field that the object does not have."""
    return OrgError(400, "INVALID_FIELD", f"No such column '{field}' on sobject of type {entity}")


def invalid_field(message: str, fields: Iterable[str] | None = None) -> OrgError:
    """Refuse a field of a body that may not be set here, or not in this way."""
    return OrgError(400, "INVALID_FIELD", message, fields)


def entity_is_deleted() -> OrgError:
    """Refuse a row that is in the recycle bin, or was deleted for good."""
    return OrgError(404, "ENTITY_IS_DELETED", "entity is deleted", ())


def required_missing(fields: Iterable[str]) -> OrgError:
    """Refuse a create without required fields, or an update that empties one."""
    names = tuple(fields)
    return OrgError(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(names)}]", names)


def read_only(fields: Iterable[str]) -> OrgError:
    """Refuse a body that sets fields that may not be set, or not any more."""
    names = tuple(fields)
    advice = (
        "Please check the security settings of this field and verify that it is read/write "
        "for your profile or permission set."
    )
    message = f"Unable to create/update fields: {', '.join(names)}. {advice}"
    return OrgError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message, names)


def bad_picklist(label: str, field: str, value: object) -> OrgError:
    """Refuse a value outside a restricted picklist."""
    message = f"{label}: bad value for restricted picklist field: {value}"
    return OrgError(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, (field,))


def too_long(label: str, field: str, value: str, most: int) -> OrgError:
    """Refuse a text that is longer than its field; lengths are in characters."""
    message = f"{label}: data value too large: {value} (max length={most})"
    return OrgError(400, "STRING_TOO_LONG", message, (field,))


def number_outside_valid_range(label: str, field: str, value: object) -> OrgError:
    """Refuse a number with more digits than its field allows, or outside its bounds."""
    message = f"{label}: value outside of valid range on numeric field: {value}"
    return OrgError(400, "NUMBER_OUTSIDE_VALID_RANGE", message, (field,))


def invalid_cross_reference(fields: Iterable[str] = ()) -> OrgError:
    """Refuse a reference to a row that does not exist."""
    return OrgError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", fields)


def field_integrity(message: str, fields: Iterable[str] = ()) -> OrgError:
    """Refuse fields that do not fit together; the message has the field and the reason in parentheses."""
    return OrgError(400, "FIELD_INTEGRITY_EXCEPTION", f"field integrity exception: {message}", fields)


def duplicate_value(field: str, record_id: str) -> OrgError:
    """Refuse a value of a unique field that the row with this id has already (shown with 15 characters)."""
    message = f"duplicate value found: {field} duplicates value on record with id: {record_id[:15]}"
    return OrgError(400, "DUPLICATE_VALUE", message, ())


def duplicate_external_id(value: object) -> OrgError:
    """Refuse the same external id on two rows of one request."""
    return OrgError(400, "DUPLICATE_VALUE", f"Duplicate external id specified: {value}", ())


def too_many_updates(record_id: str, most: int) -> OrgError:
    """Refuse to update the same row once more in one request."""
    message = (
        f"Maximum number of duplicate updates in one batch ({most} allowed). "
        f"Attempt to update Id more than once in this Api call: {record_id}"
    )
    return OrgError(400, "DUPLICATE_VALUE", message, ())


def standard_price_not_defined() -> OrgError:
    """Refuse a price book entry for a product that has no standard price yet."""
    return OrgError(400, "STANDARD_PRICE_NOT_DEFINED", "No standard price defined for this product", ())


def unable_to_lock_row() -> OrgError:
    """Refuse a write to a row that another transaction has locked."""
    return OrgError(400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record", ())
