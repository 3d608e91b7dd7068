"""The end of a job is told: to the caller's org at most once, to webhooks until they have it, whatever dies when."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from _callers import new_caller

from api.wire.callback import JobEndSchema
from quotejob.errors import InvalidRequest, SessionExpired
from quotejob.jobs.job import Job
from quotejob.jobs.options import Options
from quotejob.notices import body, outbox, sending
from quotejob.notices.address import check_callback
from quotejob.salesforce import OrgAddress
from quotejob.salesforce.caller import CallerContext
from quotejob.services import Services
from quotejob.settings import Settings, current
from quotejob.store import keys
from quotejob.store.client import RedisClient
from quotejob.webhook import Webhook
from tasks import notices, sweep

SECRET = "a-secret-of-the-operator"


@dataclass
class Receiver:
    """A server that notes what it gets. ``answers`` are the statuses of the next ones; None: it hangs up unanswered."""

    url: str = ""
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int | None] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"]))
            made.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, text))
            status = made.answers.pop(0) if made.answers else 200
            if status is None:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def services(
    settings: Settings, client: RedisClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Services]:
    del settings
    monkeypatch.setattr(outbox, "FIRST_PAUSE", 0.1)
    monkeypatch.setenv("QUOTEJOB_MIRROR", "0")
    monkeypatch.setenv("QUOTEJOB_WEBHOOK_SECRET", SECRET)
    current.cache_clear()
    client.delete(keys.NOTICES)
    yield Services(current(), client)
    client.delete(keys.NOTICES)


@pytest.fixture
def caller(receiver: Receiver) -> CallerContext:
    return replace(new_caller(), org_domain_url=receiver.url)


@pytest.fixture
def job(services: Services, caller: CallerContext, receiver: Receiver) -> Job:
    """A job whose end is to be called back."""
    options = Options(callback_url=f"{receiver.url}/services/callback/1?x=1")
    return services.jobs.submit(caller, "BatchQuote", soql_where_clause="Id != null", options=options)[0]


def told(services: Services) -> int:
    """Do what a sweep sends; how many notices were tried."""
    time.sleep(0.15)
    due = services.outbox.due()
    for notice, number in due:
        notices.notify(notice=notice, number=number)
    return len(due)


def webhooks(services: Services, monkeypatch: pytest.MonkeyPatch, *urls: str) -> Services:
    monkeypatch.setenv("QUOTEJOB_WEBHOOKS", ",".join(urls))
    current.cache_clear()
    return Services(current(), services.client)


def test_the_end_is_called_back_once(services: Services, job: Job, receiver: Receiver, caller: CallerContext) -> None:
    assert told(services) == 0
    ended = services.jobs.abort(job.job_id)
    assert told(services) == 1
    [(path, headers, text)] = receiver.got
    assert path == "/services/callback/1?x=1"
    assert headers["authorization"] == f"Bearer {caller.access_token}"
    said = json.loads(text)
    assert (said["jobId"], said["status"], said["completedDate"]) == (
        job.job_id,
        "Aborted",
        ended.completed_date and ended.completed_date.isoformat(),
    )
    assert set(said) == {each.data_key for each in JobEndSchema().fields.values()}
    assert told(services) == 0
    assert services.outbox.waiting() == 0


@pytest.mark.parametrize("status", [408, 500, 503, 429, 401])
def test_what_the_org_refuses_for_now_is_sent_again(
    services: Services, job: Job, receiver: Receiver, status: int
) -> None:
    receiver.answers = [status, status]
    services.jobs.abort(job.job_id)
    assert [told(services), told(services)] == [1, 1]
    time.sleep(0.2)
    assert [told(services), told(services)] == [1, 0]
    assert len(receiver.got) == 3


@pytest.mark.parametrize("status", [404, 400, 403, 302])
def test_what_the_org_does_not_want_is_given_up(services: Services, job: Job, receiver: Receiver, status: int) -> None:
    receiver.answers = [status]
    services.jobs.abort(job.job_id)
    assert [told(services), told(services)] == [1, 0]
    assert services.outbox.waiting() == 0


def test_a_lost_answer_is_not_repeated_to_an_org_but_to_a_webhook(
    services: Services, job: Job, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = webhooks(services, monkeypatch, f"{receiver.url}/hook")
    receiver.answers = [None, None]
    both.jobs.abort(job.job_id)
    assert told(both) == 2
    assert told(both) == 1
    assert sorted(path for path, _, _ in receiver.got) == ["/hook", "/hook", "/services/callback/1?x=1"]


def test_an_org_that_is_away_is_tried_again(
    services: Services, receiver: Receiver, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.client.hset(keys.job(job.job_id), "callbackUrl", "http://127.0.0.1:9/x")
    monkeypatch.setattr(sending, "may_call_back", lambda *_: True)
    services.jobs.abort(job.job_id)
    assert [told(services), told(services)] == [1, 1]
    assert receiver.got == []


def test_a_death_before_the_request_is_made_good_and_one_during_it_is_not(
    services: Services, job: Job, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LEASE", 0.3)
    services.jobs.abort(job.job_id)
    assert len(services.outbox.due()) == 1  # it died before it sent anything
    time.sleep(0.4)
    [(text, number)] = services.outbox.due()
    assert services.outbox.begin(outbox.Notice.read(text), number) is outbox.State.SEND  # it died while it sent
    time.sleep(0.4)
    assert told(services) == 0
    assert receiver.got == []
    assert services.outbox.waiting() == 0


def test_two_copies_of_a_message_send_one(services: Services, job: Job, receiver: Receiver) -> None:
    services.jobs.abort(job.job_id)
    [(text, number)] = services.outbox.due()
    for _ in range(2):
        notices.notify(notice=text, number=number)
    notices.notify(notice=text, number=number - 1)
    assert len(receiver.got) == 1


def test_each_end_of_a_resumed_job_is_told(
    services: Services, job: Job, receiver: Receiver, caller: CallerContext
) -> None:
    services.jobs.abort(job.job_id)
    services.jobs.resume(job.job_id, caller)
    assert told(services) == 1  # looked at, and left out: it goes on
    assert receiver.got == []
    services.jobs.abort(job.job_id)
    told(services)
    assert len(receiver.got) == 1


def test_it_ends_after_a_day(services: Services, job: Job, receiver: Receiver) -> None:
    services.jobs.abort(job.job_id)
    [notice] = services.client.scan_iter(keys.notice(f"callback {job.job_id} 1"))
    services.client.hset(notice.decode(), "since", int((time.time() - 86_401) * 1000))
    assert told(services) == 0
    assert services.outbox.waiting() == 0
    assert receiver.got == []


def test_without_a_session_it_is_given_up(services: Services, job: Job, receiver: Receiver) -> None:
    services.jobs.abort(job.job_id)
    services.client.delete(keys.job(job.job_id, "context"))
    assert [told(services), services.outbox.waiting()] == [1, 0]
    assert receiver.got == []


def test_webhooks_are_signed(
    services: Services, caller: CallerContext, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = webhooks(services, monkeypatch, f"{receiver.url}/hook", f"slack+{receiver.url}/slack")
    job, _ = both.jobs.submit(caller, "BatchQuote", soql_where_clause="Id != null", name="A <b> & c")
    both.jobs.fail(job.job_id, "WHY: so")
    assert told(both) == 2
    by_path = {path: (headers, text) for path, headers, text in receiver.got}
    headers, text = by_path["/hook"]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + text
    expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    assert "authorization" not in headers
    said = json.loads(text)
    assert (said["type"], said["data"]["jobId"], said["data"]["status"]) == ("job.ended", job.job_id, "Failed")
    headers, text = by_path["/slack"]
    assert "webhook-signature" not in headers
    assert json.loads(text)["text"].startswith(f"A &lt;b&gt; &amp; c {job.job_id[:8]} is Failed: 0 succeeded")
    with pytest.raises(SessionExpired):
        both.jobs.context(job.job_id)  # webhooks need no session


def test_a_webhook_has_the_same_id_at_each_try_and_is_forgotten_with_its_setting(
    services: Services, caller: CallerContext, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_it = webhooks(services, monkeypatch, f"{receiver.url}/hook")
    receiver.answers = [500, 500]
    job, _ = with_it.jobs.submit(caller, "BatchQuote", soql_where_clause="Id != null")
    with_it.jobs.abort(job.job_id)
    assert [told(with_it), told(with_it)] == [1, 1]
    assert len({headers["webhook-id"] for _, headers, _ in receiver.got}) == 1
    without = webhooks(services, monkeypatch)
    time.sleep(0.3)
    assert [told(without), without.outbox.waiting()] == [1, 0]


def test_the_sweep_sends_it(services: Services, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    services.jobs.abort(job.job_id)
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(notices.notify, "delay", lambda **given: sent.append(given))
    sweep.sweep()
    assert sent == [{"notice": f"callback {job.job_id} 1", "number": 1}]


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x", "http://acme.my.salesforce.com/x", "https://acme.my.salesforce.com:444/x",
        "https://u@acme.my.salesforce.com/x", "https://acme.my.salesforce.com.evil.example/", "//acme/x", "x", "",
        "https://acme.my.salesforce.com\\@evil.example/", "https://acme.my.salesforce.com/a b", "https://[::1/",
        "https://acme.my.salesforce.com/x#y", "ftp://acme.my.salesforce.com/", "https://acme.my.salesforce.com:99999/",
        "https://ACME.my.salesforce.com@evil.example/", "https://evil.example?acme.my.salesforce.com",
    ],
)  # fmt: skip
def test_a_callback_goes_only_to_the_callers_own_org(url: str) -> None:
    org = OrgAddress("https://acme.my.salesforce.com", "t")
    with pytest.raises(InvalidRequest, match="callbackUrl"):
        check_callback(url, org)
    check_callback("https://Acme.my.salesforce.com:443/services/x?y=1", org)


def test_a_webhook_is_https_and_shows_no_address() -> None:
    with pytest.raises(ValueError):
        Webhook.read("http://hooks.example/x")
    made = Webhook.read("slack+https://hooks.slack.com/services/T0/secret")
    assert made.slack
    assert "secret" not in f"{made!r}{made.name}"
    assert body.signed(b"{}", "i", 1, "s")["webhook-id"] == "i"
