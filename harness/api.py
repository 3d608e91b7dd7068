"""The API and the local org, for what starts whole systems: demo, tests and measurements.

This code follows only the contracts (HTTP API, REST query resource). Nothing here comes from quotejob, so the result of
a read can be used to check what quotejob wrote.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import requests

from cli.api import ENDED
from cli.local import API_VERSION

Json = dict[str, Any]


def facts(job: Json) -> Json:
    """Return the job without its estimates, which change even when nothing happens."""
    return {name: value for name, value in job.items() if not name.startswith("estimated")}


@dataclass(frozen=True, slots=True)
class LocalOrg:
    """Where the local org listens and who its user is."""

    url: str
    org_id: str  # 00D...
    user_id: str  # 005...
    token: str

    def __repr__(self) -> str:
        return f"LocalOrg(url={self.url!r}, org_id={self.org_id!r}, user_id={self.user_id!r})"


class ApiError(Exception):
    """An error answered by the API or the org. The message holds status and body."""


class Api:
    """The HTTP API, called with one org's context."""

    def __init__(self, url: str, org: LocalOrg, username: str = "admin@localorg.example") -> None:
        self.url = url
        self._org = org
        self._username = username
        self._session = new_session()

    def another(self) -> Api:
        """Return the same caller with its own connection, for another thread."""
        return Api(self.url, self._org, self._username)

    def context(self, **changes: Any) -> dict[str, str]:
        """Return the header that the mesh would send. ``changes`` replace parts of it."""
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
        """Send any request, with the context header unless ``headers`` are given."""
        options.setdefault("headers", self.context())
        return self._session.request(method, self.url + path, timeout=30, **options)

    def get(self, path: str, **options: Any) -> Json:
        """Send a GET and return its JSON. Raise ApiError unless 2xx."""
        return read_body(self.request("GET", path, **options))

    def post(self, path: str, body: Any = None, **options: Any) -> Json:
        """Send a POST and return its JSON. Raise ApiError unless 2xx."""
        return read_body(self.request("POST", path, json=body, **options))

    def submit(self, where: str) -> str:
        """Submit a pricing job for the Opportunities of that WHERE clause and return its id."""
        return str(self.post("/api/executebatch", {"soqlWhereClause": where})["jobId"])

    def job(self, job_id: str) -> Json:
        """Return the current state of the job."""
        return self.get(f"/api/jobs/{job_id}")

    def jobs(self, **query: Any) -> list[Json]:
        """Return every job that listJobs gives for this query, from all pages."""
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
        """Ask until the job has ended.

        ``each`` gets every answer. Raise ApiError after ``quiet`` seconds without a change.
        """
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
        """Return every result of the job, from all pages."""
        found: list[Json] = []
        query: dict[str, str] = {"outcome": outcome} if outcome else {}
        while True:
            body = self.get(f"/api/jobs/{job_id}/results", params=query)
            found += body["results"]
            if not body.get("nextCursor"):
                return found
            query["cursor"] = body["nextCursor"]


def new_session() -> requests.Session:
    """Return a session that uses no proxy and no .netrc: both ends are on this machine."""
    session = requests.Session()
    session.trust_env = False
    return session


def read_body(response: requests.Response) -> Json:
    """Return the JSON body, numbers with a point as Decimal and a list under ``items``. Raise ApiError unless 2xx."""
    if not response.ok:
        place = f"{response.request.method} {urlsplit(response.url).path}"
        raise ApiError(f"{place} answered {response.status_code}: {response.text[:2000]}")
    body = json.loads(response.content, parse_float=Decimal) if response.content else {}
    return body if isinstance(body, dict) else {"items": body}
