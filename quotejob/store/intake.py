"""Whether Redis can take new jobs: it has room for them, and it keeps what it accepts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import redis

from quotejob.errors import SettingsError, StoreUnavailable
from quotejob.settings import Settings
from quotejob.store.client import RedisClient
from quotejob.store.reasons import CLUSTER

LOOK_AGAIN = 1.0  # seconds that what Redis says of itself is used


class Intake:
    """The check before a job is accepted. Running jobs are not checked: they go on and free memory when they end."""

    def __init__(self, client: RedisClient, settings: Settings) -> None:
        self._redis = client
        self._settings = settings
        self._asked = float("-inf")
        self._reason: str | None = None

    def check(self) -> None:
        """Raise StoreUnavailable if Redis is nearly full, or could lose accepted jobs and the settings forbid that."""
        if time.monotonic() - self._asked > LOOK_AGAIN:
            self._reason = self._reason_against()
            self._asked = time.monotonic()
        if self._reason is not None:
            raise StoreUnavailable(self._reason)

    def _reason_against(self) -> str | None:
        known = _info(self._redis, "memory", "persistence")
        if known is None:
            return None
        memory, persistence = known
        limit = int(memory.get("maxmemory", 0))
        if limit and memory["used_memory"] * 100 > limit * self._settings.redis_full_at:
            return (
                f"Redis is nearly full, and {self._settings.redis_full_at} % is the limit for new jobs "
                "(QUOTEJOB_REDIS_FULL_AT). Try again when jobs have ended, or choose a larger plan"
            )
        if not self._settings.redis_may_forget and (found := losses(memory, persistence)):
            return f"{found[0]}. Until then no jobs are accepted, unless QUOTEJOB_REDIS_MAY_FORGET is 1"
        return None


def concerns(client: RedisClient) -> list[str]:
    """Return the server's settings that could lose jobs, as sentences that say what to set. Used at worker start.

    Raises SettingsError for a server in cluster mode, StoreUnavailable if none answers.
    """
    known = _info(client, "memory", "persistence", "cluster")
    if known is None:
        return ["Redis does not show its settings (INFO): they should be maxmemory-policy noeviction, appendonly yes"]
    memory, persistence, cluster = known
    if cluster.get("cluster_enabled"):
        raise SettingsError(CLUSTER)
    return losses(memory, persistence)


def free_memory(client: RedisClient) -> int | None:
    """Return the bytes that Redis has left for jobs. None: it has no limit, or does not say."""
    known = _info(client, "memory")
    limit = int(known[0].get("maxmemory", 0)) if known else 0
    return limit - int(known[0]["used_memory"]) if known and limit else None


def _info(client: RedisClient, *sections: str) -> list[Mapping[str, Any]] | None:
    """Return these sections of what Redis says of itself. None: the user may not ask."""
    try:
        return [client.info(section) for section in sections]
    except (redis.ResponseError, StoreUnavailable) as refused:
        if isinstance(refused.__cause__ or refused, redis.ConnectionError | redis.TimeoutError):
            raise
        return None


def losses(memory: Mapping[str, Any], persistence: Mapping[str, Any]) -> list[str]:
    """Return the same from what Redis says of its memory and its persistence."""
    found = []
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        found.append(f"Redis evicts keys when it is full (maxmemory-policy {policy}): set it to noeviction")
    if not persistence.get("aof_enabled"):
        found.append("Redis has no append-only file, so accepted jobs are lost when it ends: set appendonly to yes")
    return found
