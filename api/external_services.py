"""What Salesforce makes of openapi.yaml, and what the document therefore has beside what flask-smorest writes.

External Services makes Apex classes and Flow actions of it: an integer without a format loses its default, null is
no value of an enum, and a name that Apex reserves is encoded. AppLink reads the ``x-sfdc`` blocks. Salesforce Help:
"External Services Schema Definition", "Reserved Keywords". Heroku Dev Center: "Configuring OpenAPI Specification for
Heroku AppLink".
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

# Names that Apex does not take as they are, and the query parameter that may be sent instead.
ALIASES = {"Idempotency-Key": "idempotencyKey", "limit": "pageSize", "sort": "sortBy"}
# The External Client App and the session-based permission set that publishing makes in the org, by these names.
APPLINK = {
    "heroku": {
        "authorization": {
            "externalClientApp": "GenerateQuoteJobClientApp",
            "permissionSet": "GenerateQuoteJobPermissions",
        }
    }
}
ACTION = {"agent": {"action": {"publishAsAgentAction": True}}}
TOPIC = {
    "agent": {
        "topic": {
            "name": "quote_jobs",
            "classificationDescription": "Questions about quote pricing jobs: whether a job runs, how far it is, when "
            "it will end, and how many of its Opportunities got a Quote.",
            "scope": "Only look at quote pricing jobs of this org and say how they are. Do not submit, stop or change "
            "a job, and do not compute prices.",
            "instructions": [
                "Ask for the id of the job if the user has not given it. Never make one up.",
                "Say the status in the words of the answer, with the numbers of succeeded, failed and skipped records.",
                "If records failed, say so, and that the job's results have the reason of each.",
            ],
        }
    }
}
_METHODS = {"get", "post", "patch", "put", "delete"}
_FORMATS = {"integer": "int32", "number": "double"}


def adapt(document: dict[str, Any]) -> None:
    """Change a document so that External Services, Apex and AppLink read all of it."""
    document["servers"] = [{"url": "/"}]
    document["security"] = [{"clientContext": []}]  # once: in an operation, it would keep it from being an agent action
    document["x-sfdc"] = copy.deepcopy(TOPIC)
    _plain(document)
    for path in document["paths"].values():
        for operation in [path[method] for method in sorted(path.keys() & _METHODS)]:
            if "parameters" in operation:
                operation["parameters"] = list(_with_aliases(operation["parameters"]))
            _optional_fields_take_null(document, operation)
            if "agent" in operation["x-sfdc"]:
                _for_an_agent(document, operation, path.get("parameters", []) + operation.get("parameters", []))


def _plain(node: Any) -> None:
    """Give every number its format; remove null as a default or in an enum, and how lists are written in a query."""
    for one in _objects(node):
        if "in" in one:
            one.pop("explode", None)
            one.pop("style", None)
        if one.get("type") in ("integer", "number"):
            one.setdefault("format", _FORMATS[one["type"]])
        if one.get("default", ...) is None:
            del one["default"]
        if isinstance(one.get("enum"), list):
            one["enum"] = [value for value in one["enum"] if value is not None]


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every JSON object in a document."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    for one in node if isinstance(node, list) else ():
        yield from _objects(one)


def _with_aliases(parameters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for parameter in parameters:
        yield parameter
        if alias := ALIASES.get(parameter["name"]):
            name = parameter["name"]
            schema = {key: value for key, value in parameter["schema"].items() if key != "default"}
            text = f"The same as {name}, by a name that Apex takes as it is. If both are sent, {name} counts"
            yield {"in": "query", "name": alias, "description": text, "schema": schema, "required": False}


def _optional_fields_take_null(document: dict[str, Any], operation: dict[str, Any]) -> None:
    """Say of the optional fields of a body that null counts as left out; blueprint.Parser reads them so."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = _resolved(document, content["schema"])
        for name, field in schema.get("properties", {}).items():
            if name not in schema.get("required", ()) and "$ref" not in field:
                field["nullable"] = True


def _for_an_agent(document: dict[str, Any], operation: dict[str, Any], parameters: list[dict[str, Any]]) -> None:
    """Write the schemas of an agent action in place, with what an agent may ask for and show.

    Such marks may not be in a schema that is reached by a reference.
    """
    for parameter in parameters:
        parameter["schema"]["x-sfdc"] = _marks(asked=True)
    for status, answer in operation["responses"].items():
        if status < "400":
            content = answer["content"]["application/json"]
            schema = copy.deepcopy(_resolved(document, content["schema"]))
            for field in schema["properties"].values():
                field["x-sfdc"] = _marks(asked=False)
            content["schema"] = schema


def _marks(*, asked: bool) -> dict[str, Any]:
    return {"agent": {"action": {"isUserInput": asked, "isDisplayable": True}}}


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    found: dict[str, Any] = document["components"]["schemas"][reference.rpartition("/")[2]] if reference else schema
    return found
