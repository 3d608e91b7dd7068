"""The requests of one Bulk job, for the tests of what comes of it."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable
from typing import Any

import requests
from _server import Server

Json = dict[str, Any]
FINISHED = ("JobComplete", "Failed", "Aborted")


def open(org: Server, object_name: str = "Account", operation: str = "insert", **more: str) -> Json:
    answer = org.post("jobs/ingest", {"object": object_name, "operation": operation, **more})
    assert answer.status_code == 200, answer.text
    body: Json = answer.json()
    return body


def put(org: Server, job: Json, rows: str | bytes | Iterable[bytes], **headers: str) -> requests.Response:
    data = rows.encode() if isinstance(rows, str) else rows
    return org.put(f"/{job['contentUrl']}", data, headers={"Content-Type": "text/csv"} | headers)


def move(org: Server, job: Json, state: str = "UploadComplete") -> requests.Response:
    return org.patch(f"jobs/ingest/{job['id']}", {"state": state})


def info(org: Server, job: Json) -> Json:
    body: Json = org.get(f"jobs/ingest/{job['id']}").json()
    return body


def ended(org: Server, job: Json) -> Json:
    deadline = time.monotonic() + 30
    while (told := info(org, job))["state"] not in FINISHED:
        assert time.monotonic() < deadline, told
        time.sleep(0.02)
    return told


def work(org: Server, job: Json, rows: str | bytes | Iterable[bytes]) -> Json:
    assert put(org, job, rows).status_code == 201
    assert move(org, job).status_code == 200
    return ended(org, job)


def text(org: Server, job: Json, which: str) -> str:
    answer = org.get(f"jobs/ingest/{job['id']}/{which}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/csv")
    return answer.content.decode()


def rows(org: Server, job: Json, which: str, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text(org, job, which), newline=""), delimiter=delimiter))


def errors(org: Server, job: Json) -> list[str]:
    return [row["sf__Error"] for row in rows(org, job, "failedResults")]


def refused(answer: requests.Response, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    (error,) = answer.json()
    assert error["errorCode"] == code
    message: str = error["message"]
    return message
