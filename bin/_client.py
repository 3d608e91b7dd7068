"""The two conversations of a demo or an acceptance test: with the API as the mesh would, with the org as a reader.

Written against the contracts only (HTTP API, REST query resource): nothing here comes from quotejob, so that what it
reads can judge what quotejob wrote.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import requests
from _stack import LocalOrg

API_VERSION = "66.0"
ENDED = frozenset({"Completed", "Failed", "Aborted"})
Json = dict[str, Any]


def facts(job: Json) -> Json:
    """A job without its estimates, which change although nothing happens."""
    return {name: value for name, value in job.items() if not name.startswith("estimated")}


class ApiError(Exception):
    """The API, or the org, answered with an error; the message holds status and body."""


class Api:
    """The HTTP API, called with one org's context."""

    def __init__(self, url: str, org: LocalOrg, username: str = "admin@localorg.example") -> None:
        self.url = url
        self._org = org
        self._username = username
        self._session = _session()

    def another(self) -> Api:
        """The same caller with a connection of its own, for another thread."""
        return Api(self.url, self._org, self._username)

    def context(self, **changes: Any) -> dict[str, str]:
        """The header the mesh would send; ``changes`` replace parts of it."""
        context = {
            "requestId": str(uuid.uuid4()),
            "orgId": self._org.org_id,
            "orgDomainUrl": self._org.url,
            "apiVersion": API_VERSION,
            "namespace": "",
            "accessToken": self._org.token,
            "userContext": {"userId": self._org.user_id, "username": self._username},
            **changes,
        }
        return {"x-client-context": base64.b64encode(json.dumps(context).encode()).decode()}

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Any request, with the context header unless ``headers`` are given."""
        options.setdefault("headers", self.context())
        return self._session.request(method, self.url + path, timeout=30, **options)

    def get(self, path: str, **options: Any) -> Json:
        """GET, as JSON; ApiError unless 2xx."""
        return _body(self.request("GET", path, **options))

    def post(self, path: str, body: Any = None, **options: Any) -> Json:
        """POST, as JSON; ApiError unless 2xx."""
        return _body(self.request("POST", path, json=body, **options))

    def submit(self, where: str) -> str:
        """A pricing job for the Opportunities of that WHERE clause; gives its id."""
        return str(self.post("/api/executebatch", {"soqlWhereClause": where})["jobId"])

    def job(self, job_id: str) -> Json:
        """The job as it stands."""
        return self.get(f"/api/jobs/{job_id}")

    def jobs(self, **query: Any) -> list[Json]:
        """Every job that listJobs gives for this query, all pages."""
        found: list[Json] = []
        while True:
            page = self.get("/api/jobs", params={"limit": 200, **query})
            found += page["jobs"]
            if page["nextCursor"] is None:
                return found
            query["cursor"] = page["nextCursor"]

    def follow(
        self, job_id: str, quiet: float = 60, each: Callable[[Json], None] | None = None, pause: float = 0.2
    ) -> Json:
        """Ask until the job has ended; ``each`` sees every answer. ApiError after ``quiet`` seconds of no change."""
        last, deadline = None, 0.0
        while True:
            job = self.job(job_id)
            if each:
                each(job)
            if job["status"] in ENDED:
                return job
            if facts(job) != last:
                last, deadline = facts(job), time.monotonic() + quiet
            elif time.monotonic() > deadline:
                raise ApiError(f"Job {job_id} has shown no change for {quiet:.0f} s; it is now: {job}")
            time.sleep(pause)

    def results(self, job_id: str, outcome: str | None = None) -> list[Json]:
        """Every result of the job, all pages."""
        found: list[Json] = []
        query: dict[str, str] = {"outcome": outcome} if outcome else {}
        while True:
            body = self.get(f"/api/jobs/{job_id}/results", params=query)
            found += body["results"]
            if not body.get("nextCursor"):
                return found
            query["cursor"] = body["nextCursor"]


class OrgReader:
    """Reads (and, for tests, prepares) the org through its own REST API. Numbers are Decimal."""

    def __init__(self, org: LocalOrg) -> None:
        self.url = org.url
        self._data = f"/services/data/v{API_VERSION}"
        self._session = _session()
        self._session.headers["Authorization"] = f"Bearer {org.token}"

    def query(self, soql: str) -> Iterator[Json]:
        """Every row, all pages; child rows as plain lists, all their pages too."""
        page = self._get(f"{self._data}/query", {"q": soql})
        while True:
            for row in page["records"]:
                yield {name: self._children(value) for name, value in row.items()}
            if page["done"]:
                return
            page = self._get(page["nextRecordsUrl"])

    def count(self, soql: str) -> int:
        """The answer to a SELECT COUNT()."""
        return int(self._get(f"{self._data}/query", {"q": soql})["totalSize"])

    def username(self) -> str:
        """Who the token belongs to."""
        return str(self._get("/services/oauth2/userinfo")["preferred_username"])

    def create(self, object_name: str, record: Mapping[str, Any]) -> str:
        """One record; gives its id."""
        return str(self._post(f"{self._data}/sobjects/{object_name}", record)["id"])

    def update(self, object_name: str, record_id: str, record: Mapping[str, Any]) -> None:
        """Change one record."""
        url = f"{self.url}{self._data}/sobjects/{object_name}/{record_id}"
        _body(self._session.patch(url, json=record, timeout=60))

    def graph(self, requests_: list[Json]) -> dict[str, str]:
        """One composite graph of creates, all or none; gives reference id -> record id."""
        body = self._post(
            f"{self._data}/composite/graph", {"graphs": [{"graphId": "1", "compositeRequest": requests_}]}
        )
        graph = body["graphs"][0]
        if not graph["isSuccessful"]:
            raise ApiError(f"The org refused a graph: {str(graph)[:2000]}")
        return {part["referenceId"]: part["body"]["id"] for part in graph["graphResponse"]["compositeResponse"]}

    def node(self, reference: str, object_name: str, record: Mapping[str, Any]) -> Json:
        """One create of a graph."""
        url = f"{self._data}/sobjects/{object_name}"
        return {"method": "POST", "url": url, "referenceId": reference, "body": dict(record)}

    def stats(self) -> Json:
        """What was asked of the local org since it started or since :meth:`reset_stats`."""
        return self._get("/localorg/stats")

    def reset_stats(self) -> None:
        """Count from zero."""
        self._post("/localorg/reset", None)

    def _children(self, value: Any) -> Any:
        if not (isinstance(value, dict) and "records" in value and "done" in value):
            return value
        rows = list(value["records"])
        while not value["done"]:
            value = self._get(value["nextRecordsUrl"])
            rows += value["records"]
        return rows

    def _get(self, path: str, params: Mapping[str, str] | None = None) -> Json:
        return _body(self._session.get(self.url + path, params=params, timeout=60))

    def _post(self, path: str, body: Any) -> Json:
        return _body(self._session.post(self.url + path, json=body, timeout=60))


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # no proxy, no .netrc between this machine and itself
    return session


def _body(response: requests.Response) -> Json:
    if not response.ok:
        place = f"{response.request.method} {urlsplit(response.url).path}"
        raise ApiError(f"{place} answered {response.status_code}: {response.text[:2000]}")
    body = json.loads(response.content, parse_float=Decimal) if response.content else {}
    return body if isinstance(body, dict) else {"items": body}
