"""The Redis client: one for each process, made at first use, with explicit retries and timeouts.

By default redis-py's ``from_url`` does not retry and has no timeout. Here a command is retried for some seconds while
Redis restarts. Then :class:`~quotejob.errors.StoreUnavailable` is raised. A worker also waits while Redis is full.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from quotejob.errors import StoreUnavailable
from quotejob.settings import Settings, redis_ca, redis_certificate
from quotejob.store.reasons import reason

# Parts of the errors that mean: reads work, and no write is accepted. Redis 6.2, Redis 7 and Valkey all have them in
# what they say, whether a command, a transaction or a script meets such an error.
_NO_WRITES = ("when used memory > 'maxmemory'", "MISCONF", "You can't write against a read only", "NOREPLICAS")
PAUSE = 0.5  # seconds between two tries while Redis accepts no writes
LONGEST_WAIT = 60.0  # seconds that a worker tries
T = TypeVar("T")
_clients: dict[tuple[int, str, bool], RedisClient] = {}


class RedisClient(redis.Redis):
    """A client that raises StoreUnavailable instead of redis-py's errors, and that answers with types.

    redis-py's own methods serve for writes. For reads use the methods below: redis-py does not say whether an answer is
    bytes or text.
    """

    patience = 0.0  # seconds that a write waits while Redis accepts none

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command and return its answer. Every command that is not in a pipeline comes through here."""
        send = super().execute_command
        with _translated():
            return wait_for_room(self.patience, lambda: send(*args, **options))  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> RedisPipeline:
        """Return an empty pipeline. Its commands are sent together by ``execute``."""
        made = RedisPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        made.patience = self.patience
        return made

    def client(self) -> RedisClient:
        """Return a client with one connection of its own, which is open."""
        with _translated():
            return RedisClient(connection_pool=self.connection_pool, single_connection_client=True)

    def value(self, key: str) -> bytes | None:
        """Return a plain value. None: there is no such key."""
        return cast(bytes | None, self.get(key))

    def hash(self, key: str) -> dict[bytes, bytes]:
        """Return all fields of a hash. Empty: there is no such key."""
        return cast(dict[bytes, bytes], self.hgetall(key))

    def hashes(self, keys: Iterable[str]) -> list[dict[bytes, bytes]]:
        """Return all fields of each hash, in one round trip."""
        pipe = self.pipeline(transaction=False)
        for key in keys:
            pipe.hgetall(key)
        return pipe.execute()

    def field(self, key: str, name: str) -> bytes | None:
        """Return one field of a hash. None: there is no such field."""
        return cast(bytes | None, self.hget(key, name))

    def fields(self, key: str, names: Sequence[str]) -> list[bytes | None]:
        """Return some fields of a hash, in the order of their names."""
        return cast(list[bytes | None], self.hmget(key, list(names)))

    def field_of_each(self, keys: Iterable[str], name: str) -> list[bytes | None]:
        """Return the same field of each hash, in one round trip."""
        pipe = self.pipeline(transaction=False)
        for key in keys:
            pipe.hget(key, name)
        return pipe.execute()

    def field_names(self, key: str) -> list[str]:
        """Return the names of a hash's fields, in no order."""
        return [name.decode() for name in cast(list[bytes], self.hkeys(key))]

    def members(self, key: str) -> set[str]:
        """Return the members of a set."""
        return {member.decode() for member in cast(set[bytes], self.smembers(key))}

    def ranked(self, key: str) -> list[str]:
        """Return the members of a sorted set, the lowest score first."""
        return [member.decode() for member in cast(list[bytes], self.zrange(key, 0, -1))]

    def scored(
        self, key: str, low: float | str, high: float | str, count: int, *, descending: bool = False
    ) -> list[tuple[str, float]]:
        """Return the first ``count`` members of a sorted set with a score from ``low`` to ``high``, with their scores.

        "-inf" and "+inf" set no limit. "(5" excludes 5 itself.
        """
        if descending:
            found = self.zrevrangebyscore(key, high, low, 0, count, withscores=True)
        else:
            found = self.zrangebyscore(key, low, high, 0, count, withscores=True)
        return [(member.decode(), score) for member, score in cast(list[tuple[bytes, float]], found)]

    def items(self, key: str) -> list[bytes]:
        """Return the items of a list, in order."""
        return cast(list[bytes], self.lrange(key, 0, -1))

    def lists(self, keys: Iterable[str]) -> list[list[bytes]]:
        """Return the items of each list, in one round trip."""
        pipe = self.pipeline(transaction=False)
        for key in keys:
            pipe.lrange(key, 0, -1)
        return pipe.execute()


