"""The HTTP connections to orgs: one pool for each process, one session for each org."""

from __future__ import annotations

import os
import re
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from quotejob import clock, tally
from quotejob.salesforce.address import OrgAddress

MAX_HOSTS = 32  # orgs that a process keeps connections to
MAX_CONNECTIONS_PER_HOST = 32  # that are kept open

_RESOURCE = re.compile(
    r"^/services/data/v[0-9.]+/(query|limits|sobjects|composite/graph|composite|jobs/ingest|jobs/query)(?:/|$)"
    r"|^/services/oauth2/(userinfo)$"
)
_API_USAGE = re.compile(r"\bapi-usage=([0-9]+)/([0-9]+)")
_OUTCOMES = {4: "refused", 5: "failed"}  # by the first digit of the status

_pools: dict[int, HTTPAdapter] = {}  # by process id: a connection shared with a forked child would mix up answers


def pool() -> HTTPAdapter:
    """Return this process's connection pool. It is made at first use and stays alive between calls, tasks and orgs."""
    process = os.getpid()
    if process not in _pools:  # no lock: a fork could copy it locked, and a pool made twice is only dropped
        _pools.setdefault(process, HTTPAdapter(pool_connections=MAX_HOSTS, pool_maxsize=MAX_CONNECTIONS_PER_HOST))
    return _pools[process]


class Wire(requests.Session):
    """The session that simple-salesforce sends everything through. It adds to each call what that library leaves out.

    It has timeouts, counts its calls, asks for gzip, follows no redirect (that would send the token) and keeps no
    cookies. simple-salesforce always makes ``https://`` addresses and has no setting for that. An org on this machine
    uses http, so the scheme is corrected here.
    """

    def __init__(self, address: OrgAddress, timeout: tuple[float, float]) -> None:
        super().__init__()
        self.calls = 0  # HTTP requests tried
        self._scheme, self._host = address.scheme, address.host
        self._timeout = timeout  # seconds: to connect, and between two bytes of an answer
        self.headers.update({"Accept-Encoding": "gzip", "User-Agent": "quotejob"})
        self.trust_env = not address.is_loopback  # no proxy on the way to this machine
        self.auth = _keep_header  # else requests prefers an entry of ~/.netrc to our token
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request, with the scheme of the org's address."""
        self.calls += 1
        kwargs["headers"] = {name: value for name, value in kwargs["headers"].items() if name != "X-PrettyPrint"}
        kwargs["timeout"] = self._timeout
        kwargs["allow_redirects"] = False
        resource = _resource(str(url))
        try:
            answer = super().request(method, f"{self._scheme}:{str(url).partition(':')[2]}", *args, **kwargs)
        except requests.RequestException:
            tally.count("org_requests", resource, "no_answer")
            raise
        tally.count("org_requests", resource, _OUTCOMES.get(answer.status_code // 100, "ok"))
        if usage := _API_USAGE.search(answer.headers.get("Sforce-Limit-Info", "")):
            tally.note(self._host, f"{usage[1]} {usage[2]} {clock.ms(clock.now())}")
        return answer

    def get_adapter(self, url: str | bytes) -> BaseAdapter:  # noqa: ARG002
        """Return the connections of the process."""
        return pool()


def _resource(url: str) -> str:
    """Return which resource of the platform an address is of, without ids and names: one word for the metrics."""
    found = _RESOURCE.search(urlsplit(url).path)
    return next(filter(None, found.groups()), "other") if found else "other"


def _keep_header(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
