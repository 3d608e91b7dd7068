"""sObject tree: nested rows created in one request, all or none (REST API guide, "sObject Tree")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from localorg import errors
from localorg.errors import OrgError
from localorg.http.registry import RESOURCES, Call, Reply, Way
from localorg.permissions import Action, check
from localorg.rest.collections import row_error
from localorg.rest.query import no_such_type
from localorg.rest.sobjects import the_object
from localorg.schema.model import SObject

MOST_ROWS = 200
MOST_LEVELS = 5
MOST_TYPES = 5


@dataclass(slots=True)
class Branch:
    """One row to create, the rows below it, and the field that gets the id of its parent."""

    reference_id: str
    sobject: SObject
    values: dict[str, Any]
    parent_field: str | None = None
    below: list[Branch] = field(default_factory=list)
    id: str = ""


class BadTree(Exception):
    """The refusal of a tree before anything is written; the results say why."""

    def __init__(self, reference_id: str, code: str, message: str) -> None:
        super().__init__(message)
        error = {"statusCode": code, "message": message, "fields": []}
        self.results = [{"referenceId": reference_id, "errors": [error]}]


# --- reading the request ------------------------------------------------------------------------------------------


def _read(call: Call, sobject: SObject) -> list[Branch]:
    """Return the rows of a request, checked against every limit."""
    trees = _branches(call, sobject, call.json_object(), None, 1)
    rows = list(_all(trees))
    if len(rows) > MOST_ROWS:
        message = f"record limit reached. cannot submit more than {MOST_ROWS} records into this call"
        raise BadTree("", "EXCEEDED_ID_LIMIT", message)
    counted = Counter(branch.reference_id for branch in rows)
    if twice := next((name for name, count in counted.items() if count > 1), None):
        raise BadTree(twice, "INVALID_INPUT", "Duplicate ReferenceId provided in the request.")
    if len({branch.sobject.name for branch in rows}) > MOST_TYPES:
        raise BadTree("", "INVALID_INPUT", f"A tree holds records of at most {MOST_TYPES} types.")
    return trees


def _all(branches: list[Branch]) -> Iterator[Branch]:
    for branch in branches:
        yield branch
        yield from _all(branch.below)


def _by_level(branches: list[Branch]) -> list[Branch]:
    """Return all rows level by level, in the order of the platform."""
    below = [child for branch in branches for child in branch.below]
    return branches + _by_level(below) if below else branches


def _branches(
    call: Call, sobject: SObject, holder: dict[str, Any], parent_field: str | None, level: int
) -> list[Branch]:
    rows = holder.get("records")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise errors.json_parser_error("Cannot deserialize request body: a list of objects named records was expected")
    if level > MOST_LEVELS:
        raise BadTree("", "INVALID_INPUT", f"A tree has at most {MOST_LEVELS} levels.")
    return [_branch(call, sobject, row, parent_field, level) for row in rows]


def _branch(call: Call, sobject: SObject, row: dict[str, Any], parent_field: str | None, level: int) -> Branch:
    attributes = row.get("attributes")
    said = attributes if isinstance(attributes, dict) else {}
    reference_id, name = said.get("referenceId"), said.get("type")
    if not isinstance(reference_id, str) or not reference_id:
        raise BadTree("", "INVALID_INPUT", "Include a ReferenceId for each record in the request.")
    if not isinstance(name, str) or name.lower() != sobject.name.lower():
        raise BadTree(reference_id, "INVALID_INPUT", f"The record's type has to be {sobject.name}, not {name}.")
    branch = Branch(reference_id, sobject, {}, parent_field)
    for key, value in row.items():
        child = sobject.child(key)
        if child is not None and isinstance(value, dict):
            below = call.org.schema.objects[child.child]
            branch.below += _branches(call, below, value, child.field, level + 1)
        elif key != "attributes":
            branch.values[key] = value
    return branch


# --- writing ------------------------------------------------------------------------------------------------------


class _Undo(Exception):
    def __init__(self, results: list[dict[str, Any]]) -> None:
        super().__init__()
        self.results = results


@RESOURCES.add("POST", "/composite/tree/{}", Way.WRITE)
def create_trees(call: Call, name: str) -> Reply:
    """Create the rows level by level; stop at the first level with failures, and report each failed row of it."""
    sobject = call.org.schema.object(name)
    if sobject is None:
        raise no_such_type(name)
    check(call.user, the_object(call, name).name, Action.CREATE)
    try:
        trees = _read(call, sobject)
        with call.org.savepoint():
            _write(call, trees)
            call.org.records.settle()
    except (BadTree, _Undo) as refused:
        return Reply(400, {"hasErrors": True, "results": refused.results})
    rows = _by_level(trees)
    for branch in rows:
        call.work.write(branch.sobject.name)
    return Reply(
        201, {"hasErrors": False, "results": [{"referenceId": each.reference_id, "id": each.id} for each in rows]}
    )


def _write(call: Call, level: list[Branch]) -> None:
    while level:
        failed = []
        for branch in level:
            try:
                branch.id = call.org.records.create(branch.sobject.name, branch.values)
            except OrgError as error:
                failed.append({"referenceId": branch.reference_id, "errors": [row_error(error)]})
        if failed:
            raise _Undo(failed)
        level = [_hung_on(branch, child) for branch in level for child in branch.below]


def _hung_on(parent: Branch, child: Branch) -> Branch:
    if child.parent_field is not None:
        child.values[child.parent_field] = parent.id
    return child
