"""The one way to Redis: one client a process, made at first use, with explicit retries and timeouts.

redis-py's ``from_url`` retries nothing by default and waits without limit for nobody in particular; here a command is
retried for some seconds while Redis restarts, and then :class:`~quotejob.errors.StoreUnavailable` is raised.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from quotejob.errors import StoreUnavailable
from quotejob.settings import Settings, redis_ca

_clients: dict[tuple[int, str, bool], redis.Redis] = {}


def connect(settings: Settings, *, patient: bool = False) -> redis.Redis:
    """The process's client for ``settings.redis_url``; ``patient`` waits over a minute for a Redis that went away.

    The web process is not patient (a caller waits for its answer, a few seconds at most); workers are: their last
    write of a page or a batch is the gate that lets a Redis restart pass. The pid is in the key, so a forked worker
    child never shares a socket with its parent.
    """
    key = (os.getpid(), settings.redis_url, patient)
    if key not in _clients:
        attempts, timeout, most = (30, 10.0, 1) if patient else (1, 2.0, 2)
        _clients[key] = client(settings.redis_url, attempts=attempts, timeout=timeout, connections=most)
    return _clients[key]


def client(url: str, *, attempts: int, timeout: float = 10, connections: int = 4) -> redis.Redis:
    """A client with ``timeout`` seconds for every command and ``attempts`` retries with backoff (4 s at most)."""
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=connections,  # the smallest hosted Redis allows 20 in all; a thread that finds none free waits
        timeout=60,
        decode_responses=False,
        socket_timeout=timeout,
        socket_connect_timeout=min(timeout, 5),
        socket_keepalive=True,
        health_check_interval=25,
        retry=Retry(ExponentialWithJitterBackoff(base=0.1, cap=4), attempts),
        retry_on_error=[redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError],
        **tls(url),
    )
    return redis.Redis(connection_pool=pool)


def tls(url: str) -> dict[str, Any]:
    """How a rediss:// server is verified, by QUOTEJOB_REDIS_CA; {} for redis://. Unverified only when that says so."""
    if not url.startswith("rediss:"):
        return {}
    authority = redis_ca()
    if authority == "unverified":
        return {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
    if authority:  # a pinned certificate, usually without the host's name in it
        return {"ssl_cert_reqs": "required", "ssl_ca_certs": authority, "ssl_check_hostname": False}
    return {"ssl_cert_reqs": "required"}


def concerns(client: redis.Redis) -> list[str]:
    """What about this server could lose jobs, each a sentence that says what to set; asked when a worker starts."""
    with translated():
        memory = client.info("memory")
        persistence = client.info("persistence")
    found = []
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        found.append(f"Redis evicts keys when it is full (maxmemory-policy {policy}): set it to noeviction")
    if not persistence.get("aof_enabled"):
        found.append("Redis has no append-only file: jobs accepted since its last snapshot are lost when it ends")
    return found


def server_time(client: redis.Redis) -> datetime:
    """Return the time by the clock of Redis, which all processes share: aware, UTC. Raises StoreUnavailable."""
    with translated():
        seconds, microseconds = client.time()
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)


@contextmanager
def translated() -> Iterator[None]:
    """Turn redis-py's errors into ours: the store is away, or full, and nothing was accepted."""
    try:
        yield
    except redis.exceptions.OutOfMemoryError as cause:
        raise StoreUnavailable("Redis is full; free memory or choose a larger plan, then try again") from cause
    except (redis.ConnectionError, redis.TimeoutError) as cause:
        if "CERTIFICATE_VERIFY_FAILED" in str(cause):
            reason = "Redis shows a certificate nobody vouches for: set QUOTEJOB_REDIS_CA to it, or to unverified"
            raise StoreUnavailable(reason) from cause
        raise StoreUnavailable("Redis does not answer; try again shortly") from cause
