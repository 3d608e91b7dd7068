"""The door of the demo: who can call the API from this machine may make a one-time link for a browser.

Only with QUOTEJOB_LOCAL_ORG=1, and only from this machine by a loopback address.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from flask import Response, jsonify, render_template, request, url_for
from werkzeug.exceptions import NotFound

from console.pages import COOKIE, blueprint, go, services, session, sessions
from console.sessions import Role
from quotejob.asking import proof
from quotejob.errors import InvalidRequest, QuotejobError
from quotejob.salesforce import caller


@blueprint.post("/link")
def make_link() -> tuple[Response, int]:
    """Make a link for the user of x-client-context. Its address is the answer."""
    _only_here()
    try:
        context = caller.from_header(request.headers.get("x-client-context"))
        caller.check_org(context.org_domain_url, services().settings)
        proof.prove(context, services())
        if request.args.get("role", Role.OPERATOR) not in list(Role):
            raise InvalidRequest.field("role", f"should be {' or '.join(Role)}")
    except QuotejobError as error:
        return jsonify({"code": error.code, "message": error.message, "details": error.details}), error.status
    secret = sessions().link(context, Role(request.args.get("role", Role.OPERATOR)))
    return jsonify({"url": url_for("console.enter", secret=secret, _external=True)}), 201


@blueprint.get("/enter/<secret>")
def enter(secret: str) -> Response | tuple[str, int]:
    """Use up a link, and begin a session."""
    _only_here()
    if request.method == "HEAD":  # programs look at links before people do
        return "", 204
    cookie = sessions().enter(secret)
    if cookie is None:
        return render_template("door.html", used=True), 403
    response = go("/console")
    response.set_cookie(COOKIE, cookie, httponly=True, samesite="Lax", path="/console", secure=request.is_secure)
    return response


@blueprint.get("/door")
def door() -> str:
    """Say how to sign in."""
    return render_template("door.html", used=False)


@blueprint.post("/leave")
def leave() -> Response:
    """End the session."""
    sessions().end(session())
    response = go("/console/door")
    response.delete_cookie(COOKIE, path="/console", samesite="Lax", httponly=True)
    return response


def _only_here() -> None:
    """Raise NotFound unless the request comes from this machine, and local orgs are allowed."""
    host = urlsplit(f"//{request.host}").hostname or ""
    here = _is_loopback(request.remote_addr or "") and (host == "localhost" or _is_loopback(host))
    if not (services().settings.local_org and here):
        raise NotFound("There is no such page.")


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
