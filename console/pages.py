"""What every page goes through: who looks, what a change must bring, how an answer is guarded, and polled parts.

A *part* is a piece of a page that asks again every 2 seconds. It has a tag, made of the version of the org's data. If
the tag is the same as before, the answer is 304 and cost one command to Redis.
"""

from __future__ import annotations

import base64
import hmac
import re
import time
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from http import HTTPStatus
from typing import Any, NoReturn, cast

import orjson
import structlog
from flask import Blueprint, Response, current_app, g, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException, NotFound

from console.sessions import Door, Role, Session, Sessions
from quotejob.asking import proof
from quotejob.errors import QuotejobError, SessionExpired, Unauthenticated
from quotejob.salesforce.caller import CallerContext
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import keys

log = structlog.get_logger("console")
blueprint = Blueprint("console", __name__, url_prefix="/console", template_folder="templates")

COOKIE, SAID, ZONE = "quotejob_console", "quotejob_said", "quotejob_zone"
# endpoints that need no session
OPEN = {"asset", "door", "enter", "make_link", "log_in", "come_back", "from_org", "not_from_org"}
TYPED = ("name", "clause", "cron", "parameters")  # fields of forms that are work to type again
ELSEWHERE = ("cross-site", "same-site")  # what browsers say of requests that pages of others make
ESTIMATES_KEPT_FOR = 15  # seconds after which a part is made again, because estimates change without an event
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors "
)


def services() -> Services:
    """Return the stores of the app that handles this request."""
    return Services.connected(cast(Settings, current_app.extensions["quotejob"]))


def sessions() -> Sessions:
    """Return the store of sessions."""
    return Sessions(services().client, services().settings)


def session() -> Session:
    """Return the session of this request."""
    return cast(Session, g.session)


def person() -> CallerContext:
    """Return who looks: what was proven when the session began. Raises SessionExpired."""
    return session().context(services().settings)


def proven() -> CallerContext:
    """Return who changes something, after the org has accepted the token (again). Raises Unauthenticated."""
    return proof.prove(person(), services())


# -- before and after --------------------------------------------------------------------------------------------------


@blueprint.before_request
def _require_session() -> Any:
    endpoint = (request.endpoint or "").rpartition(".")[2]
    g.session = None  # Redis may not answer
    if endpoint not in OPEN and request.method == "POST" and request.headers.get("Sec-Fetch-Site") in ELSEWHERE:
        return _refusal(HTTPStatus.FORBIDDEN, "A page of another site has sent this. Nothing was changed.")
    g.session = sessions().find(request.cookies.getlist(COOKIE))
    if endpoint in OPEN:
        return None
    if g.session is None:
        return _ended()
    structlog.contextvars.bind_contextvars(org_id=g.session.org_id)
    if request.method == "POST":
        return _check_change(g.session)
    if not endpoint.startswith("part_"):
        sessions().prolong(g.session)
    return None


def _ended() -> Response:
    """Answer a request without a session: a page leads to the door, anything else says so."""
    if request.method == "GET" and request.headers.get("HX-Request") is None:
        return cast(Response, redirect(url_for("console.door"), HTTPStatus.SEE_OTHER))
    return _refusal(HTTPStatus.UNAUTHORIZED, "Your session has ended. Sign in again.")


def _check_change(whose: Session) -> Response | None:
    """Refuse a change without the session's token, or of a viewer."""
    token = request.headers.get("X-CSRF-Token") or request.form.get("csrf", "")
    if not hmac.compare_digest(token.encode(), whose.csrf.encode()):
        return _refusal(HTTPStatus.FORBIDDEN, "This change did not come from a page of this session. Load it again.")
    if whose.role is not Role.OPERATOR and request.endpoint != "console.leave":
        return _refusal(HTTPStatus.FORBIDDEN, "You may look but not change things. Ask an operator.")
    return None


