"""REST resources as plain functions, so that HTTP, composite and batch can all use the same one.

A resource is a function from a Call to a Reply. It is registered for a method and a path below `/services/data/vXX.X`.
The registration also says how it reaches the data: PLAIN resources need no database, READ resources run in the database
thread, and WRITE resources run there in a transaction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from operator import itemgetter
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from localorg import errors
from localorg.errors import OrgError
from localorg.lab.stats import Work
from localorg.org import Org
from localorg.permissions import User
from localorg.versions import NEWEST_VERSION, OLDEST_VERSION

_VERSION = re.compile(r"(\d{1,3})\.0", re.ASCII)
_ADDRESS = re.compile(r"/services/data/v(\d{1,3}\.\d)(/[^?#]*)?(?:\?([^#]*))?(?:#.*)?", re.ASCII)


class Way(Enum):
    """The ways in which a resource reaches the data."""

    PLAIN = "plain"
    READ = "read"
    WRITE = "write"


class Reply(NamedTuple):
    """An answer: HTTP status, a body that is ready for JSON (None: no body), and its own headers."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = {}


@dataclass(slots=True)
class Call:
    """One request to a resource. Header names are in lower case; the body is parsed JSON (None: there is none)."""

    org: Org
    user: User
    work: Work
    method: str
    version: str
    path: str  # below /services/data/vXX.X, as the client sent it
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """The path of this API version."""
        return f"/services/data/v{self.version}"

    def json_object(self) -> dict[str, Any]:
        """Return the body, which must be a JSON object; raise OrgError (400 JSON_PARSER_ERROR) when it is not one."""
        if not isinstance(self.body, dict):
            raise errors.json_parser_error("Cannot deserialize request body: a JSON object was expected")
        return self.body

    def flag(self, name: str) -> bool:
        """Return whether the query string has name=true."""
        return self.query.get(name, "").lower() == "true"


Resource = Callable[..., Reply]


class Handler(NamedTuple):
    """A resource that is ready for a Call: how it runs, and the parts of the path that it takes."""

    resource: Resource
    way: Way
    parts: tuple[str, ...]

    def answer(self, call: Call) -> Reply:
        """Call the resource and return its reply."""
        return self.resource(call, *self.parts)


class Resources:
    """All registered resources. When several paths fit a request, the one with the fewest open parts is used."""

    def __init__(self) -> None:
        # Paths in the order in which they are tried.
        self._paths: list[tuple[int, re.Pattern[str], dict[str, tuple[Resource, Way]]]] = []

    def add(self, method: str, path: str, way: Way) -> Callable[[Resource], Resource]:
        """Register a function for a method and a path such as `/sobjects/{}/describe`.

        Each `{}` is one part of the path, `{+}` is the rest of it; the function gets them decoded. A trailing slash is
        ignored.
        """
        pattern = re.escape(path).replace(r"\{\}", "([^/]+)").replace(r"\{\+\}", "(.+?)") + "/?"

        def register(resource: Resource) -> Resource:
            for _, known, methods in self._paths:
                if known.pattern == pattern:
                    methods[method] = resource, way
                    return resource
            self._paths.append((path.count("{"), re.compile(pattern, re.DOTALL), {method: (resource, way)}))
            self._paths.sort(key=itemgetter(0))
            return resource

        return register

    def handler(self, method: str, path: str) -> Handler | None:
        """Return the resource of a path as the client sent it; None for an unknown path.

        Raise OrgError 405 for a wrong method.
        """
        for _, pattern, methods in self._paths:
            if found := pattern.fullmatch(path):
                registered = methods.get("GET" if method == "HEAD" else method)
                if registered is None:
                    raise errors.method_not_allowed(method, sorted([*methods, *(["HEAD"] if "GET" in methods else [])]))
                return Handler(*registered, tuple(unquote(part) for part in found.groups()))
        return None


RESOURCES = Resources()
"""Every resource of this org that composite and batch can reach too."""


class Address(NamedTuple):
    """A URL of the REST API, split into its parts."""

    version: str
    path: str
    query: dict[str, str]


def address(url: str) -> Address | None:
    """Return the parts of a URL such as `/services/data/v66.0/query?q=...`; None when it is not one of the REST API."""
    found = _ADDRESS.fullmatch(url)
    if found is None:
        return None
    version, path, query = found.groups()
    return Address(version, path or "", dict(parse_qsl(query or "", keep_blank_values=True)))


def served(version: str, oldest: int = OLDEST_VERSION) -> bool:
    """Return whether this org serves an API version such as "66.0"."""
    found = _VERSION.fullmatch(version)
    return found is not None and oldest <= int(found[1]) <= NEWEST_VERSION


def refused(error: OrgError) -> Reply:
    """Return the answer for an error."""
    return Reply(error.status, error.body())
