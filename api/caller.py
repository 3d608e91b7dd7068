"""Who calls: read the caller's context, check its org and its token, and check a clause against the org.

The order matters. Nothing is sent to an org before its address is allowed. No job is shown or made before the org
itself has said whose token this is.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

import structlog
from flask import current_app, g, request

from api.door import door
from quotejob.errors import (
    AuthorizationFailed,
    InvalidRequest,
    JobNotFound,
    OrgClosed,
    OrgRefused,
    OrgSilent,
    Unauthenticated,
)
from quotejob.jobs.job import Job
from quotejob.run.silence import with_silence
from quotejob.salesforce import OrgAddress, OrgClient, applink
from quotejob.salesforce import caller as contexts
from quotejob.salesforce.caller import CallerContext
from quotejob.salesforce.clause import FIELD, likely_meant, select_opportunities
from quotejob.salesforce.org import NOT_SERVED
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import keys

SETTINGS_EXTENSION = "quotejob"  # key of the settings in app.extensions
HEADER = "x-client-context"
IDENTITY_KEPT_FOR = 300  # seconds
CLAUSE_KEPT_FOR = 60  # seconds that a clause counts as accepted
# The caller waits, so these are short. An org that does not answer in time is unreachable.
CONNECT_TIMEOUT, READ_TIMEOUT, RETRY_FOR = 3.0, 10.0, 2.0  # seconds


def services() -> Services:
    """Return the stores of the app that handles this request."""
    return Services.connected(cast(Settings, current_app.extensions[SETTINGS_EXTENSION]))


def claimed() -> CallerContext:
    """Return the context that the request claims to have. Its token is not checked yet.

    Raises Unauthenticated without a usable context, OrgNotAllowed if the org's host is not allowed.
    """
    if "claimed" not in g:
        context = contexts.from_header(request.headers.get(HEADER))
        structlog.contextvars.bind_contextvars(org_id=context.org_id)
        contexts.check_org(context.org_domain_url, services().settings)
        org_of(context)  # refuses here what the client of the org would refuse later
        g.claimed = context
    return cast(CallerContext, g.claimed)


def authenticate(context: CallerContext) -> CallerContext:
    """Return the context with the user's name, once the org has said that the token is of this user of this org.

    The org's answer is kept for five minutes, under a keyed hash of host and token.
    Raises Unauthenticated, SessionExpired, OrgUnreachable.
    """
    client, key = services().client, _key("proof", context, services().settings)
    kept, g.silent_for = with_silence(client, key, context.org_id)
    said = kept.decode() if kept else _ask_identity(context)
    proven = _proven(context, said)
    if kept is None:
        client.set(key, said, ex=IDENTITY_KEPT_FOR)
    return proven


def proven_by_org(context: CallerContext) -> CallerContext:
    """Return the context as authenticate() does, by asking the org: it works without Redis."""
    return _proven(context, _ask_identity(context))


def authenticated() -> CallerContext:
    """Return the caller's context, with its token checked: for routes that check nothing in between."""
    return authenticate(claimed())


def require_context() -> None:
    """Refuse a request that does not say who calls, before anything else of it is read."""
    claimed()


def get_own_job(context: CallerContext, job_id: str) -> Job:
    """Return a job of the caller's org. Raises JobNotFound, also for a job of another org."""
    if not keys.is_id(job_id):
        raise JobNotFound(
            "There is no such job in this org; a job id looks like 123e4567-e89b-12d3-a456-426614174000, and listJobs "
            "gives the ids of all jobs"
        )
    structlog.contextvars.bind_contextvars(job_id=job_id)
    return services().jobs.get(job_id, context.org_id)


def check_clause_in_org(context: CallerContext, clause: str) -> None:
    """Ask the org for the query plan of the clause, which reads no rows. What it accepts is not asked for a minute.

    Raises InvalidRequest with the org's own message if the org refuses the clause.
    """
    client = services().client
    key = _key("clause", context, services().settings, context.api_version, clause)
    if client.value(key) is not None:
        return
    try:
        with _asked(context) as org:
            org.explain(select_opportunities(clause))
        client.set(key, 1, ex=CLAUSE_KEPT_FOR)
    except OrgClosed as closed:
        if closed.code != NOT_SERVED:
            raise
        raise InvalidRequest.field("apiVersion", closed.message) from closed
    except OrgRefused as refusal:
        reason, meant = refusal.message.strip(), likely_meant(clause)
        if meant:
            reason = f"{reason} (Perhaps: {meant})"
        raise InvalidRequest(
            f"{FIELD}: the org refused it: {reason}",
            details=[{"field": FIELD, "message": reason, "code": refusal.code}],
        ) from refusal


def check_authorization(context: CallerContext, authorization: str | None) -> str:
    """Return the developer name of an AppLink authorization that gives a session of this org.

    ``authorization`` is that name; None means the app's default. Raises InvalidRequest if it gives no session of this
    org, OrgUnreachable.
    """
    name = authorization or services().settings.authorization
    if name is None:
        raise InvalidRequest.field(
            "authorization", "is missing; send the developer name of an AppLink authorization of this org"
        )
    try:
        with door.to("AppLink"):
            applink.session(name, context.org_id, services().settings, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT))
    except AuthorizationFailed as refusal:
        raise InvalidRequest.field("authorization", refusal.message) from refusal
    return name


def _proven(context: CallerContext, said: str) -> CallerContext:
    bearer, _, user_name = said.partition("\n")
    if bearer != _bearer(context.org_id, context.user_id):
        raise Unauthenticated("The access token does not belong to the org and user that x-client-context names")
    return replace(context, user_name=user_name or None)


def _ask_identity(context: CallerContext) -> str:
    """Return what the org says of the token: its org and user on one line, the user's name on the next."""
    try:
        with _asked(context) as org:
            identity = org.whoami()
    except OrgRefused as refusal:
        raise Unauthenticated(
            "The org does not say whose access token this is: check orgDomainUrl, and log in again. It said: "
            f"{refusal.message}"
        ) from refusal
    return f"{_bearer(identity.organization_id, identity.user_id)}\n{identity.name}"


@contextmanager
def _asked(context: CallerContext) -> Iterator[OrgClient]:
    """Let the block ask the org. Raises OrgSilent if the workers know that it does not answer, or too many ask it."""
    org, silent_for = org_of(context), g.get("silent_for", 0)
    if silent_for:
        raise OrgSilent(f"{org.address.host} does not answer; try again in {silent_for:.0f} s", silent_for)
    with door.to(org.address.host):
        yield org


def org_of(context: CallerContext) -> OrgClient:
    """Return the client of the caller's org. It waits for answers no longer than a caller does."""
    return OrgClient(
        OrgAddress.of(context), connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT, retry_for=RETRY_FOR
    )


def _bearer(org_id: str, user_id: str) -> str:
    return f"{contexts.to18(org_id)} {contexts.to18(user_id)}"


def _key(kind: str, context: CallerContext, settings: Settings, *more: str) -> str:
    """Return the key under which it is kept what an org has said of a token, and of ``more``."""
    secret = hashlib.sha256(b"quotejob: whose token\0" + settings.secret_keys[0].strip().encode()).digest()
    what = "\0".join((context.org_domain_url, context.access_token, *more)).encode()
    return f"quotejob:{kind}:{hmac.new(secret, what, hashlib.sha256).hexdigest()}"
