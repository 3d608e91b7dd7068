"""The HTTP connections to orgs: one pool for each process, one session for each org."""

from __future__ import annotations

import os
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from quotejob.salesforce.address import OrgAddress

HOSTS = 32  # orgs a process keeps connections to
CONNECTIONS = 32  # kept open to one org

_pools: dict[int, HTTPAdapter] = {}  # by process id: a connection shared with a forked child would mix up answers


def pool() -> HTTPAdapter:
    """Return this process's connection pool. It is made at first use and stays alive between calls, tasks and orgs."""
    process = os.getpid()
    if process not in _pools:  # no lock: a fork could copy it locked, and a pool made twice is only dropped
        _pools.setdefault(process, HTTPAdapter(pool_connections=HOSTS, pool_maxsize=CONNECTIONS))
    return _pools[process]


class Wire(requests.Session):
    """The session simple-salesforce sends everything through; what it forgets is added here, for every call.

    It has timeouts, counts its calls, asks for gzip, follows no redirect (the token would go along), keeps no cookies.
    simple-salesforce writes ``https://`` into every address it makes and has no setting for it; an org on this machine
    speaks http, so the scheme is put right in this one place.
    """

    def __init__(self, address: OrgAddress, timeout: tuple[float, float]) -> None:
        super().__init__()
        self.calls = 0  # HTTP requests tried
        self._scheme = address.scheme
        self._timeout = timeout  # seconds: to connect, between two bytes of an answer
        self.headers.update({"Accept-Encoding": "gzip", "User-Agent": "quotejob"})
        self.trust_env = not address.is_loopback  # no proxy on the way to this machine
        self.auth = _keep_header  # else requests prefers an entry of ~/.netrc to our token
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        self.calls += 1
        kwargs["headers"] = {name: value for name, value in kwargs["headers"].items() if name != "X-PrettyPrint"}
        kwargs["timeout"] = self._timeout
        kwargs["allow_redirects"] = False
        return super().request(method, f"{self._scheme}:{str(url).partition(':')[2]}", *args, **kwargs)

    def get_adapter(self, url: str | bytes) -> BaseAdapter:  # noqa: ARG002
        return pool()


def _keep_header(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
