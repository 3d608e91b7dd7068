"""Who is at the door: the caller's context read, its org allowed, its token proven, its clause shown to the org.

The order matters. Nothing is sent anywhere before the org's address is known to be an org's, and no job is shown or
made before the org itself has said whose token this is.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import cast

import structlog
from flask import current_app, g, request

from quotejob.errors import AuthorizationFailed, InvalidRequest, JobNotFound, OrgRefused, Unauthenticated
from quotejob.jobs.job import Job
from quotejob.salesforce import OrgAddress, OrgClient, applink
from quotejob.salesforce import caller as callers
from quotejob.salesforce.caller import CallerContext
from quotejob.salesforce.clause import FIELD, wrap
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys

NAME = "quotejob"  # the key of the settings in app.extensions
HEADER = "x-client-context"
PROVEN_FOR = 300  # seconds the org's word about a token is believed
# A caller waits: an org that does not answer by then is "away".
CONNECT_TIMEOUT, READ_TIMEOUT, RETRY_FOR = 3.0, 10.0, 2.0  # seconds


def services() -> Services:
    """Return the stores of the app that handles this request."""
    return Services.connected(cast(Settings, current_app.extensions[NAME]))


def claimed() -> CallerContext:
    """The context as the request claims it; Unauthenticated without a usable one, OrgNotAllowed for a foreign host."""
    if "claimed" not in g:
        context = callers.from_header(request.headers.get(HEADER))
        structlog.contextvars.bind_contextvars(org_id=context.org_id)
        callers.check_org(context.org_domain_url, services().settings)
        _org(context)  # the border reads the address with its own eyes; what it would not call is refused here
        g.claimed = context
    return cast(CallerContext, g.claimed)


def proven(context: CallerContext) -> CallerContext:
    """The context, once the org has said that the token is this user's in this org.

    Its word is kept for five minutes under a keyed hash of host and token. Raises Unauthenticated, SessionExpired,
    OrgUnreachable.
    """
    client, key = services().client, _proof_key(context, services().settings)
    with store.translated():
        known = cast(bytes | None, client.get(key))
    bearer = known.decode() if known else _ask_whose(context)
    if bearer != _bearer(context.org_id, context.user_id):
        raise Unauthenticated("The access token does not belong to the org and user that x-client-context names")
    if known is None:
        with store.translated():
            client.set(key, bearer, ex=PROVEN_FOR)
    return context


def caller() -> CallerContext:
    """Claimed and proven: what every route needs that has nothing to check in between."""
    return proven(claimed())


def required() -> None:
    """Before a request of a blueprint: one that does not say who calls is not read any further."""
    claimed()


def own_job(context: CallerContext, job_id: str) -> Job:
    """The job if it is one of the caller's org; JobNotFound otherwise: another org's is as good as none."""
    if not keys.is_id(job_id):
        raise JobNotFound("There is no such job in this org; a job id looks like 123e4567-e89b-12d3-a456-426614174000")
    structlog.contextvars.bind_contextvars(job_id=job_id)
    return services().jobs.get(job_id, context.org_id)


def show_clause(context: CallerContext, clause: str) -> None:
    """Let the org judge the clause by a query plan, which reads no rows; its refusal is the caller's to read."""
    try:
        _org(context).explain(f"SELECT Id FROM Opportunity WHERE {wrap(clause)}")
    except OrgRefused as refusal:
        said = refusal.message.strip()
        raise InvalidRequest(
            f"{FIELD}: the org refused it: {said}", details=[{"field": FIELD, "message": said, "code": refusal.code}]
        ) from refusal


def check_authorization(context: CallerContext, authorization: str | None) -> str:
    """The developer name of an AppLink authorization (or else the app's own), once it has given a session of this org.

    Raises InvalidRequest when it does not, OrgUnreachable.
    """
    name = authorization or services().settings.authorization
    if name is None:
        raise InvalidRequest.field("authorization", "is missing; name an AppLink authorization of this org")
    try:
        applink.session(name, context.org_id, services().settings, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT))
    except AuthorizationFailed as refusal:
        raise InvalidRequest.field("authorization", refusal.message) from refusal
    return name


def _ask_whose(context: CallerContext) -> str:
    try:
        identity = _org(context).whoami()
    except OrgRefused as refusal:
        raise Unauthenticated("The org does not say whose access token this is; log in again") from refusal
    return _bearer(identity.organization_id, identity.user_id)


def _org(context: CallerContext) -> OrgClient:
    return OrgClient(
        OrgAddress.of(context), connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT, retry_for=RETRY_FOR
    )


def _bearer(org_id: str, user_id: str) -> str:
    return f"{callers.to18(org_id)} {callers.to18(user_id)}"


def _proof_key(context: CallerContext, settings: Settings) -> str:
    secret = hashlib.sha256(b"quotejob: whose token\0" + settings.secret_keys[0].strip().encode()).digest()
    what = f"{context.org_domain_url}\0{context.access_token}".encode()
    return f"quotejob:proof:{hmac.new(secret, what, hashlib.sha256).hexdigest()}"
