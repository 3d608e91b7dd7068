"""Stored access tokens: encrypted, with a time to live, deleted when the job ends.

No other place has a token: no Celery message, no result, no log line. There may be several keys, newest first. The
first key encrypts, every key decrypts, so a key can be rotated while jobs run. Workers then seal all contexts anew
(:meth:`quotejob.jobs.store.JobStore.seal_anew`), so the older key can be removed.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, fields

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from quotejob.errors import SessionExpired
from quotejob.salesforce.caller import CallerContext
from quotejob.settings import Settings

_FIELDS = frozenset(field.name for field in fields(CallerContext))
TIME_TO_LIVE = 24 * 3600  # seconds; a Salesforce session lives at most that long
WHILE_HOLDING = 30 * 24 * 3600  # seconds; an AppLink authorization renews the session of a job that waited for longer


def seal(context: CallerContext, settings: Settings) -> bytes:
    """Return the context encrypted, ready to be stored."""
    return _cipher(settings).encrypt(orjson.dumps(asdict(context)))


def unseal(stored: bytes | None, settings: Settings) -> CallerContext:
    """Return the context. Raises SessionExpired when it is gone, or was sealed with a key that is no longer set."""
    if stored is None:
        raise SessionExpired(
            "The caller's session is no longer stored for this job; resume the job, or submit it again"
        )
    try:
        kept = orjson.loads(_cipher(settings).decrypt(stored))
    except InvalidToken:
        raise SessionExpired(
            "The job's session was encrypted with a key that this worker does not have: set the same "
            "QUOTEJOB_SECRET_KEY for web and workers (after a change keep the old key at its end), then resume the job"
        ) from None
    return CallerContext(**{name: value for name, value in kept.items() if name in _FIELDS})  # a newer version has more


def sealed_anew(stored: bytes, settings: Settings) -> bytes | None:
    """Return the context sealed with the newest key. None: it is already, or no key opens it."""
    try:
        Fernet(settings.secret_keys[0]).decrypt(stored)
    except InvalidToken:
        with contextlib.suppress(InvalidToken):
            return _cipher(settings).rotate(stored)
    return None


def _cipher(settings: Settings) -> MultiFernet:
    return MultiFernet([Fernet(key.strip()) for key in settings.secret_keys])
