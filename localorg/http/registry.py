"""REST resources as plain functions, so that one of them serves HTTP, composite and batch alike.

A resource is a function from a Call to a Reply, registered for a method and a path below `/services/data/vXX.X`. How
it reaches the data is part of its registration: PLAIN ones need no database, READ ones run in the database thread, and
WRITE ones there in a transaction.
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

_ADDRESS = re.compile(r"/services/data/v(\d{1,3}\.\d)(/[^?#]*)?(?:\?([^#]*))?(?:#.*)?")


class Way(Enum):
    """How a resource reaches the data."""

    PLAIN = "plain"
    READ = "read"
    WRITE = "write"


class Reply(NamedTuple):
    """An answer: HTTP status, JSON-ready body (None: no body), headers of its own."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = {}


@dataclass(slots=True)
class Call:
    """One request to a resource. Header names are in small letters; the body is the JSON read, None without one."""

    org: Org
    user: User
    work: Work
    method: str
    version: str
    path: str  # below /services/data/vXX.X, as it was sent
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """The path of this API version."""
        return f"/services/data/v{self.version}"

    def json_object(self) -> dict[str, Any]:
        """The body, which has to be a JSON object; raises OrgError (400 JSON_PARSER_ERROR)."""
        if not isinstance(self.body, dict):
            raise errors.json_parser_error("Cannot deserialize request body: a JSON object was expected")
        return self.body

    def flag(self, name: str) -> bool:
        """Whether the query string says name=true."""
        return self.query.get(name, "").lower() == "true"


Resource = Callable[..., Reply]


class Handler(NamedTuple):
    """A resource, ready to be called with a Call: how it runs, and the parts of the path it takes."""

    resource: Resource
    way: Way
    parts: tuple[str, ...]

    def answer(self, call: Call) -> Reply:
        """What the resource answers."""
        return self.resource(call, *self.parts)


class Resources:
    """Every registered resource; of the paths that fit a request, the one with the fewest open parts has it."""

    def __init__(self) -> None:
        # In the order they are tried.
        self._paths: list[tuple[int, re.Pattern[str], dict[str, tuple[Resource, Way]]]] = []

    def add(self, method: str, path: str, way: Way) -> Callable[[Resource], Resource]:
        """Registers a function for a method and a path such as `/sobjects/{}/describe`.

        Each `{}` is one part of the path, `{+}` the rest of it; they are handed over decoded. A trailing slash is
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
        """The resource of a path as it was sent; None when there is no such path, OrgError 405 for a wrong method."""
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
    """A URL of the REST API taken apart."""

    version: str
    path: str
    query: dict[str, str]


def address(url: str) -> Address | None:
    """The parts of a URL such as `/services/data/v66.0/query?q=...`; None when it is not one of the REST API."""
    found = _ADDRESS.fullmatch(url)
    if found is None:
        return None
    version, path, query = found.groups()
    return Address(version, path or "", dict(parse_qsl(query or "", keep_blank_values=True)))


def served(version: str) -> bool:
    """Whether this org serves an API version such as "66.0"."""
    whole, _, part = version.partition(".")
    return part == "0" and len(whole) < 4 and OLDEST_VERSION <= int(whole) <= NEWEST_VERSION


def refused(error: OrgError) -> Reply:
    """The answer that an error makes."""
    return Reply(error.status, error.body())
