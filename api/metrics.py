"""/metrics, for Prometheus. Open to this machine itself; to others with the token of QUOTEJOB_METRICS_TOKEN."""

from __future__ import annotations

import hmac
import ipaddress

from flask import Blueprint, Response, request

from api import caller, errors
from quotejob.metrics import families, reading
from quotejob.settings import Settings

blueprint = Blueprint("metrics", __name__)
_PASSED_ON = ("Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via")  # headers of a proxy: somebody else asks


@blueprint.get("/metrics")
def metrics() -> Response:
    """Return all metrics. They are read from Redis, so they are the same from every web process."""
    services = caller.services()
    if not _may_read(services.settings):
        return errors.answer(
            403,
            "METRICS_CLOSED",
            "Metrics are open to this machine only; from another one send Authorization: Bearer with the token of "
            "QUOTEJOB_METRICS_TOKEN",
        )
    found = reading.read(services.client)
    text = families.exposition(found, orgs=services.settings.metrics_orgs)
    return Response(text, content_type=families.CONTENT_TYPE)


def _may_read(settings: Settings) -> bool:
    if settings.metrics_token is not None:
        expected = f"Bearer {settings.metrics_token}".encode()
        if hmac.compare_digest(request.headers.get("Authorization", "").encode(), expected):
            return True
    direct = not settings.behind_proxy and not any(name in request.headers for name in _PASSED_ON)
    return direct and ipaddress.ip_address(request.remote_addr or "0.0.0.0").is_loopback  # noqa: S104 (no address)
