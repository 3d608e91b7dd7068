"""Requests of Bulk API 2.0 to the org itself."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import requests

from cli.local import API_VERSION, LOCAL_HOSTS
from cli.options import Session
from cli.problems import NOT_SERVED, USAGE, CommandError

Json = dict[str, Any]
ENDED = ("JobComplete", "Failed", "Aborted")
BASE = f"/services/data/v{API_VERSION}/jobs"
_TRIES = 5
_SECONDS = 120  # until a request without an answer is given up
_PASSING = (420, 429, 500, 502, 503, 504)


class Org:
    """An org. Requests that may be repeated are repeated when the org or the network fails for a moment."""

    def __init__(self, session: Session) -> None:
        self.url, token = session.credentials
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"
        self._session.trust_env = urlsplit(self.url).hostname not in LOCAL_HOSTS  # no proxy to this machine itself

    def get(self, path: str, **query: Any) -> Json:
        """Return the JSON of a GET; raise CommandError."""
        return _json(self.send("GET", path, params=query))

    def post(self, path: str, **options: Any) -> Json:
        """Return the JSON of a POST; raise CommandError. It is not repeated."""
        return _json(self.send("POST", path, tries=1, **options))

    def patch(self, path: str, state: str) -> Json:
        """Change a job's state, and return its JSON; raise CommandError. It is not repeated."""
        return _json(self.send("PATCH", path, tries=1, json={"state": state}))

    def send(self, method: str, path: str, tries: int = _TRIES, **options: Any) -> requests.Response:
        """Send a request, and return the 2xx answer; raise CommandError for any other one, and for none."""
        for attempt in range(1, tries + 1):
            try:
                if hasattr(options.get("data"), "seek"):
                    options["data"].seek(0)
                answer = self._session.request(method, self.url + path, timeout=_SECONDS, **options)
            except requests.RequestException as error:
                if attempt == tries:
                    message = f"The org at {self.url} does not answer: check the network, and run the command again."
                    raise CommandError(message, NOT_SERVED, "UNREACHABLE") from error
            else:
                if answer.ok:
                    return answer
                if answer.status_code not in _PASSING or attempt == tries:
                    raise _refusal(answer)
            time.sleep(min(0.2 * 2**attempt, 10))
        raise AssertionError(method)

    def job(self, job_id: str) -> tuple[str, Json]:
        """Return the path and the state of a job, of either kind; raise CommandError when there is none."""
        for kind in ("ingest", "query"):
            try:
                return f"{BASE}/{kind}/{job_id}", self.get(f"{BASE}/{kind}/{job_id}")
            except CommandError as error:
                if error.code != "NOT_FOUND":
                    raise
        raise CommandError(f"The org has no Bulk job {job_id!r}.", USAGE, "NOT_FOUND", job_id)


def _json(answer: requests.Response) -> Json:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise CommandError("The org did not answer with JSON: check its address.", NOT_SERVED, "NOT_AN_ORG")
    return body


def _refusal(answer: requests.Response) -> CommandError:
    status = answer.status_code
    exit_code = NOT_SERVED if status in (401, 403) or status in _PASSING else USAGE
    try:
        [error] = answer.json()
        return CommandError(f"The org refused: {error['message']}", exit_code, str(error["errorCode"]))
    except (ValueError, KeyError, TypeError):
        return CommandError(f"The org answered {status} without a reason.", exit_code, f"HTTP_{status}")
