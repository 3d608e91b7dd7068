"""What an org says about a caller: whose token it is, and whether a clause or an authorization is good.

Nothing is sent to an org before its address is allowed (:func:`quotejob.salesforce.caller.check_org`).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from typing import Any

import orjson

from quotejob import audit
from quotejob.asking.door import door
from quotejob.errors import (
    AuthorizationFailed,
    InvalidRequest,
    OrgClosed,
    OrgRefused,
    OrgSilent,
    StoreUnavailable,
    Unauthenticated,
)
from quotejob.run.silence import with_silence
from quotejob.salesforce import Identity, OrgAddress, OrgClient, applink
from quotejob.salesforce.address import API_VERSION
from quotejob.salesforce.caller import CallerContext, check_org, to18
from quotejob.salesforce.clause import FIELD, likely_meant, select_opportunities
from quotejob.salesforce.org import NOT_SERVED
from quotejob.services import Services
from quotejob.settings import Settings

IDENTITY_KEPT_FOR = 300  # seconds
CLAUSE_KEPT_FOR = 60  # seconds that a clause counts as accepted
# The caller waits, so these are short. An org that does not answer in time is unreachable.
CONNECT_TIMEOUT, READ_TIMEOUT, RETRY_FOR = 3.0, 10.0, 2.0  # seconds


def prove(context: CallerContext, services: Services) -> CallerContext:
    """Return the context with the user's name, once the org has said that the token is of this user of this org.

    The org's answer is kept for five minutes, under a keyed hash of host and token. What this request does from here on
    is the user's, for the audit.
    Raises Unauthenticated, SessionExpired, OrgUnreachable.
    """
    (kept,), silent_for = with_silence(services.client, context.org_id, _proof_key(context, services))
    return _prove(context, services, kept, silent_for)


def prove_with_clause(context: CallerContext, clause: str, services: Services) -> CallerContext:
    """Do as prove(), then as check_clause_in_org(). What the org has said of both is read in one round trip."""
    kept_for = _proof_key(context, services), _clause_key(context, clause, services)
    (said, accepted), silent_for = with_silence(services.client, context.org_id, *kept_for)
    proven = _prove(context, services, said, silent_for)
    _check_clause(proven, clause, services, accepted, silent_for)
    return proven


def identify(url: str, token: str, services: Services) -> tuple[CallerContext, frozenset[str]]:
    """Return whose token this is, as its org says, and the custom permissions of that user that the token may see.

    For callers who bring nothing but a token and the address of its org. The answer is kept as that of prove().
    Raises OrgNotAllowed, Unauthenticated, SessionExpired, OrgUnreachable.
    """
    check_org(url, services.settings)
    unknown = CallerContext(
        request_id="", org_id="", org_domain_url=url.rstrip("/"), api_version=API_VERSION, namespace="",
        access_token=token, user_id="", username="",
    )  # fmt: skip
    key = _key("whose", unknown, services.settings)
    with suppress(StoreUnavailable):  # the org can be asked without Redis
        if kept := services.client.value(key):
            return _identified(unknown, orjson.loads(kept))
    said = asdict(_whoami(unknown))
    said["permissions"] = sorted(said["permissions"])
    with suppress(StoreUnavailable):
        services.client.set(key, orjson.dumps(said), ex=IDENTITY_KEPT_FOR)
    return _identified(unknown, said)


def _identified(unknown: CallerContext, said: dict[str, Any]) -> tuple[CallerContext, frozenset[str]]:
    found = replace(
        unknown,
        org_id=to18(said["organization_id"]),
        user_id=to18(said["user_id"]),
        username=said["username"],
        user_name=said["name"],
    )
    return found, frozenset(said["permissions"])


def prove_by_org(context: CallerContext) -> CallerContext:
    """Return the context as prove() does, by asking the org: it works without Redis."""
    return _proven(context, _ask_identity(context))


def check_clause_in_org(context: CallerContext, clause: str, services: Services) -> None:
    """Ask the org for the query plan of the clause, which reads no rows. What it accepts is not asked for a minute.

    Raises InvalidRequest with the org's own message if the org refuses the clause.
    """
    (accepted,), silent_for = with_silence(services.client, context.org_id, _clause_key(context, clause, services))
    _check_clause(context, clause, services, accepted, silent_for)


@contextmanager
def judging(
    context: CallerContext, clause: str, services: Services, silent_for: float, *, keep: bool = True
) -> Iterator[OrgClient]:
    """Let the block send the clause to the org. If the org takes it, it is not asked about it for a minute.

    Without ``keep`` it is: what an org says of a clause holds for one object. Raises InvalidRequest with the org's own
    message if the org refuses the clause.
    """
    try:
        with asked(context, silent_for) as org:
            yield org
        if keep:
            services.client.set(_clause_key(context, clause, services), 1, ex=CLAUSE_KEPT_FOR)
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


def _prove(context: CallerContext, services: Services, kept: bytes | None, silent_for: float) -> CallerContext:
    said = kept.decode() if kept else _ask_identity(context, silent_for)
    proven = _proven(context, said)
    if kept is None:
        services.client.set(_proof_key(context, services), said, ex=IDENTITY_KEPT_FOR)
    audit.acts(proven.user_id, proven.user_name)
    return proven


def _check_clause(
    context: CallerContext, clause: str, services: Services, accepted: bytes | None, silent_for: float
) -> None:
    if accepted is None:
        with judging(context, clause, services, silent_for) as org:
            org.explain(select_opportunities(clause))


def _proof_key(context: CallerContext, services: Services) -> str:
    return _key("proof", context, services.settings)


def _clause_key(context: CallerContext, clause: str, services: Services) -> str:
    return _key("clause", context, services.settings, context.api_version, clause)


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
        with door.to("AppLink"):
            applink.session(name, context.org_id, settings, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT))
    except AuthorizationFailed as refusal:
        raise InvalidRequest.field("authorization", refusal.message) from refusal
    return name


@contextmanager
def asked(context: CallerContext, silent_for: float = 0) -> Iterator[OrgClient]:
    """Let the block ask the org. Raises OrgSilent if the workers know that it does not answer, or too many ask it."""
    org = org_of(context)
    if silent_for:
        raise OrgSilent(f"{org.address.host} does not answer; try again in {silent_for:.0f} s", silent_for)
    with door.to(org.address.host):
        yield org


def org_of(context: CallerContext) -> OrgClient:
    """Return a client of the caller's org that gives up soon. Raises OrgNotAllowed, SessionExpired."""
    return OrgClient(
        OrgAddress.of(context), connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT, retry_for=RETRY_FOR
    )


