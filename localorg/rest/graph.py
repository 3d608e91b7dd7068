"""Composite graph: up to 500 writes in one request, each graph all or none (REST API guide, "Composite Graph").

The limits are those of "Composite Graph Limits". The guide does not say everything. Here a payload over a limit is
refused completely with 400. A reference must name a node earlier in the list. In a failed graph only the first failed
node has an error of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

from aiohttp import web

from localorg import errors
from localorg.data.records import SeveralMatches
from localorg.errors import OrgError
from localorg.http.answers import answer
from localorg.lab.stats import Work
from localorg.org import ORG, Org
from localorg.rest.query import read_object
from localorg.rest.references import HALTED, REFERENCE_ID, ROLLED_BACK, fill, names
from localorg.rest.sobjects import several_urls
from localorg.schema.model import SObject

MOST_GRAPHS = 75
MOST_NODES = 500  # in all graphs of one request together
MOST_DEPTH = 15  # a node without references has depth 1
MOST_KINDS = 15  # a kind is an API version, a method and an object
MOST_FAILURES = 14  # failed graphs; after one more failure the other graphs do not run

_NOT_RUN = f"The graph was not run since more than {MOST_FAILURES} graphs of the request failed."

_URL = re.compile(r"/services/data/v(\d+\.\d)/sobjects/([^/?]+)(?:/([^/?]+))?(?:/([^?]+?))?/?(?:\?(.*))?", re.ASCII)
_GRAPH_ID = re.compile(r"[A-Za-z0-9][^.]{0,38}")
_METHODS = {1: {"POST"}, 2: {"DELETE", "GET", "PATCH", "POST"}, 3: {"DELETE", "GET", "PATCH", "POST"}}


class Address(NamedTuple):
    """The target of a node's url: an object, one of its rows, or a row by external id."""

    version: str
    object_name: str
    key: str | None  # an id; or the name of the external id field, when value is given
    value: str | None
    query: str | None

    @property
    def length(self) -> int:
        """The number of parts after `sobjects/`."""
        return 1 if self.key is None else 2 if self.value is None else 3


@dataclass(slots=True)
class Node:
    """One request of a graph."""

    reference_id: str
    method: str
    url: str
    body: dict[str, Any]
    address: Address
    refers_to: set[str]


@dataclass(slots=True)
class Graph:
    """The nodes that succeed or fail together."""

    graph_id: str
    nodes: list[Node] = field(default_factory=list)


# --- reading the request ------------------------------------------------------------------------------------------


def read_graphs(payload: Mapping[str, Any], version: str) -> list[Graph]:
    """Return the graphs of a request, checked against every limit; raise OrgError to refuse all of them."""
    listed = payload.get("graphs")
    if not isinstance(listed, list) or not listed:
        raise _malformed("The request needs a list named graphs, with at least one graph")
    if len(listed) > MOST_GRAPHS:
        raise _over_limit("graphs", len(listed), MOST_GRAPHS)
    graphs = [_read_graph(each, strict=float(version) >= 52) for each in listed]
    _check_limits(graphs)
    return graphs


def _read_graph(given: Any, *, strict: bool) -> Graph:
    graph_id = given.get("graphId") if isinstance(given, dict) else None
    if not isinstance(graph_id, str) or not _GRAPH_ID.fullmatch(graph_id):
        what = "starts with a letter or a number, has fewer than 40 characters and no period"
        raise _malformed(f"A graphId {what}; provided: {graph_id!r}")
    nodes = given.get("compositeRequest")
    if not isinstance(nodes, list) or not nodes:
        raise _malformed(f"Graph {graph_id} needs a list named compositeRequest, with at least one node")
    graph = Graph(graph_id, [_read_node(each, strict) for each in nodes])
    if twice := _twice(node.reference_id for node in graph.nodes):
        raise _malformed(f"Duplicate referenceId provided: {twice}")
    return graph


