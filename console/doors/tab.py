"""The door in the org: a canvas app, whose frame begins with a signed request of the org.

Source: the Canvas developer guide, "Verifying and Decoding a Signed Request" and "CanvasRequest".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from dataclasses import dataclass, field
from typing import Any

import orjson
from flask import Response, request
from werkzeug.exceptions import NotFound

from console.doors import entering
from console.pages import blueprint, services, sessions
from console.sessions import Door
from quotejob.asking import proof
from quotejob.errors import QuotejobError, Unauthenticated
from quotejob.salesforce.caller import to18

MOST_AGE = 300  # seconds since the org signed the request
MOST_SKEW = 60  # seconds that the org's clock may be ahead
ALGORITHM = "HMACSHA256"


@dataclass(frozen=True, slots=True)
class Claims:
    """What a signed request says."""

    url: str  # of the org
    token: str = field(repr=False)
    org_id: str
    user_id: str


@blueprint.post("/canvas")
def from_org() -> Response:
    """Take a signed request, once, and begin a session in the frame."""
    secret, signed = services().settings.doors.canvas_secret, request.form.get("signed_request", "")
    if not secret:
        raise NotFound("There is no such page.")
    try:
        claims = verified(signed, secret)
        entering.check_admitted(claims.org_id)
        if not sessions().is_new(signed.partition(".")[2], MOST_AGE + MOST_SKEW):
            raise Unauthenticated("This signed request was used. Load the tab again.")
        person, permissions = proof.identify(claims.url, claims.token, services())
        if (person.org_id, person.user_id) != (claims.org_id, claims.user_id):
            raise Unauthenticated("The token of the signed request is not of the user that it names.")
    except QuotejobError as error:
        return entering.refused(error.message, error.status)
    return entering.begin(person, entering.role_of(person, permissions), Door.TAB)


@blueprint.get("/canvas")
def not_from_org() -> Response:
    """Say what is wrong with the canvas app: an org sends GET to an app that its users have not approved."""
    return entering.refused(
        "The org sent no signed request. Set the canvas app to Signed Request (POST), and its Permitted Users to "
        "admin-approved users."
    )


def verified(signed: str, secret: str) -> Claims:
    """Return what a signed request says. Raises Unauthenticated if it is forged, too old, or has another form."""
    signature, _, payload = signed.partition(".")
    proper = hmac.new(secret.encode(), payload.encode(), hashlib.sha256).digest()
    try:
        given = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        given = b""
    if not hmac.compare_digest(given, proper):
        raise Unauthenticated("The signature of the request is wrong: check QUOTEJOB_CONSOLE_CANVAS_SECRET.")
    try:
        said = orjson.loads(base64.b64decode(payload, validate=True))
        claims = Claims(
            url=str(said["client"]["instanceUrl"]).rstrip("/"),
            token=str(said["client"]["oauthToken"]),
            org_id=to18(str(said["context"]["organization"]["organizationId"])),
            user_id=to18(str(said["userId"])),
        )
    except (binascii.Error, ValueError, KeyError, TypeError, IndexError):
        raise Unauthenticated("The signed request has another form than that of a canvas app.") from None
    if said.get("algorithm") != ALGORITHM:
        raise Unauthenticated(f"The signed request names another algorithm than {ALGORITHM}.")
    _check_age(said.get("issuedAt"))
    return claims


def _check_age(issued: Any) -> None:
    """Raise Unauthenticated unless the time is a fresh one. It is in seconds since 1970."""
    known = isinstance(issued, int | float) and not isinstance(issued, bool)
    if not known or not -MOST_SKEW <= time.time() - issued <= MOST_AGE:
        raise Unauthenticated("The signed request is too old, or does not say from when it is. Load the tab again.")
