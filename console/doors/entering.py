"""What all doors share: who may come in with which role, the cookie, and the page that says how to sign in."""

from __future__ import annotations

from urllib.parse import urlsplit

import structlog
from flask import Response, g, make_response, render_template, request

from console.pages import COOKIE, blueprint, cookie_rules, go, services, session, sessions
from console.sessions import Door, Role
from quotejob.errors import OrgNotAllowed
from quotejob.salesforce.caller import CallerContext

PERMISSION = "QuoteJobOperator"  # the custom permission of people who may change things
log = structlog.get_logger("console")


def check_admitted(org_id: str) -> None:
    """Raise OrgNotAllowed unless people of this org may come in."""
    if not services().settings.doors.admits(org_id):
        raise OrgNotAllowed(f"The console is not open to the org {org_id}; QUOTEJOB_CONSOLE_ORGS has those that may")


def role_of(person: CallerContext, permissions: frozenset[str]) -> Role:
    """Return the role: that of operators by a custom permission in the org, or by a setting."""
    named = person.username.lower() in services().settings.doors.operators
    return Role.OPERATOR if named or PERMISSION in permissions else Role.VIEWER


def begin(person: CallerContext, role: Role, door: Door) -> Response:
    """Begin a session and go to the first page."""
    return with_cookie(sessions().begin(person, role, door), role, door)


def with_cookie(cookie: str, role: Role, door: Door) -> Response:
    """Go to the first page with the cookie of a new session."""
    log.info("A person signed in", role=role, door=door, org_id=cookie.partition(".")[0])
    response = go("/console")
    response.set_cookie(COOKIE, cookie, **cookie_rules(door))
    return response


def refused(message: str, status: int = 403) -> Response:
    """Say on the page of the doors why nobody came in."""
    return make_response(_page(message), status)


@blueprint.get("/door")
def door() -> str:
    """Say how to sign in."""
    return _page()


@blueprint.post("/leave")
def leave() -> Response:
    """End the session. A tab in the org stays, and says so."""
    sessions().end(session())
    response = make_response(_page("You are signed out.")) if session().door is Door.TAB else go("/console/door")
    response.delete_cookie(COOKIE, **cookie_rules())
    return response


def _page(message: str = "") -> str:
    """Return the page of the doors. In a frame, which is a tab of the org, it has no link: no login works there."""
    settings = services().settings
    tab = bool(settings.doors.canvas_secret)
    g.refused_in_tab = tab and request.headers.get("Sec-Fetch-Dest") == "iframe"
    logins = [urlsplit(each).netloc for each in settings.doors.logins if settings.doors.client_id]
    return render_template(
        "door.html",
        me=None,
        message=message,
        logins=[] if g.refused_in_tab else logins,
        tab=tab,
        links=settings.local_org and not g.refused_in_tab,
    )
