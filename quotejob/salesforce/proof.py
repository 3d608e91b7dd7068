"""What an org says about a caller while the caller waits: whose token it is, and whether a clause or a session is good.

Nothing is sent to an org before its address is allowed (:func:`quotejob.salesforce.caller.check_org`).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

from quotejob.errors import AuthorizationFailed, InvalidRequest, OrgRefused, Unauthenticated
from quotejob.salesforce import applink
from quotejob.salesforce.address import OrgAddress
from quotejob.salesforce.caller import CallerContext, to18
from quotejob.salesforce.clause import FIELD, likely_meant, select_opportunities
from quotejob.salesforce.org import OrgClient
from quotejob.settings import Settings
from quotejob.store.client import RedisClient

IDENTITY_KEPT_FOR = 300  # seconds
# The caller waits, so these are short. An org that does not answer in time is unreachable.
CONNECT_TIMEOUT, READ_TIMEOUT, RETRY_FOR = 3.0, 10.0, 2.0  # seconds


def prove(context: CallerContext, client: RedisClient, settings: Settings) -> CallerContext:
    """Return the context with the user's name, once the org has said that the token is of this user of this org.

    The org's answer is kept for five minutes, under a keyed hash of host and token.
    Raises Unauthenticated, SessionExpired, OrgUnreachable.
    """
    key = _identity_key(context, settings)
    kept = client.value(key)
    said = kept.decode() if kept else _ask_identity(context)
    bearer, _, user_name = said.partition("\n")
    if bearer != _bearer(context.org_id, context.user_id):
        raise Unauthenticated("The access token does not belong to the org and user that x-client-context names")
    if kept is None:
        client.set(key, said, ex=IDENTITY_KEPT_FOR)
    return replace(context, user_name=user_name or None)


def check_clause_in_org(context: CallerContext, clause: str) -> None:
    """Ask the org for the query plan of the clause, which reads no rows.

    Raises InvalidRequest with the org's own message if the org refuses the clause.
    """
    try:
        org(context).explain(select_opportunities(clause))
    except OrgRefused as refusal:
        reason, meant = refusal.message.strip(), likely_meant(clause)
        if meant:
            reason = f"{reason} (Perhaps: {meant})"
        raise InvalidRequest(
            f"{FIELD}: the org refused it: {reason}",
            details=[{"field": FIELD, "message": reason, "code": refusal.code}],
        ) from refusal


def check_authorization(context: CallerContext, authorization: str | None, settings: Settings) -> str:
    """Return the developer name of an AppLink authorization that gives a session of this org.

    ``authorization`` is that name; None means the app's default. Raises InvalidRequest if it gives no session of this
    org, OrgUnreachable.
    """
    name = authorization or settings.authorization
    if name is None:
        raise InvalidRequest.field(
            "authorization", "is missing; send the developer name of an AppLink authorization of this org"
        )
    try:
        applink.session(name, context.org_id, settings, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT))
    except AuthorizationFailed as refusal:
        raise InvalidRequest.field("authorization", refusal.message) from refusal
    return name


def org(context: CallerContext) -> OrgClient:
    """Return a client of the caller's org that gives up soon. Raises OrgNotAllowed, SessionExpired."""
    return OrgClient(
        OrgAddress.of(context), connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT, retry_for=RETRY_FOR
    )


def _ask_identity(context: CallerContext) -> str:
    """Return what the org says of the token: its org and user on one line, the user's name on the next."""
    try:
        identity = org(context).whoami()
    except OrgRefused as refusal:
        raise Unauthenticated("The org does not accept the access token; log in again") from refusal
    return f"{_bearer(identity.organization_id, identity.user_id)}\n{identity.name}"


def _bearer(org_id: str, user_id: str) -> str:
    return f"{to18(org_id)} {to18(user_id)}"


def _identity_key(context: CallerContext, settings: Settings) -> str:
    secret = hashlib.sha256(b"quotejob: whose token\0" + settings.secret_keys[0].strip().encode()).digest()
    what = f"{context.org_domain_url}\0{context.access_token}".encode()
    return f"quotejob:proof:{hmac.new(secret, what, hashlib.sha256).hexdigest()}"
