"""The HTTP connections to orgs: one pool for each process, one session for each org."""

from __future__ import annotations

import os
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from quotejob.salesforce.address import OrgAddress

MAX_HOSTS = 32  # orgs that a process keeps connections to
MAX_CONNECTIONS_PER_HOST = 32  # that are kept open

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
        self._scheme = address.scheme
        self._timeout = timeout  # seconds: to connect, and between two bytes of an answer
        self.headers.update({"Accept-Encoding": "gzip", "User-Agent": "quotejob"})
        self.trust_env = not address.is_loopback  # no proxy on the way to this machine
        self.auth = keep_header
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request, with the scheme of the org's address."""
        self.calls += 1
        kwargs["headers"] = {name: value for name, value in kwargs["headers"].items() if name != "X-PrettyPrint"}
        kwargs["timeout"] = self._timeout
        kwargs["allow_redirects"] = False
        return super().request(method, f"{self._scheme}:{str(url).partition(':')[2]}", *args, **kwargs)

    def get_adapter(self, url: str | bytes) -> BaseAdapter:  # noqa: ARG002
        """Return the connections of the process."""
        return pool()


def keep_header(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave the Authorization header as it is: requests prefers an entry of ~/.netrc, unless a session has an auth."""
    return request
