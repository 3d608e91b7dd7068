"""Requests of Bulk API 1.0, as a client without any library sends them."""

from __future__ import annotations

import time
from typing import Any
from xml.etree import ElementTree

import requests
from _server import Server

ASYNC = "/services/async/66.0"
SPACE = "{http://www.force.com/2009/06/asyncapi/dataload}"
KINDS = {"CSV": "text/csv", "XML": "application/xml", "JSON": "application/json"}
ENDED = ("Completed", "Failed", "NotProcessed")
Json = dict[str, Any]


def call(org: Server, method: str, path: str, data: str | bytes = b"", kind: str = "", **headers: str) -> Any:
    """Sends a request below the API version; the session is in its own header."""
    sent = {"X-SFDC-Session": org.token, **({"Content-Type": kind} if kind else {}), **headers}
    body = data.encode() if isinstance(data, str) else data
    return requests.request(method, org.url + ASYNC + path, data=body, headers=sent, timeout=30)


def fields(answer: requests.Response) -> Json:
    """What an answer says: its JSON, or the texts of the elements of its XML."""
    if answer.headers["Content-Type"] == "application/json":
        body: Json = answer.json()
        return body
    return {each.tag.removeprefix(SPACE): each.text for each in ElementTree.fromstring(answer.content)}


def open(org: Server, operation: str = "insert", object_name: str = "Account", kind: str = "CSV", **more: Any) -> str:
    """Opens a job by XML; gives its id."""
    headers = more.pop("headers", {})
    texts = {"operation": operation, "object": object_name, "contentType": kind, **more}
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in texts.items())
    xml = f'<?xml version="1.0" encoding="UTF-8"?><jobInfo xmlns="{SPACE[1:-1]}">{inner}</jobInfo>'
    answer = call(org, "POST", "/job", xml, "application/xml; charset=UTF-8", **headers)
    assert answer.status_code == 201, answer.text
    return str(fields(answer)["id"])


def add(org: Server, job: str, data: str | bytes, kind: str = "CSV") -> str:
    answer = call(org, "POST", f"/job/{job}/batch", data, KINDS[kind])
    assert answer.status_code == 201, answer.text
    return str(fields(answer)["id"])


def move(org: Server, job: str, state: str = "Closed") -> requests.Response:
    body = f'<jobInfo xmlns="{SPACE[1:-1]}"><state>{state}</state></jobInfo>'
    answer: requests.Response = call(org, "POST", f"/job/{job}", body, "text/csv; charset=UTF-8")
    return answer


def batch(org: Server, job: str, batch_id: str) -> Json:
    return fields(call(org, "GET", f"/job/{job}/batch/{batch_id}"))


def ended(org: Server, job: str, batch_id: str) -> Json:
    deadline = time.monotonic() + 30
    while (told := batch(org, job, batch_id))["state"] not in ENDED:
        assert time.monotonic() < deadline, told
        time.sleep(0.02)
    return told


def result(org: Server, job: str, batch_id: str) -> str:
    answer = call(org, "GET", f"/job/{job}/batch/{batch_id}/result")
    assert answer.status_code == 200, answer.text
    text: str = answer.content.decode()
    return text


def work(org: Server, job: str, data: str | bytes, kind: str = "CSV") -> tuple[Json, str]:
    """Adds a batch and waits for its end; gives its state and its results."""
    batch_id = add(org, job, data, kind)
    told = ended(org, job, batch_id)
    return told, result(org, job, batch_id) if told["state"] == "Completed" else ""


def refused(answer: requests.Response, code: str, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    told = fields(answer)
    assert told["exceptionCode"] == code, told
    return str(told["exceptionMessage"])
