"""The Redis client: one for each process, made at first use, with explicit retries and timeouts.

By default redis-py's ``from_url`` does not retry and has no timeout. Here a command is retried for some seconds while
Redis restarts. Then :class:`~quotejob.errors.StoreUnavailable` is raised.
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
    """Return the process's client for ``settings.redis_url``. With ``patient`` it retries for more than a minute.

    The web process is not patient: a caller waits for its answer, a few seconds at most. Workers are patient, so that
    the last write of a page or a batch succeeds after a restart of Redis. The cache key has the pid, so a forked worker
    process never shares a socket with its parent process.
    """
    key = (os.getpid(), settings.redis_url, patient)
    if key not in _clients:
        attempts, timeout, most = (30, 10.0, 1) if patient else (1, 2.0, 2)
        _clients[key] = client(settings.redis_url, attempts=attempts, timeout=timeout, connections=most)
    return _clients[key]


def client(url: str, *, attempts: int, timeout: float = 10, connections: int = 4) -> redis.Redis:
    """Return a client with ``timeout`` seconds for each command and ``attempts`` retries with backoff (4 s at most)."""
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=connections,  # the smallest hosted Redis allows 20; a thread waits for a free one
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
    """Return the TLS options for rediss://, by QUOTEJOB_REDIS_CA. Unverified only if it says so. {} for redis://."""
    if not url.startswith("rediss:"):
        return {}
    authority = redis_ca()
    if authority == "unverified":
        return {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
    if authority:  # a pinned certificate usually does not have the host's name
        return {"ssl_cert_reqs": "required", "ssl_ca_certs": authority, "ssl_check_hostname": False}
    return {"ssl_cert_reqs": "required"}


def concerns(client: redis.Redis) -> list[str]:
    """Return the server's settings that could lose jobs, as sentences that say what to set. Used at worker start."""
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
    """Return the time of Redis's clock, which all processes share: aware, UTC. Raises StoreUnavailable."""
    with translated():
        seconds, microseconds = client.time()
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)


@contextmanager
def translated() -> Iterator[None]:
    """Turn redis-py's errors into StoreUnavailable: Redis does not answer or is full, and nothing was accepted."""
    try:
        yield
    except redis.exceptions.OutOfMemoryError as cause:
        raise StoreUnavailable("Redis is full; free memory or choose a larger plan, then try again") from cause
    except (redis.ConnectionError, redis.TimeoutError) as cause:
        if "CERTIFICATE_VERIFY_FAILED" in str(cause):
            reason = "The certificate of Redis cannot be verified: set QUOTEJOB_REDIS_CA to its file, or to unverified"
            raise StoreUnavailable(reason) from cause
        raise StoreUnavailable("Redis does not answer; try again shortly") from cause
