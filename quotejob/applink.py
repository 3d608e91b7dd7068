"""Fresh access tokens from Heroku AppLink, for when the caller's own has expired.

Source: the AppLink SDKs' ``getAuthorization`` (``GET {API_URL}/authorizations/{developer_name}``). The authorization
acts as the user it was made for; it is used only when it is for the job's own org.
"""

from __future__ import annotations

from dataclasses import replace

import requests
import structlog

from quotejob.callers import CallerContext, check_org, to18
from quotejob.errors import QuotejobError
from quotejob.settings import Settings

TIMEOUT = (5, 15)  # seconds: to connect, to read

log = structlog.get_logger()


def renewed(context: CallerContext, settings: Settings) -> CallerContext | None:
    """The context with a fresh token and its user, or None: none is configured, not for this org, or not to be had."""
    if not (settings.applink_api_url and settings.applink_token and settings.authorization):
        return None
    try:
        answer = requests.get(
            f"{settings.applink_api_url.rstrip('/')}/authorizations/{settings.authorization}",
            headers={"Authorization": f"Bearer {settings.applink_token}", "X-App-UUID": settings.app_id or ""},
            timeout=TIMEOUT,
            allow_redirects=False,
        )
        answer.raise_for_status()
        org = answer.json()["org"]
        user = org["user_auth"]
        fresh = replace(
            context,
            org_domain_url=org["instance_url"].rstrip("/"),
            access_token=user["access_token"],
            user_id=to18(user["user_id"]),
            username=user["username"],
        )
        check_org(fresh.org_domain_url, settings)
    except (requests.RequestException, KeyError, TypeError, AttributeError, QuotejobError) as fault:
        log.warning("The AppLink authorization gives no token", authorization=settings.authorization,
                    fault=type(fault).__name__)  # fmt: skip
        return None
    return fresh if to18(org["id"]) == context.org_id else None
