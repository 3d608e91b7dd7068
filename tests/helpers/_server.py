"""The real local org, started as a process on a free port, and a client that gives its plain answers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

CHECKOUT = Path(__file__).resolve().parents[2]
READY = re.compile(r"local org (http://\S+) org (00D\w{15}) user (005\w{15}) token (00D\w{12}!\S+)\n")
DATA = "/services/data/v66.0"


@dataclass
class Server:
    """A local org that runs, and a client of it: every method gives the plain answer, whatever its status."""

    process: subprocess.Popen[str]
    url: str
    organization_id: str
    user_id: str
    token: str
    session: requests.Session = field(default_factory=requests.Session)

    def request(self, method: str, path: str, **more: Any) -> requests.Response:
        """Sends a request; a path without a leading slash is below /services/data/v66.0/."""
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        whole = path if path.startswith("/") else f"{DATA}/{path}"
        return self.session.request(method, self.url + whole, headers=headers, timeout=30, **more)

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> requests.Response:
        return self.request("POST", path, json=body, **more)

    def patch(self, path: str, body: Any = None, **more: Any) -> requests.Response:
        return self.request("PATCH", path, json=body, **more)

    def put(self, path: str, data: Any = None, **more: Any) -> requests.Response:
        return self.request("PUT", path, data=data, **more)

    def delete(self, path: str, **more: Any) -> requests.Response:
        return self.request("DELETE", path, **more)

    def query(self, soql: str) -> list[dict[str, Any]]:
        """All rows of a query, pages followed."""
        body = self.get("query", params={"q": soql}).json()
        rows: list[dict[str, Any]] = body["records"]
        while not body["done"]:
            body = self.get(body["nextRecordsUrl"]).json()
            rows += body["records"]
        return rows

    def create(self, object_name: str, **fields: Any) -> str:
        """Creates a row, which has to succeed; gives its id."""
        answer = self.post(f"sobjects/{object_name}", fields)
        assert answer.status_code == 201, answer.text
        record_id: str = answer.json()["id"]
        return record_id

    def row(self, object_name: str, record_id: str) -> dict[str, Any]:
        """All fields of a row."""
        answer = self.get(f"sobjects/{object_name}/{record_id}")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends the process and gives its exit code."""
        self.session.close()
        self.process.send_signal(number)
        try:
            self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode


Start = Callable[..., Server]


def launch(*words: str) -> subprocess.Popen[str]:
    """Starts `python -m localorg` with these arguments, from the checkout."""
    return subprocess.Popen(
        [sys.executable, "-m", "localorg", *words],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_server(*words: str) -> Server:
    """Starts a local org on a free port and waits until it accepts requests."""
    return Server(*begun(READY, *words))


def begun(ready: re.Pattern[str], *words: str) -> tuple[Any, ...]:
    """Starts a local org on a free port: the process, and the groups of the line that it says when it is ready."""
    process = launch("--port", "0", *words)
    assert process.stdout is not None
    line = process.stdout.readline()
    found = ready.fullmatch(line)
    if found is None:
        process.kill()
        raise AssertionError(f"the local org did not start: {line!r} {process.communicate()[1]}")
    return process, *found.groups()


@dataclass(frozen=True)
class Deal:
    """An Opportunity made for one test, and an entry of its price book that it may sell."""

    account: str
    opportunity: str
    book: str
    entry: str
    product: str
    price: float


_XMLNS = 'xmlns="http://soap.sforce.com/2006/04/metadata"'


def event_folder(folder: Path) -> Path:
    """Writes the source of `Signal__e` (sent at once) and `Settled__e` (sent after the commit); gives the folder."""
    for name, behaviour in (("Signal__e", "PublishImmediately"), ("Settled__e", "PublishAfterCommit")):
        fields = folder / "objects" / name / "fields"
        fields.mkdir(parents=True)
        body = f"<publishBehavior>{behaviour}</publishBehavior><eventType>HighVolume</eventType>"
        _write(fields.parent / f"{name}.object-meta.xml", "CustomObject", f"<label>{name}</label>{body}")
        number = "<type>Number</type><precision>18</precision><scale>0</scale><required>true</required>"
        _write(fields / "Number__c.field-meta.xml", "CustomField", f"<fullName>Number__c</fullName>{number}")
        text = "<type>Text</type><length>80</length>"
        _write(fields / "Text__c.field-meta.xml", "CustomField", f"<fullName>Text__c</fullName>{text}")
    return folder


def _write(file: Path, kind: str, body: str) -> None:
    file.write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n<{kind} {_XMLNS}>{body}</{kind}>\n', "utf-8")
