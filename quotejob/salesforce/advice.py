"""What to do about an error of an org, in words for the person who has to do it.

The org's own message says what is wrong, and often not what to do. A refused query or record needs no advice: there the
org's message is the reason. The codes come from the SOAP API guide ("ExceptionCode") and Salesforce Help ("Identity
URLs").
"""

from __future__ import annotations

_STATUS_PAGE = "see https://status.salesforce.com"
_API_ACCESS = "Give the user the permission API Enabled, and check that the edition of the org has the API"
_FEATURE = "Turn the feature on in the Setup of the org; for Quotes: Quote Settings"
_SPENT = "The org's API calls of 24 hours are used up: wait, or ask Salesforce for more"
_INACTIVE = "Check that the user and the org are active, then log in again"

_ADVICE = {
    "API_CURRENTLY_DISABLED": _API_ACCESS,
    "API_DISABLED_FOR_ORG": _API_ACCESS,
    "Bad_Id": _INACTIVE,
    "CLIENT_NOT_ACCESSIBLE_FOR_USER": "Let the user use the connected app: assign its permission set or profile",
    "ExceededQuota": _SPENT,
    "FEATURE_NOT_ENABLED": _FEATURE,
    "FUNCTIONALITY_NOT_ENABLED": _FEATURE,
    "FUNCTIONALITY_TEMPORARILY_UNAVAILABLE": "The org has this turned off for now: try again later",
    "FeatureNotEnabled": _FEATURE,
    "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE": (
        f"The org is in maintenance and can only be read: try again later, {_STATUS_PAGE}"
    ),
    "INVALID_OPERATION_WITH_EXPIRED_PASSWORD": "Set a new password for the user in the org, then log in again",
    "Inactive": _INACTIVE,
    "LOGIN_DURING_RESTRICTED_DOMAIN": (
        "The user may not come from this network address: add it to the login IP ranges of the user's profile, or "
        "relax the IP restrictions of the connected app"
    ),
    "LOGIN_DURING_RESTRICTED_TIME": "The user may not log in at this hour: see the login hours of the user's profile",
    "No_Access": _INACTIVE,
    "ORG_LOCKED": "Salesforce has locked the org: its administrator has to ask Salesforce",
    "PASSWORD_LOCKOUT": "The user is locked out: unlock it in the org, then log in again",
    "REQUEST_LIMIT_EXCEEDED": _SPENT,
    "SERVER_UNAVAILABLE": f"The org is overloaded or in maintenance: try again later, {_STATUS_PAGE}",
    "STORAGE_LIMIT_EXCEEDED": "The storage of the org is full: delete data or buy more, then resume the job",
    "TRIAL_EXPIRED": "The trial of the org has ended: use another org",
    "Wrong_Org": "The access token is of another org: send the orgDomainUrl that the token was made for",
}
_LOG_IN = "The access token has expired, was revoked, or is of another org: log in again"
_CONCURRENT = "Too many long requests run in the org at once: try again shortly"


def with_advice(code: str, message: str, *, session_ended: bool) -> str:
    """Return the org's message with what to do about it. ``session_ended``: the org does not accept the token."""
    if code == "REQUEST_LIMIT_EXCEEDED" and "concurrent" in message.lower():
        advice: str | None = _CONCURRENT
    else:
        advice = _LOG_IN if session_ended else _ADVICE.get(code)
    if advice is None:
        return message
    said = "" if message == code else f" The org said: {message}"
    return f"{advice}.{said}" if said else f"{advice} ({code})."


def silent(status: int, host: str) -> str:
    """Return the message for an answer that is a page, or empty: no org says so, but what stands before it may."""
    page = f"{host} answered {status} with a page instead of JSON"
    if 300 < status < 400:
        return f"{host} redirects to another address: use the org's own My Domain address."
    if status in (420, 429):
        return f"{host} answered {status}: it gets too many requests now; try again shortly."
    if status >= 500:
        return f"{page}: the org is in maintenance or overloaded; try again later, {_STATUS_PAGE}."
    if status in (401, 407):
        return f"{page}: a proxy before the org may want a login; check the proxy settings."
    if status == 403:
        return f"{page}: a firewall or proxy refuses this machine; check the IP ranges that the org allows."
    if status == 404:
        return f"{page}: check that orgDomainUrl is the My Domain address of the org."
    return f"{page}: check the proxy settings, and that this is the address of a Salesforce org."
