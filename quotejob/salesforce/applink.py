"""Fresh access tokens from Heroku AppLink, for callers whose token has expired and for scheduled jobs.

Source: the AppLink SDKs' ``getAuthorization`` (``GET {API_URL}/authorizations/{developer_name}``). The authorization
acts as the user it was made for. It is used only if it is for the job's own org.
"""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urlsplit

import requests
import structlog

from quotejob.errors import AuthorizationFailed, OrgError, OrgUnreachable, QuotejobError
from quotejob.salesforce.caller import CallerContext, check_org, to18
from quotejob.salesforce.guard import GuardedSession
from quotejob.salesforce.translate import TIMEOUT
from quotejob.salesforce.wire import keep_header
from quotejob.settings import Settings
from quotejob.webhook import is_loopback

SECONDS = (5, 15)  # to connect, for the whole request
MAX_ANSWER = 1_000_000  # bytes

_REFUSALS = {  # by AppLink's status
    401: "AppLink does not accept the token of this app; check HEROKU_APPLINK_TOKEN and HEROKU_APP_ID",
    403: "this app may not use it; check HEROKU_APPLINK_TOKEN and HEROKU_APP_ID",
    404: "AppLink knows no such developer name; correct it, or connect the org by that name first",
}

log = structlog.get_logger()


def renewed(context: CallerContext, settings: Settings) -> CallerContext | None:
    """Return the context with a fresh token and its user. None: no authorization, wrong org, or no token."""
    if settings.authorization is None:
        return None
    try:
        fresh = session(settings.authorization, context.org_id, settings)
    except OrgError as fault:
        log.warning(f"The session is not renewed: {fault}")
        return None
    return replace(fresh, request_id=context.request_id, api_version=context.api_version, namespace=context.namespace)


def session(
    authorization: str, org_id: str, settings: Settings, timeout: tuple[float, float] = SECONDS
) -> CallerContext:
    """Return a session of the org, from the authorization with this developer name.

    Raises AuthorizationFailed with the reason if it gives none or may not be used, OrgUnreachable if AppLink does not
    answer.
    """
    if not (settings.applink_api_url and settings.applink_token):
        raise AuthorizationFailed(
            "AppLink cannot be asked for a session: set HEROKU_APPLINK_API_URL and HEROKU_APPLINK_TOKEN"
        )
    named = f"The AppLink authorization {authorization}"
    allowed = settings.authorizations
    if allowed is not None and authorization not in allowed:
        raise AuthorizationFailed(f"{named} may not be used; QUOTEJOB_AUTHORIZATIONS has those that may")
    try:
        http = GuardedSession(timeout, MAX_ANSWER)
        http.trust_env = not is_loopback(urlsplit(settings.applink_api_url).hostname or "")  # no proxy on the way
        http.auth = keep_header
        answer = http.get(
            f"{settings.applink_api_url.rstrip('/')}/authorizations/{authorization}",
            headers={"Authorization": f"Bearer {settings.applink_token}", "X-App-UUID": settings.app_id or ""},
        )
    except requests.RequestException as fault:
        code = TIMEOUT if isinstance(fault, requests.Timeout) else None
        reason = f"AppLink does not answer ({type(fault).__name__}); if it stays so, check HEROKU_APPLINK_API_URL"
        raise OrgUnreachable(f"{named}: {reason}", code=code) from None
    if answer.status_code >= 500 or answer.status_code == 429:
        raise OrgUnreachable(f"{named}: AppLink answers {answer.status_code}")
    if answer.status_code != 200:
        what_to_do = _REFUSALS.get(answer.status_code, f"AppLink answers {answer.status_code}; see the AppLink add-on")
        raise AuthorizationFailed(f"{named} gives no session: {what_to_do}")
    try:
        org = answer.json()["org"]
        user = org["user_auth"]
        found = CallerContext(
            request_id=f"authorization {authorization}",
            org_id=to18(org["id"]),
            org_domain_url=org["instance_url"].rstrip("/"),
            api_version=re.sub(r"^v?([0-9]+)(\.0)?$", r"\1.0", str(org["api_version"])),
            namespace="",
            access_token=user["access_token"],
            user_id=to18(user["user_id"]),
            username=user["username"],
        )
        check_org(found.org_domain_url, settings)
    except (requests.RequestException, KeyError, TypeError, AttributeError, QuotejobError) as fault:
        raise AuthorizationFailed(
            f"{named} gives no session that can be used ({type(fault).__name__}); connect its org again"
        ) from None
    if found.org_id != org_id:
        raise AuthorizationFailed(f"{named} is for another org; use one of this org")
    return found
