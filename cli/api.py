"""HTTP for the commands: one request, its errors as CommandError, pages joined."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any, NoReturn
from urllib.parse import urlsplit

import requests

from cli.local import LOCAL_HOSTS
from cli.problems import NOT_SERVED, USAGE, CommandError

Json = dict[str, Any]
ENDED = ("Completed", "Failed", "Aborted")  # the states of a job that has ended
PAGE = 200  # the largest page of the API
TIMEOUT_SECONDS = 60
MAX_RETRY_AFTER_SECONDS = 60
RETRIES = 3


class QuotejobApi:
    """The API at one address, called with the context header of one user."""

    def __init__(self, url: str, header: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.headers["x-client-context"] = header
        self._session.trust_env = urlsplit(url).hostname not in LOCAL_HOSTS  # no proxy to this machine itself

    def get(self, path: str, **query: Any) -> Json:
        """Send a GET with these query parameters. Return the answer's JSON. Raises as request() does."""
        return self.read(self.request("GET", path, params=query))

    def post(self, path: str, body: Json | None = None, **options: Any) -> Json:
        """Send a POST with a JSON body. Return the answer's JSON. Raises as request() does."""
        return self.read(self.request("POST", path, json=body, **options))

    def patch(self, path: str, body: Json) -> Json:
        """Send a PATCH with a JSON body. Return the answer's JSON. Raises as request() does."""
        return self.read(self.request("PATCH", path, json=body))

    def delete(self, path: str) -> Json:
        """Send a DELETE. Return the answer's JSON. Raises as request() does."""
        return self.read(self.request("DELETE", path))

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request and return the 2xx response.

        A 429 that names a time (Retry-After) is tried again after it. Raise CommandError for anything else.
        """
        for attempt in range(RETRIES + 1):
            response = self._send(method, path, **options)
            delay = _retry_after(response)
            if delay is None or attempt == RETRIES:
                break
            response.close()
            time.sleep(delay)
        if not response.ok:
            raise _refusal(response)
        return response

    def pages(self, path: str, key: str, limit: int | None = None, **query: Any) -> Iterator[Json]:
        """Yield the items of all pages, at most ``limit``; the list is the ``key`` of each response."""
        left = limit
        while left is None or left > 0:
            page = self.get(path, limit=PAGE if left is None else min(PAGE, left), **query)
            yield from page[key]
            left = None if left is None else left - len(page[key])
            query["cursor"] = page.get("nextCursor")
            if not query["cursor"]:
                return

    def _send(self, method: str, path: str, **options: Any) -> requests.Response:
        json.dumps(options.get("json"), ensure_ascii=False).encode()  # UnicodeError: what was typed is not UTF-8
        try:
            return self._session.request(method, self.url + path, timeout=TIMEOUT_SECONDS, **options)
        except requests.RequestException as error:
            reason = "did not answer in time" if isinstance(error, requests.Timeout) else "cannot be reached"
            raise CommandError(
                f"The API at {self.url} {reason}: start it (bin/demo), or name its address with --url or QUOTEJOB_URL.",
                NOT_SERVED,
                "UNREACHABLE",
            ) from error

    def read(self, response: requests.Response) -> Json:
        """Return the JSON object of an answer. Raise CommandError if it is none, and later if a field is missing."""
        try:
            body = response.json(object_hook=_Answer)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise _not_the_api(f"{self.url} did not answer with JSON")
        return body


class _Answer(dict[str, Any]):
    """A JSON object of an answer. A field that every answer of the API has, and this one has not, is a CommandError."""

    def __missing__(self, name: str) -> NoReturn:
        raise _not_the_api(f"The answer has no {name}")


def _not_the_api(what: str) -> CommandError:
    return CommandError(f"{what}: check that --url names the quotejob API.", NOT_SERVED, "NOT_THE_API")


def new_key() -> dict[str, str]:
    """Return the header that makes a submission that was sent twice one job."""
    return {"Idempotency-Key": str(uuid.uuid4())}


def _retry_after(response: requests.Response) -> float | None:
    """Return the seconds to wait before the next try. None: do not try again."""
    given = response.headers.get("Retry-After", "")
    if (
        response.status_code != 429
        or not (given.isascii() and given.isdecimal())
        or int(given) > MAX_RETRY_AFTER_SECONDS
    ):
        return None
    return float(given)


def _refusal(response: requests.Response) -> CommandError:
    status = response.status_code
    exit_code = NOT_SERVED if status in (401, 403, 429) or status >= 500 else USAGE
    try:
        body = response.json()
        return CommandError(str(body["message"]), exit_code, str(body["code"]))
    except (ValueError, KeyError, TypeError):
        message = f"The API answered {status} without a reason: check that --url names the quotejob API."
        return CommandError(message, exit_code, f"HTTP_{status}")
