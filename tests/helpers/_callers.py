"""Callers for the tests of jobs and schedules."""

from __future__ import annotations

import uuid

from quotejob.salesforce import API_VERSION
from quotejob.salesforce.caller import CallerContext, to18


def new_caller() -> CallerContext:
    """A caller of an org of its own, so that tests do not meet."""
    org = to18("00D" + uuid.uuid4().hex[:12])
    return CallerContext(
        request_id="r", org_id=org, org_domain_url="https://x.my.salesforce.com", api_version=API_VERSION, namespace="",
        access_token="00DRO0000000001!visible.only.here", user_id=to18("005RO0000000001"), username="u@x.org",
    )  # fmt: skip