@blueprint.after_request
def _guard(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", _POLICY + _framed_by())
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _framed_by() -> str:
    """Return who may show a page in a frame: nobody, or for a tab in an org that org's own hosts.

    Why a tab has no session may be shown by any org: nobody knows yet which one it is.
    """
    whose: Session | None = g.get("session")
    if whose is None and g.get("refused_in_tab"):
        return " ".join(hosts_of_any_org(services().settings))
    if whose is None or whose.door is not Door.TAB:
        return "'none'"
    try:
        return " ".join(hosts_of(whose.context(services().settings).org_domain_url))
    except SessionExpired:
        return "'none'"


def hosts_of(org_url: str) -> list[str]:
    """Return the origins at which an org shows pages with frames (Salesforce Help, "My Domain URL Formats")."""
    before, mine, _ = org_url.partition(".my.salesforce.com")
    if not mine:
        return [org_url]
    domain, dot, kind = before.partition(".")  # a sandbox is https://acme--dev.sandbox.my.salesforce.com
    return [
        org_url,
        f"{before}.lightning.force.com",
        f"{before}.my.salesforce-setup.com",
        f"{domain}--c{dot}{kind}.vf.force.com",
    ]


def hosts_of_any_org(settings: Settings) -> list[str]:
    """Return the origins at which the allowed orgs show pages with frames, as patterns."""
    suffixes = (*settings.org_hosts, "lightning.force.com", "my.salesforce-setup.com", "vf.force.com")
    here = ("http://127.0.0.1:*", "http://localhost:*") if settings.local_org else ()
    return [*(f"https://*.{each}" for each in suffixes), *here]


def is_secure() -> bool:
    """Return whether browsers reach the console by https, here or at a proxy before it."""
    return request.is_secure or (services().settings.doors.url or "").startswith("https:")


def cookie_rules(door: Door | None = None) -> dict[str, Any]:
    """Return the rules of a cookie. Without a door: those of this request's session.

    In a frame of another site a cookie has to be SameSite=None, and then also Secure. It is kept apart for each site
    that shows the frame.
    """
    rules: dict[str, Any] = {"httponly": True, "path": "/console"}
    if (door or session().door) is Door.TAB:
        return rules | {"samesite": "None", "secure": True, "partitioned": True}
    return rules | {"samesite": "Lax", "secure": is_secure()}


# -- errors ------------------------------------------------------------------------------------------------------------


@blueprint.errorhandler(QuotejobError)
def _ours(error: QuotejobError) -> Any:
    """Say what is wrong: on the page that the change came from, or on a page of its own."""
    if isinstance(error, Unauthenticated | SessionExpired):
        if g.session is not None:
            sessions().end(session())
        return _ended()
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and error.status != HTTPStatus.SERVICE_UNAVAILABLE:
        log.error("A page failed", kind=type(error).__name__, exc_info=error)
    back = request.form.get("back", "") if request.method == "POST" else ""
    if back and g.session is not None and request.headers.get("X-CSRF-Token") is None:
        return told(back, error.message, bad=True)
    return _refusal(error.status, error.message)


@blueprint.errorhandler(HTTPException)
def _http(error: HTTPException) -> Response:
    return _refusal(error.code or 500, error.description or error.name)


def _refusal(status: int, message: str) -> Response:
    """Say what is wrong: to a script as text, to a person on a page, with what the person had typed."""
    if request.headers.get("HX-Request") or request.headers.get("X-CSRF-Token"):
        return Response(message, status, mimetype="text/plain")
    ours = request.headers.get("Sec-Fetch-Site") not in ELSEWHERE
    typed = [request.form[name] for name in TYPED if ours and request.form.get(name)]
    return make_response(render_template("error.html", message=message, status=int(status), typed=typed), status)


@blueprint.get("/<path:unknown>")
def nowhere(unknown: str) -> NoReturn:
    """Answer what is no page: with a page, not with the API's JSON."""
    raise NotFound(f"There is no page {unknown[:80]}.")


# -- what pages use ----------------------------------------------------------------------------------------------------


def go(place: str) -> Response:
    """Go to a page of the console, and never to another place."""
    ours = re.fullmatch(r"/console(/(?![./])[\w.-]*)*(\?[^\\\s#]*)?", place, re.ASCII) is not None
    return cast(Response, redirect(place if ours else "/console", HTTPStatus.SEE_OTHER))


def told(back: str, message: str, *, bad: bool = False) -> Response:
    """Go to a page of the console, and say something there once."""
    response = go(back)
    said = base64.urlsafe_b64encode(orjson.dumps({"text": message[:600], "bad": bad})).decode()
    response.set_cookie(SAID, said, max_age=60, **cookie_rules())
    return response


def page(template: str, **values: Any) -> Response:
    """Return a page, with what was to be said there."""
    said = _said()
    response = make_response(render_template(template, said=said, tag=current_tag(), **values))
    if said:
        response.delete_cookie(SAID, **cookie_rules())
    return response


def _said() -> dict[str, Any] | None:
    try:
        found = orjson.loads(base64.urlsafe_b64decode(request.cookies.get(SAID, "")))
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("text"), str) else None


def look_anew() -> None:
    """Note that this request has changed something, so that what it shows is newer than its session."""
    version = services().client.value(keys.version(session().org_id))
    g.session = replace(session(), version=int(version or 0))


def current_tag() -> str:
    """Return the tag of what is known of the org now."""
    return f"{session().version}.{int(time.time() // ESTIMATES_KEPT_FOR)}"


def part(rule: str, *, tag: Callable[..., str] | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a part: a view whose answer is 304 while its tag is the one that the browser has."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @blueprint.get(f"/part{rule}", endpoint=f"part_{view.__name__}")
        @wraps(view)
        def answer(**values: Any) -> Response:
            g.quiet = True
            now = tag(**values) if tag else current_tag()
            if request.headers.get("HX-PTag") == now:
                return Response(status=HTTPStatus.NOT_MODIFIED)
            response = make_response(view(**values))
            response.headers["HX-PTag"] = now
            return response

        return cast(Callable[..., Any], answer)

    return decorate
