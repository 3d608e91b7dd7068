"""Composite graph: the request and the answer (REST API guide, Composite Graph).

A graph is all or nothing. Graphs of one request are independent. Answers are found by id, never by place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from quotejob.salesforce.translate import HALTED, Fault, Kind, faults, kind_of

MAX_GRAPHS = 75  # in a request
MAX_NODES = 500  # in a request, of all its graphs


@dataclass(frozen=True, slots=True)
class Node:
    """One record to write."""

    reference_id: str  # letters, digits, _; unique in its graph; others refer to it as "@{reference_id.id}"
    method: str  # POST, PATCH, DELETE, GET
    target: str  # below sobjects/: "Quote", "Quote/ID" or "Quote/ExternalIdField/VALUE"
    body: Mapping[str, Any] | None = None  # Decimal goes out digit for digit


@dataclass(frozen=True, slots=True)
class Graph:
    """Records that are written together or not at all."""

    graph_id: str  # under 40 characters, starts with a letter or digit, no "."
    nodes: Sequence[Node]


@dataclass(frozen=True, slots=True)
class NodeError:
    """The org's reason for refusing a record."""

    reference_id: str
    code: str
    message: str
    fields: tuple[str, ...] = ()
    http_status: int = 0  # the node's own; the request's is 200

    @property
    def kind(self) -> Kind:
        """The kind of error, which says what to do: a row lock is tried again, a missing field is not."""
        return kind_of(self.code, self.message, self.http_status)


@dataclass(frozen=True, slots=True)
class GraphOutcome:
    """What happened to one graph."""

    graph_id: str
    ok: bool
    ids: Mapping[str, str] = field(default_factory=dict)  # record ids by reference_id; empty unless ok
    errors: tuple[NodeError, ...] = ()  # only of the nodes that are the cause
    not_run: bool = False  # the org did not run it (it stops after 14 failed graphs): send it again


def to_json(value: Any) -> bytes:
    """Return the value as JSON. Each Decimal keeps all its digits."""
    return orjson.dumps(value, default=_exact)


def _exact(value: Any) -> orjson.Fragment:
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(format(value, "f"))
    raise TypeError(f"{type(value).__name__} cannot be sent to an org")


def request_of(graphs: Iterable[Graph], api_version: str) -> tuple[bytes, dict[str, list[str]]]:
    """Return the body of a graph request, and what :func:`outcomes_of` has to know of it.

    That is small. So graphs that are made as they are needed do not take memory while the org works. Raises ValueError
    if no org would accept the request, so no call is wasted.
    """
    bodies: list[bytes] = []
    created: dict[str, list[str]] = {}  # graph id -> the reference ids of its new records
    nodes = 0
    for graph in graphs:
        bodies.append(to_json(_graph(graph, api_version)))
        created[graph.graph_id] = [node.reference_id for node in graph.nodes if node.method == "POST"]
        nodes += len(graph.nodes)
    if len(bodies) > MAX_GRAPHS or nodes > MAX_NODES:
        limits = f"at most {MAX_GRAPHS} and {MAX_NODES}"
        raise ValueError(f"a graph request of {len(bodies)} graphs and {nodes} nodes is too large: {limits}")
    if len(created) < len(bodies):
        raise ValueError("graph ids must differ inside a request")
    return b'{"graphs":[' + b",".join(bodies) + b"]}", created


def _graph(graph: Graph, api_version: str) -> dict[str, Any]:
    return {"graphId": graph.graph_id, "compositeRequest": [_node(node, api_version) for node in graph.nodes]}


def _node(node: Node, api_version: str) -> dict[str, Any]:
    url = f"/services/data/v{api_version}/sobjects/{node.target}"
    request: dict[str, Any] = {"url": url, "method": node.method, "referenceId": node.reference_id}
    return request if node.body is None else request | {"body": node.body}


def read_answer(answer: Any) -> dict[str, GraphOutcome]:
    """Return the outcomes in an answer's body, by graph id. Raises an error of its reading for another body."""
    return {graph["graphId"]: _outcome(graph) for graph in answer["graphs"]}


def outcomes_of(created: Mapping[str, Sequence[str]], answer: Any) -> dict[str, GraphOutcome]:
    """Return the outcome of each graph that was sent, by its id. ``created``: as :func:`request_of` gives it.

    Raises an error of its reading, such as KeyError, for another body, and if the id of a new record is not there.
    """
    outcomes = read_answer(answer)
    for graph_id, references in created.items():
        outcome = outcomes[graph_id]
        if outcome.ok and not all(outcome.ids.get(reference) for reference in references):
            raise KeyError("id")
    return {graph_id: outcomes[graph_id] for graph_id in created}


def _outcome(graph: dict[str, Any]) -> GraphOutcome:
    graph_id, nodes = graph["graphId"], graph["graphResponse"]["compositeResponse"]
    if graph["isSuccessful"]:
        ids = {node["referenceId"]: node["body"]["id"] for node in nodes if "id" in (node["body"] or ())}
        return GraphOutcome(graph_id, True, ids)
    errors = tuple(error for node in nodes for error in _errors(node))
    return GraphOutcome(graph_id, False, errors=errors, not_run=not errors)


def _errors(node: dict[str, Any]) -> Iterator[NodeError]:
    status = int(node["httpStatusCode"])
    if status < 400:
        return
    for fault in faults(node["body"]) or [Fault(f"HTTP_{status}", f"The org answered {status} without a reason.")]:
        if not _is_halted_by_another(fault):
            yield NodeError(node["referenceId"], fault.code, fault.message, fault.fields, status)


def _is_halted_by_another(fault: Fault) -> bool:
    """Return whether the node stopped only because another node failed.

    A reference to nothing has the same code, but is the node's own error.
    """
    return fault.code == HALTED and kind_of(fault.code, fault.message) is Kind.RETRY


# --- composite requests without a graph ---------------------------------------------------------------------------


class Part(NamedTuple):
    """One part of a composite request. ``path`` is below /services/data/vXX.X/."""

    name: str
    method: str
    path: str
    body: dict[str, Any]


class Said(NamedTuple):
    """The org's answer to one part: its HTTP status and its body."""

    status: int
    body: Any


def parts_body(parts: Sequence[Part], api_version: str) -> bytes:
    """Return the body of a request whose parts succeed or fail by themselves (REST API guide, "Composite")."""
    requests = [
        {
            "method": part.method,
            "url": f"/services/data/v{api_version}/{part.path}",
            "referenceId": part.name,
            "body": part.body,
        }
        for part in parts
    ]
    return to_json({"allOrNone": False, "collateSubrequests": False, "compositeRequest": requests})


def answers_to_parts(answer: Any) -> dict[str, Said]:
    """Return what the org said to each part, by name. Raises an error of its reading for another body."""
    return {
        part["referenceId"]: Said(int(part["httpStatusCode"]), part["body"]) for part in answer["compositeResponse"]
    }
