"""Why Redis does not serve, in words for the person who runs quotejob: the cause, and what to do.

What redis-py and Redis say is matched by its words, because redis-py has one class for very different causes. No
sentence has the address in it: that may hold a password.
"""

from __future__ import annotations

import redis

AWAY = (
    "Redis does not answer; try again shortly. If it stays so, check host and port in REDIS_URL, and whether it has to "
    "begin with redis:// or rediss://"
)
_NO_TLS = "What answers at REDIS_URL does not use TLS: write redis:// instead of rediss://, or correct the port"
_LOGIN = "Redis does not accept the user name and password: correct them in REDIS_URL"
_NO_LOGIN = "Redis has no password, but REDIS_URL has one: remove it there"
_NO_HOST = "The host in REDIS_URL is not known: correct its name, or look at the network's DNS"
_NO_DATABASE = "Redis has no database with the number at the end of REDIS_URL: write 0"
_NO_PERMISSION = "The Redis user in REDIS_URL may not do what quotejob needs: give it those of docs/guides/redis.md"
_REPLICA = "REDIS_URL leads to a replica, which cannot be written: use the primary; after a failover, try again shortly"
CLUSTER = "REDIS_URL leads to a cluster: use a Redis without cluster mode"

# The first line counts whose left side is in the text of the error, in lower case.
_SAID = {
    "used memory >": "Redis is full; free memory or choose a larger plan, then try again",
    "certificate_verify_failed": (
        "The certificate of Redis cannot be verified: set QUOTEJOB_REDIS_CA to its file, or to unverified"
    ),
    "without any password configured": _NO_LOGIN,
    "but no password is set": _NO_LOGIN,
    "invalid username-password": _LOGIN,
    "invalid password": _LOGIN,
    "authentication required": "Redis wants a password: write it into REDIS_URL, as redis://:PASSWORD@HOST:6379/0",
    "no permissions to": _NO_PERMISSION,
    "executing the script can't": _NO_PERMISSION,
    "read only replica": _REPLICA,
    "link with master is down": _REPLICA,
    "db index is out of range": _NO_DATABASE,
    "invalid database": _NO_DATABASE,
    "select is not allowed in cluster": CLUSTER,
    "the same slot": CLUSTER,
    "hash slot not served": CLUSTER,
    "busy redis is busy": "Redis is busy with a long script; try again shortly",
    "misconf": "Redis cannot write to its disk, so it accepts nothing: free disk space, and look at its log",
    "noreplicas": "Redis has too few replicas, so it accepts nothing: start them, or lower min-replicas-to-write",
    "max number of clients": "Redis has no connection left: run fewer processes, or choose a larger plan",
    "no connection available": "All connections of this process to Redis are in use; try again shortly",
    "name or service not known": _NO_HOST,
    "nodename nor servname": _NO_HOST,
    "no address associated": _NO_HOST,
    "name resolution": _NO_HOST,
    "wrong_version_number": _NO_TLS,
    "wrong version number": _NO_TLS,
    "record layer failure": _NO_TLS,
    "connection refused": (
        "Redis does not answer: nothing listens at the address in REDIS_URL; try again shortly. If it stays so, start "
        "Redis, or correct host and port"
    ),
    "loading the dataset": "Redis has just started and loads its data; try again shortly",
}
_KINDS: dict[type[Exception], str] = {
    redis.exceptions.MasterDownError: _REPLICA,
    redis.exceptions.AskError: CLUSTER,
    redis.exceptions.ClusterError: CLUSTER,
    redis.exceptions.ClusterCrossSlotError: CLUSTER,
    redis.InvalidResponse: "What answers at REDIS_URL is not Redis, or it wants TLS: correct the address",
    redis.AuthenticationError: _LOGIN,
    redis.ConnectionError: AWAY,
    redis.TimeoutError: AWAY,
}


def reason(error: BaseException) -> str | None:
    """Return why Redis does not serve. None: it does, and the command itself is wrong."""
    text = str(error).lower()
    if said := next((sentence for part, sentence in _SAID.items() if part in text), None):
        return said
    return next((sentence for kind, sentence in _KINDS.items() if isinstance(error, kind)), None)