def _read_node(given: Any, strict: bool) -> Node:
    if not isinstance(given, dict):
        raise _malformed("A node is a JSON object")
    reference_id, url, method = given.get("referenceId"), given.get("url"), given.get("method")
    if not isinstance(reference_id, str) or (strict and not REFERENCE_ID.fullmatch(reference_id)):
        what = "must start with a letter or a number, and it can contain only letters, numbers and underscores ('_')."
        raise _malformed(f"Provided referenceId ('{reference_id}') {what}")
    if not isinstance(url, str) or not isinstance(method, str):
        raise _malformed(f"Node {reference_id} needs a url and a method")
    address = _address(url)
    if method not in _METHODS[address.length]:
        raise _malformed(f"Composite graph does not support {method} {url}")
    body = given.get("body") or {}
    if not isinstance(body, dict):
        raise errors.json_parser_error(f"The body of node {reference_id} is not a JSON object")
    return Node(reference_id, method, url, body, address, _references(url, body))


def _references(url: str, body: Mapping[str, Any]) -> set[str]:
    """Return the referenceIds that a node names in its url and in its fields."""
    refers_to = set(names(url)) if "@{" in url else set()
    for value in body.values():
        if type(value) is not float and type(value) is not int:
            refers_to.update(names(value))
    return refers_to


@lru_cache(maxsize=4096)
def _address(url: str) -> Address:
    found = _URL.fullmatch(url)
    if found is None:
        raise _malformed(f"Composite graph does not support the url {url}")
    version, object_name, key, value, query = found.groups()
    if float(version) < 50:
        raise _malformed(f"The url {url} has to name version 50.0 or later")
    return Address(version, object_name, key, value, query)


def _check_limits(graphs: list[Graph]) -> None:
    if twice := _twice(graph.graph_id for graph in graphs):
        raise _malformed(f"Duplicate graphId provided: {twice}")
    nodes = sum(len(graph.nodes) for graph in graphs)
    if nodes > MOST_NODES:
        raise _over_limit("nodes", nodes, MOST_NODES)
    kinds = {(n.address.version, n.method, n.address.object_name.lower()) for graph in graphs for n in graph.nodes}
    if len(kinds) > MOST_KINDS:
        raise _over_limit("different nodes", len(kinds), MOST_KINDS)
    deepest = max(map(_depth, graphs))
    if deepest > MOST_DEPTH:
        raise _over_limit("levels of depth", deepest, MOST_DEPTH)


def _depth(graph: Graph) -> int:
    """Return the length of the longest chain of references. Count only those to earlier nodes: others fail later."""
    depths: dict[str, int] = {}
    for node in graph.nodes:
        above = max((depths.get(name, 0) for name in node.refers_to), default=0)
        depths[node.reference_id] = above + 1
    return max(depths.values())