def _proven(context: CallerContext, said: str) -> CallerContext:
    bearer, _, user_name = said.partition("\n")
    if bearer != _bearer(context.org_id, context.user_id):
        raise Unauthenticated("The access token does not belong to the org and user that x-client-context names")
    return replace(context, user_name=user_name or None)


def _ask_identity(context: CallerContext, silent_for: float = 0) -> str:
    """Return what the org says of the token: its org and user on one line, the user's name on the next."""
    identity = _whoami(context, silent_for)
    return f"{_bearer(identity.organization_id, identity.user_id)}\n{identity.name}"


def _whoami(context: CallerContext, silent_for: float = 0) -> Identity:
    try:
        with asked(context, silent_for) as org:
            return org.whoami()
    except OrgRefused as refusal:
        raise Unauthenticated(
            "The org does not say whose access token this is: check orgDomainUrl, and log in again. It said: "
            f"{refusal.message}"
        ) from refusal


def _bearer(org_id: str, user_id: str) -> str:
    return f"{to18(org_id)} {to18(user_id)}"


def _key(kind: str, context: CallerContext, settings: Settings, *more: str) -> str:
    """Return the key under which it is kept what an org has said of a token, and of ``more``."""
    secret = hashlib.sha256(b"quotejob: whose token\0" + settings.secret_keys[0].strip().encode()).digest()
    what = "\0".join((context.org_domain_url, context.access_token, *more)).encode()
    return f"quotejob:{kind}:{hmac.new(secret, what, hashlib.sha256).hexdigest()}"
