"""The HTTP requests to one org, with what simple-salesforce leaves out of them."""

from __future__ import annotations

import re
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests

from quotejob import tally, tracing
from quotejob.salesforce.address import OrgAddress
from quotejob.salesforce.guard import MAX_ANSWER, GuardedSession
from quotejob.store import usage

_RESOURCE = re.compile(
    r"^/services/data/v[0-9.]+/(query|limits|sobjects|composite/graph|composite|jobs/ingest|jobs/query)(?:/|$)"
    r"|^/services/oauth2/(userinfo)$"
)
_API_USAGE = re.compile(r"\bapi-usage=([0-9]+)/([0-9]+)")
_OUTCOMES = {4: "refused", 5: "failed"}  # by the first digit of the status


class Wire(GuardedSession):
    """The session that simple-salesforce sends everything through. It adds to each call what that library leaves out.

    It counts its calls, asks for gzip, follows no redirect (that would send the token) and keeps no cookies.
    simple-salesforce always makes ``https://`` addresses and has no setting for that. An org on this machine uses http,
    so the scheme is corrected here. ``timeout`` has the seconds to connect, and for the whole call.
    """

    def __init__(self, address: OrgAddress, timeout: tuple[float, float], max_answer: int = MAX_ANSWER) -> None:
        super().__init__(timeout, max_answer)
        self.calls = 0  # HTTP requests tried
        self.usage: tuple[int, int] | None = None  # API calls of the org's day: used, and allowed; None: not said yet
        self.date = ""  # when the org answered last, as it says
        self._scheme, self._host = address.scheme, address.host
        self.headers.update({"Accept-Encoding": "gzip", "User-Agent": "quotejob"})
        self.trust_env = not address.is_loopback  # no proxy on the way to this machine
        self.auth = keep_header
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request, with the scheme of the org's address."""
        self.calls += 1
        kwargs["headers"] = {name: value for name, value in kwargs["headers"].items() if name != "X-PrettyPrint"}
        resource = _resource(str(url))
        about = {"http.request.method": str(method), "server.address": self._host}
        try:
            with tracing.span(f"{method!s} {resource}", "client", about=about) as call:
                answer = super().request(method, f"{self._scheme}:{str(url).partition(':')[2]}", *args, **kwargs)
                call.set_attribute("http.response.status_code", answer.status_code)
        except requests.RequestException:
            tally.count("org_requests", resource, "no_answer")
            raise
        tally.count("org_requests", resource, _OUTCOMES.get(answer.status_code // 100, "ok"))
        self.date = answer.headers.get("Date", "")
        if said := _API_USAGE.search(answer.headers.get("Sforce-Limit-Info", "")):
            self.usage = int(said[1]), int(said[2])
            tally.note(self._host, usage.as_text(*self.usage))
        return answer


def _resource(url: str) -> str:
    """Return which resource of the platform an address is of, without ids and names: one word for the metrics."""
    found = _RESOURCE.search(urlsplit(url).path)
    return next(filter(None, found.groups()), "other") if found else "other"


def keep_header(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave the Authorization header as it is: requests prefers an entry of ~/.netrc, unless a session has an auth."""
    return request
