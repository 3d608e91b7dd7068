"""The door of a login: the person logs in at the org, and the org sends the browser back with a code."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from typing import cast
from urllib.parse import urlsplit

from flask import Response, redirect, request
from werkzeug.exceptions import NotFound

from console.doors import entering
from console.pages import blueprint, is_secure, services, sessions
from console.sessions import LOGIN_LASTS, Door
from quotejob.asking import proof, weblogin
from quotejob.errors import QuotejobError

STATE = "quotejob_login"  # the cookie that ties a login to the browser in which it began
PATH = "/console/login"


@blueprint.get("/login/<host>")
def log_in(host: str) -> Response:
    """Send the browser to one of the places where people may log in."""
    doors = services().settings.doors
    place = next((each for each in doors.logins if urlsplit(each).netloc == host), None)
    if place is None or not doors.client_id:
        raise NotFound("Nobody logs in there.")
    state, verifier = sessions().begin_login(place)
    response = redirect(weblogin.address(doors, place, state, verifier), HTTPStatus.SEE_OTHER)
    response.set_cookie(STATE, state, max_age=LOGIN_LASTS, httponly=True, samesite="Lax", path=PATH, secure=is_secure())
    return cast(Response, response)


@blueprint.get("/login/back")
def come_back() -> Response:
    """Take the code of the org, and begin a session."""
    state, kept = request.args.get("state", ""), request.cookies.get(STATE, "")
    begun = sessions().end_login(state) if state and hmac.compare_digest(state.encode(), kept.encode()) else None
    if begun is None:
        return entering.refused("This login did not begin in this browser, was ended, or is too old. Begin it again.")
    if "code" not in request.args:
        reason = request.args.get("error_description") or request.args.get("error") or "it gave no reason"
        return entering.refused(f"The org let nobody in: {reason[:200]}")
    place, verifier = begun
    try:
        url, token = weblogin.exchange(services().settings.doors, place, request.args["code"], verifier)
        person, permissions = proof.identify(url, token, services())
        entering.check_admitted(person.org_id)
    except QuotejobError as error:
        return entering.refused(error.message, error.status)
    response = entering.begin(person, entering.role_of(person, permissions), Door.LOGIN)
    response.delete_cookie(STATE, path=PATH, samesite="Lax", httponly=True)
    return response