def _twice(names: Iterator[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _malformed(message: str) -> OrgError:
    return OrgError(400, "INVALID_INPUT", message)


def _over_limit(what: str, given: int, most: int) -> OrgError:
    return OrgError(400, "LIMIT_EXCEEDED", f"A composite graph request takes at most {most} {what}; provided: {given}")


# --- running ------------------------------------------------------------------------------------------------------


class GraphRunner:
    """The run of the graphs of one request: in the database thread, inside the request's transaction."""

    def __init__(self, org: Org, work: Work) -> None:
        self._org = org
        self._records = org.records
        self._schema = org.schema
        self._savepoint = org.savepoint
        self._work = work
        self._doers = {"POST": self._create, "GET": self._read, "PATCH": self._change, "DELETE": self._delete}

    def run(self, graphs: list[Graph]) -> dict[str, Any]:
        """Run the graphs one by one and return the body of the answer; stop after more than 14 failed graphs."""
        results: list[dict[str, Any]] = []
        failures = 0
        for graph in graphs:
            result = self._run_graph(graph) if failures <= MOST_FAILURES else _failed(graph, None, _halted(_NOT_RUN))
            failures += not result["isSuccessful"]
            results.append(result)
        return {"graphs": results}

    def _run_graph(self, graph: Graph) -> dict[str, Any]:
        answers: dict[str, Any] = {}
        results: list[dict[str, Any]] = []
        work = Work()
        current = graph.nodes[0]
        try:
            with self._savepoint():
                for current in graph.nodes:
                    result = self._run_node(current, answers, work)
                    answers[current.reference_id] = result["body"]
                    results.append(result)
        except OrgError as error:
            return _failed(graph, current, error)
        self._work.rows_read += work.rows_read
        self._work.written.update(work.written)
        return {"graphId": graph.graph_id, "graphResponse": {"compositeResponse": results}, "isSuccessful": True}

    def _run_node(self, node: Node, answers: Mapping[str, Any], work: Work) -> dict[str, Any]:
        address, body = node.address, node.body
        if node.refers_to:
            address = _address(fill(node.url, answers)) if "@{" in node.url else address
            body = fill(body, answers)
        sobject = self._schema.object(address.object_name)
        if sobject is None or float(address.version) > 66:
            raise errors.not_found()
        address = address._replace(object_name=sobject.name)
        if sobject.event:
            said = self._publish(node, sobject, body)
            return {"body": said, "httpHeaders": {}, "httpStatusCode": 201, "referenceId": node.reference_id}
        status, said, headers = self._doers[node.method](address, body)
        if node.method == "GET":
            work.rows_read += 1
        else:
            work.written[sobject.name] += 1
        return {"body": said, "httpHeaders": headers, "httpStatusCode": status, "referenceId": node.reference_id}

    def _publish(self, node: Node, sobject: SObject, body: dict[str, Any]) -> dict[str, Any]:
        """Publish an event at once; it stays published when its graph is undone."""
        if node.method != "POST" or node.address.key is not None:
            raise errors.not_found()
        return self._org.events.publish(self._records.user, sobject, body)

    def _create(self, at: Address, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        if at.value is not None and at.key is not None:
            body = {**body, at.key: unquote(at.value)}
        elif at.key is not None and at.key.lower() != "id":
            raise errors.method_not_allowed("POST", ("DELETE", "GET", "HEAD", "PATCH"))
        record_id = self._records.create(at.object_name, body)
        location = f"/services/data/v{at.version}/sobjects/{at.object_name}/{record_id}"
        return 201, {"id": record_id, "success": True, "errors": []}, {"Location": location}

    def _read(self, at: Address, _body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        asked = parse_qs(at.query or "").get("fields")
        fields = asked[0].split(",") if asked else None
        return 200, self._records.get(at.object_name, self._id(at), fields, version=at.version), {}

    def _change(self, at: Address, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        if at.value is None or at.key is None:
            self._records.update(at.object_name, self._id(at), body)
            return 204, None, {}
        record_id, created = self._records.upsert(at.object_name, at.key, unquote(at.value), body)
        said = {"id": record_id, "success": True, "errors": [], "created": created}
        if not created:
            return 200, said, {}
        return 201, said, {"Location": f"/services/data/v{at.version}/sobjects/{at.object_name}/{record_id}"}

    def _delete(self, at: Address, _body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        self._records.delete(at.object_name, self._id(at))
        return 204, None, {}

    def _id(self, at: Address) -> str:
        if at.value is None:
            return unquote(at.key or "")
        return self._records.by_key(at.object_name, at.key or "", unquote(at.value))


def _failed(graph: Graph, culprit: Node | None, error: OrgError) -> dict[str, Any]:
    """Return the answer of an undone graph: the failed node has its error, the others were halted."""
    halted = error if culprit is None else _halted(ROLLED_BACK)
    results: list[dict[str, Any]] = []
    for node in graph.nodes:
        own = error if node is culprit else halted
        body = several_urls(own, node.address.version) if isinstance(own, SeveralMatches) else own.body()
        results.append(
            {"body": body, "httpHeaders": {}, "httpStatusCode": own.status, "referenceId": node.reference_id}
        )
    return {"graphId": graph.graph_id, "graphResponse": {"compositeResponse": results}, "isSuccessful": False}


def _halted(message: str) -> OrgError:
    return OrgError(400, HALTED, message)


# --- HTTP ---------------------------------------------------------------------------------------------------------

routes = web.RouteTableDef()


@routes.post(r"/services/data/v{version:[0-9]+\.[0-9]}/composite/graph{slash:/?}")
async def post_graph(request: web.Request) -> web.StreamResponse:
    """Run a composite graph request; the status is 200 even when every graph failed."""
    org, work = request.app[ORG], request["work"]
    graphs = read_graphs(await read_object(request), request.match_info["version"])
    return answer(await org.transaction(_run, org, graphs, work))


def _run(org: Org, graphs: list[Graph], work: Work) -> dict[str, Any]:
    return GraphRunner(org, work).run(graphs)
