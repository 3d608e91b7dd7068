"""The door of the demo: who can call the API from this machine may make a one-time link for a browser.

Only with QUOTEJOB_LOCAL_ORG=1, and only from this machine by a loopback address.
"""

from __future__ import annotations

from flask import Response, jsonify, request, url_for
from werkzeug.exceptions import NotFound

from console.doors.entering import refused, with_cookie
from console.pages import blueprint, services, sessions
from console.sessions import Door, Role
from quotejob.asking import proof
from quotejob.doors import asked_from_here
from quotejob.errors import InvalidRequest, QuotejobError
from quotejob.salesforce import caller


@blueprint.post("/link")
def make_link() -> tuple[Response, int]:
    """Make a link for the user of x-client-context. Its address is the answer."""
    _only_here()
    try:
        context = caller.from_header(request.headers.get("x-client-context"))
        caller.check_org(context.org_domain_url, services().settings)
        context = proof.prove(context, services())
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
    entered = sessions().enter(secret)
    if entered is None:
        return refused("This link was used, or is too old. A link begins one session, once, within 15 minutes.")
    return with_cookie(*entered, Door.LINK)


def _only_here() -> None:
    """Raise NotFound unless the request comes from this machine, and local orgs are allowed."""
    address, host, names = request.remote_addr or "", request.headers.get("Host", ""), request.headers.keys()
    settings = services().settings
    if not (settings.local_org and asked_from_here(address, host, names, behind_proxy=settings.behind_proxy)):
        raise NotFound("There is no such page.")
