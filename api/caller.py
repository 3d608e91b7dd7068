"""Who calls: read the caller's context, check its org and its token.

The order matters. Nothing is sent to an org before its address is allowed. No job is shown or made before the org
itself has said whose token this is.
"""

from __future__ import annotations

from typing import cast

import structlog
from flask import current_app, g, request

from quotejob.asking import proof
from quotejob.doors import asked_from_here
from quotejob.errors import JobNotFound, Unauthenticated
from quotejob.jobs.job import Job
from quotejob.salesforce import OrgAddress
from quotejob.salesforce import caller as contexts
from quotejob.salesforce.caller import CallerContext
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import keys
from quotejob.store.client import connect

SETTINGS_EXTENSION = "quotejob"  # key of the settings in app.extensions
_SERVICES_EXTENSION = "quotejob.services"
HEADER = "x-client-context"
ORG_URL = "x-org-url"  # beside Authorization: Bearer, for callers outside AppLink


def services() -> Services:
    """Return the stores of the app that handles this request: they stay, and so does what they know for a second."""
    settings = cast(Settings, current_app.extensions[SETTINGS_EXTENSION])
    made = cast(Services | None, current_app.extensions.get(_SERVICES_EXTENSION))
    if made is None or made.client is not connect(settings):  # a forked process has a client of its own
        made = current_app.extensions[_SERVICES_EXTENSION] = Services.connected(settings)
    return made


def claimed() -> CallerContext:
    """Return the context that the request claims to have. Its token is not checked yet.

    Raises Unauthenticated without a usable context, OrgNotAllowed if the org's host is not allowed.
    """
    if "claimed" not in g:
        context = _of_bearer() or contexts.from_header(request.headers.get(HEADER))
        structlog.contextvars.bind_contextvars(org_id=context.org_id)
        contexts.check_org(context.org_domain_url, services().settings)
        _ = OrgAddress.of(context).host  # refuses here what the client of the org would refuse later
        g.claimed = context
    return cast(CallerContext, g.claimed)


def _of_bearer() -> CallerContext | None:
    """Return the context of a caller with a token and the address of its org, as the org knows it; None: no token."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if HEADER in request.headers or scheme.lower() != "bearer":
        return None
    if not (url := request.headers.get(ORG_URL, "")):
        raise Unauthenticated(
            f"Authorization: Bearer needs the header {ORG_URL} too, with the address of the org, such as "
            "https://example.my.salesforce.com"
        )
    return proof.identify(url, token.strip(), services())[0]


def authenticate(context: CallerContext) -> CallerContext:
    """Return the context with the user's name, once the org has said that the token is of this user of this org.

    Raises Unauthenticated, SessionExpired, OrgUnreachable.
    """
    return proof.prove(context, services())


def authenticate_with_clause(context: CallerContext, clause: str) -> CallerContext:
    """Do as authenticate(), then check that the org accepts the clause. Raises InvalidRequest if it does not."""
    return proof.prove_with_clause(context, clause, services())


def authenticated() -> CallerContext:
    """Return the caller's context, with its token checked: for routes that check nothing in between."""
    return authenticate(claimed())


def require_context() -> None:
    """Refuse a request that does not say who calls, before anything else of it is read."""
    claimed()


def is_on_this_machine() -> bool:
    """Return whether a program on this machine sent the request, through no proxy."""
    address, host, names = request.remote_addr or "", request.headers.get("Host", ""), request.headers.keys()
    return asked_from_here(address, host, names, behind_proxy=services().settings.behind_proxy)


def get_own_job(context: CallerContext, job_id: str) -> Job:
    """Return a job of the caller's org. Raises JobNotFound, also for a job of another org."""
    if not keys.is_id(job_id):
        raise JobNotFound(
            "There is no such job in this org; a job id looks like 123e4567-e89b-12d3-a456-426614174000, and listJobs "
            "gives the ids of all jobs"
        )
    structlog.contextvars.bind_contextvars(job_id=job_id)
    return services().jobs.get(job_id, context.org_id)


def check_authorization(context: CallerContext, authorization: str | None) -> str:
    """Return the developer name of an AppLink authorization that gives a session of this org, by the app's settings."""
    return proof.check_authorization(context, authorization, services().settings)
