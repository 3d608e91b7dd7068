"""The login of a person at an org: OAuth's authorization code with PKCE (Salesforce Help, "Web Server Flow")."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import urlencode, urlsplit

import requests

from quotejob.asking.door import door
from quotejob.doors import Doors
from quotejob.errors import OrgUnreachable, Unauthenticated
from quotejob.salesforce.guard import GuardedSession
from quotejob.salesforce.wire import keep_header
from quotejob.webhook import is_loopback

SECONDS = (3.0, 10.0)  # to connect, for the whole request; a person waits
MAX_ANSWER = 1_000_000  # bytes
BACK = "/console/login/back"  # where the org sends the browser


def address(doors: Doors, login: str, state: str, verifier: str) -> str:
    """Return the address at which a person logs in. Without a scope the app's own ones count."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": doors.client_id,
        "redirect_uri": f"{doors.url}{BACK}",
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return f"{login}/services/oauth2/authorize?{urlencode(asked)}"


def exchange(doors: Doors, login: str, code: str, verifier: str) -> tuple[str, str]:
    """Return the address of the org and a token for it, in exchange for the code. The address is not checked yet.

    Raises Unauthenticated with the org's reason, OrgUnreachable.
    """
    parts = urlsplit(login)
    http = GuardedSession(SECONDS, MAX_ANSWER)
    http.trust_env = not is_loopback(parts.hostname or "")  # no proxy on the way to this machine
    http.auth = keep_header
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": doors.client_id or "",
        "redirect_uri": f"{doors.url}{BACK}",
        "code_verifier": verifier,
    } | ({"client_secret": doors.client_secret} if doors.client_secret else {})
    try:
        with door.to(parts.netloc):
            answer = http.post(f"{login}/services/oauth2/token", data=form)
            body = answer.json()
    except requests.RequestException as fault:
        raise OrgUnreachable(f"{parts.netloc} does not answer ({type(fault).__name__}); try again") from None
    found = body if isinstance(body, dict) else {}
    url, token = found.get("instance_url"), found.get("access_token")
    if not (answer.ok and isinstance(url, str) and isinstance(token, str)):
        reason = str(found.get("error_description") or found.get("error") or answer.status_code)[:200]
        raise Unauthenticated(f"{parts.netloc} gives no session: {reason}. Begin the login again.")
    return url, token