class PatientPipeline(redis.client.Pipeline):
    """A pipeline that waits while Redis accepts no writes. Then all of its commands are sent again."""

    patience = 0.0

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the commands in one round trip and return their answers in order."""
        commands, send = list(self.command_stack), super().execute

        def again() -> list[Any]:
            self.command_stack = list(commands)
            return send(raise_on_error)

        return wait_for_room(self.patience, again)


class RedisPipeline(PatientPipeline):
    """A pipeline that raises StoreUnavailable instead of redis-py's errors."""

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the commands in one round trip and return their answers in order."""
        with _translated():
            return super().execute(raise_on_error)


def accepts_no_writes(error: Exception) -> bool:
    """Return whether an error of redis-py means that Redis is full or for another reason accepts no writes now."""
    return isinstance(error, redis.ResponseError) and any(words in str(error) for words in _NO_WRITES)


def wait_for_room(patience: float, command: Callable[[], T]) -> T:
    """Return what the command returns. While Redis accepts no writes, run it again, for ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return command()
        except redis.ResponseError as refusal:
            if not accepts_no_writes(refusal) or time.monotonic() + PAUSE > deadline:
                raise
        time.sleep(PAUSE)


def connect(settings: Settings, *, patient: bool = False) -> RedisClient:
    """Return the process's client for ``settings.redis_url``. With ``patient`` it retries for more than a minute.

    The web process is not patient: a caller waits for its answer, a few seconds at most. Workers are patient, so that
    the last write of a page or a batch succeeds after a restart of Redis. The cache key has the pid, so a forked worker
    process never shares a socket with its parent process.
    """
    key = (os.getpid(), settings.redis_url, patient)
    if key not in _clients:
        attempts, timeout, most = (30, 10.0, 3) if patient else (1, 2.0, 2)
        made = client(settings.redis_url, attempts=attempts, timeout=timeout, connections=most)
        made.patience = LONGEST_WAIT if patient else 0.0
        _clients.setdefault(key, made)  # of two threads that make one, the second gets that of the first
    return _clients[key]


def client(url: str, *, attempts: int, timeout: float = 10, connections: int = 4) -> RedisClient:
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
        # After a failover the old address may lead to a replica for a while, and a new connection to the primary.
        retry_on_error=[redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError, redis.ReadOnlyError],
        **tls(url),
    )
    return RedisClient(connection_pool=pool)


def tls(url: str) -> dict[str, Any]:
    """Return the TLS options for rediss://, by QUOTEJOB_REDIS_CA and _CERTIFICATE. {} for redis://.

    The server is unverified only if QUOTEJOB_REDIS_CA says so.
    """
    if not url.startswith("rediss:"):
        return {}
    authority, certificate = redis_ca(), redis_certificate()
    ours = {"ssl_certfile": certificate, "ssl_keyfile": certificate} if certificate else {}
    if authority == "unverified":
        return {"ssl_cert_reqs": "none", "ssl_check_hostname": False, **ours}
    if authority:  # a pinned certificate usually does not have the host's name
        return {"ssl_cert_reqs": "required", "ssl_ca_certs": authority, "ssl_check_hostname": False, **ours}
    return {"ssl_cert_reqs": "required", **ours}


def server_time(client: RedisClient) -> datetime:
    """Return the time of Redis's clock, which all processes share: aware, UTC. Raises StoreUnavailable."""
    seconds, microseconds = client.time()
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn redis-py's errors into StoreUnavailable, with the reason, if Redis does not serve. Nothing was accepted."""
    try:
        yield
    except redis.RedisError as cause:
        sentence = reason(cause)
        if sentence is None:
            raise
        raise StoreUnavailable(sentence) from cause
