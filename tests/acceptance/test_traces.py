"""One trace from the request to the org's answers, received by a small collector; and the log as JSON lines."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from harness.api import Api
from harness.org_reader import OrgReader
from harness.stack import Stack

OUTSIDE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"  # a caller's own span, in W3C's form
NAME = "Opportunity 1"


@dataclass
class Span:
    """A span as it was received; ids in hexadecimal."""

    name: str
    trace: str
    id: str
    parent: str
    about: dict[str, Any]


@dataclass
class Collector:
    """What an OTLP collector got."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    raw: bytes = b""

    def take(self, body: bytes) -> None:
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for one in (span for scope in resource.scope_spans for span in scope.spans):
                about = {each.key: each.value.string_value or each.value.int_value for each in one.attributes}
                parts = (one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex())
                self.spans.append(Span(one.name, *parts, about))


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """A collector on this machine."""
    got = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        got.url = f"http://127.0.0.1:{server.server_port}"
        yield got
        server.shutdown()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Stack]:
    """Web, a worker and the scheduler, which send traces and write JSON."""
    extra = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200", "LOG_FORMAT": "json",
        "QUOTEJOB_PAGE_SIZE": "5",
    }  # fmt: skip
    with Stack(tmp_path_factory.mktemp("traces"), extra=extra) as stack:
        stack.start_redis()
        stack.start_org(0, "--opportunities", "30")
        stack.start_web()
        stack.start_worker()
        stack.start_beat()
        stack.wait_ready()
        yield stack
        stack.check()


@pytest.fixture(scope="module")
def job(system: Stack) -> dict[str, Any]:
    """A job of eleven Opportunities in three pages, one of which fails, submitted by a caller with a trace."""
    assert system.org
    reader = OrgReader(system.org)
    failing = next(iter(reader.query(f"SELECT Id FROM Opportunity WHERE Name = '{NAME}'")))["Id"]
    reader.update("Opportunity", failing, {"CloseDate": "4000-12-31"})
    api = Api(system.web_url, system.org, reader.username())
    body = {"soqlWhereClause": f"Name LIKE '{NAME}%'"}
    headers = {**api.context(), "traceparent": OUTSIDE}
    answer = api.request("POST", "/api/executebatch", json=body, headers=headers)
    return api.follow(answer.json()["jobId"])


def within(seconds: float, look: Callable[[], Any]) -> Any:
    """What ``look`` gives, once it is something."""
    until = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < until:
        time.sleep(0.1)
    return found


def test_one_trace_has_the_request_the_job_its_pages_and_the_calls(collector: Collector, job: dict[str, Any]) -> None:
    """In the caller's trace: request -> submit -> plan, pages, commit, batches, finish -> calls to the org."""
    trace = OUTSIDE.split("-")[1]

    def whole() -> dict[str, list[Span]] | None:
        found: dict[str, list[Span]] = {}
        for span in collector.spans:
            if span.trace == trace:
                found.setdefault(span.name, []).append(span)
        return found if {"executeBatch", "finish"} <= found.keys() else None

    spans = within(20, whole)
    assert spans, [span.name for span in collector.spans]
    [request], [submit] = spans["executeBatch"], spans["submit"]
    assert (request.parent, submit.parent) == (OUTSIDE.split("-")[2], request.id)
    assert request.about["http.response.status_code"] == 202
    steps = [span for name in ("plan", "page", "commit", "batch", "finish") for span in spans[name]]
    assert {span.parent for span in steps} == {submit.id}
    assert {span.about["quotejob.job_id"] for span in [request, submit, *steps]} == {job["jobId"]}
    assert sorted(span.about["quotejob.unit"] for span in spans["page"]) == ["page 0 0", "page 0 1", "page 0 2"]
    calls = [span for name, some in spans.items() if name.startswith(("GET ", "POST ")) for span in some]
    assert {span.parent for span in calls} <= {span.id for span in [request, *steps]}
    assert {span.id for span in spans["page"]} <= {span.parent for span in calls}
    assert {span.about["http.response.status_code"] for span in calls} == {200}
    assert len([span for span in calls if span.parent != request.id]) == job["apiCalls"]


def test_no_span_tells_what_others_must_not_know(collector: Collector, system: Stack, job: dict[str, Any]) -> None:
    """No token, no clause, no name and no message."""
    assert system.org
    assert job["jobId"].encode() in collector.raw
    for secret in (system.org.token, NAME, job["soqlWhereClause"], "4000", "LIKE", "session"):
        assert secret.encode() not in collector.raw


def test_the_log_has_a_line_for_each_move_page_batch_and_code(system: Stack, job: dict[str, Any]) -> None:
    """Each line is an object; those of the job have its id, its org, the seconds, and the calls to the org."""
    assert system.org

    def lines() -> list[dict[str, Any]]:
        texts = [line for name in ("web", "worker1") for line in system.process(name).log.read_text().splitlines()]
        entries = [json.loads(line) for line in texts if line.startswith("{")]
        return [entry for entry in entries if entry.get("job_id") == job["jobId"]]

    said = within(10, lambda: lines() if any(line["event"] == "Job is Completed" for line in lines()) else None)
    assert said
    moves = [line for line in said if line["event"].startswith("Job is ")]
    assert [line["event"].split()[-1] for line in moves] == [
        "Holding", "Queued", "Preparing", "Processing", "Completed",
    ]  # fmt: skip
    pages = [line for line in said if line["event"].startswith("Priced a page of ")]
    batches = [line for line in said if line["event"].startswith("Wrote a batch of ")]
    assert sorted(line["page"] for line in pages) == [0, 1, 2]
    packings = [line for line in said if line["event"] == "Packed a wave"]
    assert sum(line["batches"] for line in packings) == len(batches)
    for line in moves + pages + packings + batches:
        assert line["org_id"] == system.org.org_id
        assert isinstance(line["seconds"], float)
    assert {line["calls"] for line in pages} == {1}
    assert moves[-1]["calls"] == job["apiCalls"]
    [failed] = [line for line in said if line["event"].startswith("Failed records: ")]
    assert (failed["code"], failed["records"], failed["org_id"]) == ("UNPRICEABLE", 1, system.org.org_id)
    everything = "".join(process.log.read_text() for process in system.processes)
    assert system.org.token not in everything
