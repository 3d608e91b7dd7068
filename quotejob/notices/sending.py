"""One try to send one notice."""

from __future__ import annotations

import time
from enum import Enum

import orjson
import requests
import structlog
import urllib3

from quotejob.errors import AuthorizationFailed, OrgNotAllowed, QuotejobError, SessionExpired
from quotejob.jobs.job import Job
from quotejob.jobs.store import JobStore
from quotejob.notices import body
from quotejob.notices.address import may_call_back
from quotejob.notices.outbox import CALLBACK, Notice
from quotejob.run.context import session
from quotejob.salesforce import OrgAddress
from quotejob.salesforce.guard import GuardedSession
from quotejob.settings import Settings
from quotejob.webhook import Webhook

CONNECT_SECONDS, SECONDS = 5.0, 15.0  # of one try; together less than the lease
LARGEST_ANSWER = 100_000  # bytes; nothing in it is used
_NOT_SENT = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.SSLError)
_AGAIN = {401, 408, 425, 429}  # and all from 500 on

log = structlog.get_logger()


class Outcome(Enum):
    """What came of a try."""

    DONE = "done"
    LATER = "later"
    NEVER = "never"


def send(notice: Notice, job: Job, store: JobStore, settings: Settings) -> Outcome:
    """Send a notice. Raises nothing for what the receiver or the network does."""
    if notice.receiver == CALLBACK:
        return _call_back(job, store, settings)
    webhook = next((each for each in settings.webhooks if each.name == notice.receiver), None)
    return Outcome.NEVER if webhook is None else _post_webhook(webhook, notice, job, settings)


def _call_back(job: Job, store: JobStore, settings: Settings) -> Outcome:
    """POST the end of a job to its caller's org, with the session of the job. A lost answer ends it: told once."""
    try:
        org = OrgAddress.of(session(job, store, settings))
    except (SessionExpired, AuthorizationFailed, OrgNotAllowed) as gone:
        log.warning(f"The callback is given up: {gone}")
        return Outcome.NEVER
    except QuotejobError as fault:  # AppLink does not answer
        log.info(f"The callback is tried again: {fault}")
        return Outcome.LATER
    if job.callback_url is None or not may_call_back(job.callback_url, org):
        log.warning("The callback is given up: its address is not in the job's own org")
        return Outcome.NEVER
    headers = {"Authorization": f"Bearer {org.access_token}"}
    return _post(job.callback_url, orjson.dumps(body.of_job(job)), headers, org.host, once=True)


def _post_webhook(webhook: Webhook, notice: Notice, job: Job, settings: Settings) -> Outcome:
    if webhook.slack:
        return _post(webhook.url, body.of_slack(job), {}, webhook.host, once=False)
    text = body.of_webhook(job)
    headers = body.signed(text, notice.id, int(time.time()), settings.webhook_secret or "")
    return _post(webhook.url, text, headers, webhook.host, once=False)


def _post(url: str, text: bytes, headers: dict[str, str], host: str, *, once: bool) -> Outcome:
    """Send a request. ``once``: if it is not known whether it arrived, it is not sent again."""
    with GuardedSession((CONNECT_SECONDS, SECONDS), LARGEST_ANSWER) as web:
        web.trust_env = False  # no credentials of a .netrc
        try:
            answer = web.request(
                "POST",
                url,
                data=text,
                headers={"Content-Type": "application/json", "User-Agent": "quotejob", **headers},
            )
        except (requests.RequestException, QuotejobError) as fault:
            known = _is_not_sent(fault)
            log.info(
                f"{host} was not told of the end of the job: {type(fault).__name__}", tried_again=known or not once
            )
            return Outcome.LATER if known or not once else Outcome.NEVER
    if answer.ok:
        log.info(f"{host} was told of the end of the job")
        return Outcome.DONE
    again = answer.status_code in _AGAIN or answer.status_code >= 500
    log.warning(f"{host} answered {answer.status_code} to the end of the job", tried_again=again)
    return Outcome.LATER if again else Outcome.NEVER


def _is_not_sent(fault: Exception) -> bool:
    """Return whether a request failed before anything of it was sent."""
    reason = getattr(fault.args[0] if fault.args else None, "reason", None)
    return isinstance(fault, requests.ConnectTimeout) or isinstance(reason, _NOT_SENT)
