"""What collections do: a graph written by them inside a composite, all or none, and deletes, each for itself.

Every refused record is named.

A composite graph names only the first record that the org refuses, and the org runs no more graphs after 14 refused
ones. A collection names each of its records. A composite with allOrNone keeps or undoes all its collections together
(REST API guide, "allOrNone Parameters in Composite and Collections Requests").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from quotejob.salesforce.graphs import Graph, GraphOutcome, Node, NodeError, to_json
from quotejob.salesforce.translate import faults

MAX_ROWS = 200  # in a collection
MAX_COLLECTIONS = 5  # in a composite
ALREADY_DELETED = "ENTITY_IS_DELETED"
UNDONE = "ALL_OR_NONE_OPERATION_ROLLED_BACK"  # the code of a record that was undone because of another


def request_body(graph: Graph, api_version: str) -> bytes:
    """Return the body of the composite. Raises ValueError for what it cannot hold: other methods, too many records."""
    parts = _parts(graph)
    if len(parts) > MAX_COLLECTIONS or any(node.method != "POST" for node in graph.nodes):
        raise ValueError(f"{len(graph.nodes)} records do not fit into {MAX_COLLECTIONS} collections of new records")
    places = {
        f"@{{{node.reference_id}.id}}": f"@{{{part}[{place}].id}}"
        for part, some in parts.items()
        for place, node in enumerate(some)
    }
    url = f"/services/data/v{api_version}/composite/sobjects"
    requests = [
        {
            "method": "POST",
            "url": url,
            "referenceId": part,
            "body": {"allOrNone": True, "records": [_record(node, places) for node in some]},
        }
        for part, some in parts.items()
    ]
    return to_json({"allOrNone": True, "collateSubrequests": False, "compositeRequest": requests})


def outcome_of(graph: Graph, answer: Any) -> GraphOutcome:
    """Return the outcome of the graph. Raises an error of its reading, such as KeyError, for another body.

    It is ``not_run`` if the org wrote nothing and named no record: what is wrong does not belong to a single record.
    """
    said = {part["referenceId"]: part["body"] for part in answer["compositeResponse"]}
    ids: dict[str, str] = {}
    errors: list[NodeError] = []
    for part, some in _parts(graph).items():
        rows = said[part]
        if "success" not in rows[0]:
            continue  # the errors of a part that was not run, or was refused as a whole
        for node, row in zip(some, rows, strict=True):
            if row["success"]:
                ids[node.reference_id] = row["id"]
            else:
                errors += _errors(node, row)
    if errors or len(ids) < len(graph.nodes):
        return GraphOutcome(graph.graph_id, False, errors=tuple(errors), not_run=not errors)
    return GraphOutcome(graph.graph_id, True, ids)


def _parts(graph: Graph) -> dict[str, list[Node]]:
    """Return the nodes by object, as many as a collection takes: part -> its nodes. Parents come first."""
    order = {target: place for place, target in enumerate(dict.fromkeys(node.target for node in graph.nodes))}
    same = groupby(sorted(graph.nodes, key=lambda node: order[node.target]), key=lambda node: node.target)
    cut = [part for _, some in same for part in _cut(list(some))]
    return {f"part{number}": part for number, part in enumerate(cut)}


def _cut(some: Sequence[Node]) -> Iterator[list[Node]]:
    for start in range(0, len(some), MAX_ROWS):
        yield list(some[start : start + MAX_ROWS])


def _record(node: Node, places: Mapping[str, str]) -> dict[str, Any]:
    """Return a node as a record of a collection. ``places``: references inside a graph -> inside a composite."""
    body = (node.body or {}).items()
    filled = {name: places.get(value, value) if isinstance(value, str) else value for name, value in body}
    return {"attributes": {"type": node.target}, **filled}


def _errors(node: Node, row: Mapping[str, Any]) -> Iterator[NodeError]:
    for fault in faults(row["errors"]):
        if fault.code != UNDONE:
            yield NodeError(node.reference_id, fault.code, fault.message, fault.fields, 400)


def outcomes_of_deletes(ids: Sequence[str], answer: Any) -> dict[str, NodeError | None]:
    """Return for each id why the record was not deleted; None: it is deleted, perhaps by an earlier request.

    The rows of the answer come in the order of the ids. A row of a deleted record has its id, which is checked. Raises
    an error of its reading, such as KeyError, for another body.
    """
    return {record_id: _not_deleted(record_id, row) for record_id, row in zip(ids, answer, strict=True)}


def _not_deleted(record_id: str, row: Mapping[str, Any]) -> NodeError | None:
    if row["success"]:
        if row["id"][:15] != record_id[:15]:
            raise KeyError("id")
        return None
    fault = faults(row["errors"])[0]
    if fault.code == ALREADY_DELETED:
        return None
    return NodeError(record_id, fault.code, fault.message, fault.fields, 400)
