"""Where a callback may go: only to the caller's own org."""

from __future__ import annotations

from urllib.parse import urlsplit

from quotejob.errors import InvalidRequest, OrgNotAllowed
from quotejob.salesforce import OrgAddress
from quotejob.webhook import is_plain

LONGEST = 2_000  # characters of a callback's address


def check_callback(url: str, org: OrgAddress) -> str:
    """Return the address of a callback, if it is in the caller's own org. Raises InvalidRequest."""
    if not is_plain(url):
        raise InvalidRequest.field("callbackUrl", "should be an https URL of your org, without a user and a fragment")
    if not _is_in_org(url, org):
        raise InvalidRequest.field("callbackUrl", f"should be an address of your own org, {org.host}")
    return url


def may_call_back(url: str, org: OrgAddress) -> bool:
    """Return whether the address of a callback is in this org."""
    try:
        return is_plain(url) and _is_in_org(url, org)
    except OrgNotAllowed:
        return False


def _is_in_org(url: str, org: OrgAddress) -> bool:
    given, own = urlsplit(url), urlsplit(f"{org.scheme}://{org.host}")
    default = {"https": 443, "http": 80}
    return (given.scheme, given.hostname, given.port or default[given.scheme]) == (
        own.scheme,
        own.hostname,
        own.port or default[own.scheme],
    )
