"""/metrics, for Prometheus. Open to this machine itself; to others with the token of QUOTEJOB_METRICS_TOKEN."""

from __future__ import annotations

import hmac

from flask import Blueprint, Response, request

from api import caller, errors
from quotejob.metrics import families, reading
from quotejob.settings import Settings

blueprint = Blueprint("metrics", __name__)


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
    return caller.is_on_this_machine()
