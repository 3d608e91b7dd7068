"""openapi.yaml, made from the routes: OpenAPI 3.0 within what Salesforce External Services accepts.

That is: no response headers, no body on GET, every answer with a schema, JSON only. The CSV of getJobResults is only in
its description, because External Services does not read text/csv. The caller's context is not a parameter: the AppLink
mesh adds this header, and a declared one would become an argument of every Apex call. It is a security scheme instead.
External Services ignores it, and Swagger UI shows it under "Authorize".

``bin/openapi`` writes the file. A test compares it with the code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from flask import Flask
from flask_smorest import Api

from api import external_services
from api.operations import audit, callback, diagnosis, dryrun, flexqueue, forecast, jobtypes, many, schedules
from api.wire.errors import ErrorSchema
from quotejob.version import VERSION

PATH = Path(__file__).resolve().parent.parent / "openapi.yaml"
_HEAD = "# Made from the code in api/ by bin/openapi; change the code, not this file.\n"
_TOP = ("openapi", "info", "servers", "security", "x-sfdc", "tags", "paths", "components")
_OPERATION = ("operationId", "summary", "description", "tags", "parameters", "requestBody", "responses")
_INFO = {
    "title": "quotejob",
    "version": VERSION,
    "openapi_version": "3.0.3",
    "info": {
        "description": "Does the work of a batch outside the org. It takes a SOQL WHERE clause, and writes one Quote "
        "with its lines for each matching Opportunity, exactly once. An operation that submits a job answers with the "
        "job's id at once. Every answer has the header X-Request-Id: that of the request's x-request-id, or a new one. "
        "Every 201 and 202 has Location, every 429 and 503 Retry-After (in seconds), every 405 Allow.",
    },
}


class _Api(Api):
    ERROR_SCHEMA = ErrorSchema
    DEFAULT_ERROR_RESPONSE_NAME = None  # each operation names its own


def make(app: Flask) -> Any:
    """Return flask-smorest's Api on the app, with every route that is in the document."""
    api = _Api(app, spec_kwargs=dict(_INFO))
    api.spec.components.security_scheme(
        "clientContext",
        {
            "type": "apiKey",
            "in": "header",
            "name": "x-client-context",
            "description": "Who calls, and for which org: the base64 of a JSON object with orgId, orgDomainUrl, "
            "apiVersion (such as 66.0), accessToken and userContext (an object with userId and username); requestId "
            "and namespace may be left out. The AppLink service mesh adds this header to the calls of an org",
        },
    )
    api.register_blueprint(many.blueprint)  # that of jobs, with the operations of both files
    api.register_blueprint(jobtypes.blueprint)
    api.register_blueprint(flexqueue.blueprint)
    api.register_blueprint(schedules.blueprint)
    api.register_blueprint(dryrun.blueprint)
    api.register_blueprint(forecast.blueprint)
    api.register_blueprint(diagnosis.blueprint)
    api.register_blueprint(audit.blueprint)
    callback.register(api)
    return api


def document() -> str:
    """Return the document as YAML. Needs no settings."""
    found = json.loads(json.dumps(make(Flask("api")).spec.to_dict()))
    external_services.adapt(found)
    callback.describe(found)
    for path in found["paths"].values():
        for method in path.keys() & {"get", "post", "patch", "delete"}:
            path[method] = _tidy(path[method])
    _remove_unused(found)
    return _HEAD + yaml.safe_dump(_ordered(found, _TOP), sort_keys=False, allow_unicode=True, width=120)


def _remove_unused(found: dict[str, Any]) -> None:
    """Remove the schemas that nothing refers to: flask-smorest's own, and those that were written in place."""
    text, schemas = json.dumps(found), found["components"]["schemas"]
    for name in list(schemas):
        if f'"#/components/schemas/{name}"' not in text:
            del schemas[name]


def _tidy(operation: dict[str, Any]) -> dict[str, Any]:
    """Put an operation in reading order: description on one line, answers by status."""
    operation["description"] = " ".join(operation["description"].split())
    operation["responses"] = dict(sorted(operation["responses"].items()))
    return _ordered(operation, _OPERATION)


def _ordered(mapping: dict[str, Any], first: tuple[str, ...]) -> dict[str, Any]:
    return {name: mapping[name] for name in first if name in mapping} | mapping


def write() -> None:
    """Write openapi.yaml at the root of the repository."""
    PATH.write_text(document(), encoding="utf-8")
