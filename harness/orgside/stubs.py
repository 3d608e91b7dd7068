"""The Apex that the platform makes of openapi.yaml when it is published, as far as a type check needs it.

A published service is the class HerokuAppLink.QuoteJob, with a method, a request and a response for each operation. A
schema is a class QuoteJob_NAME beside it. Salesforce Help, "External Services": the naming rules, the reserved words
and "Invoke External Service Callouts Using Apex". The names of schemas written in place are not documented there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMESPACE, SERVICE = "HerokuAppLink", "QuoteJob"
# Apex Developer Guide, "Reserved Keywords"; "type" is encoded by External Services too.
RESERVED = frozenset((Path(__file__).parent / "reserved.txt").read_text(encoding="utf-8").split())
_TYPES = {"string": "String", "boolean": "Boolean", "integer": "Integer", "number": "Double"}
_FORMATS = {"date-time": "Datetime", "date": "Date", "int64": "Long"}
_METHODS = ("get", "post", "put", "patch", "delete")


def apex_name(name: str) -> str:
    """Return the name that Apex has for one of the document: z0 before a reserved word, xHH for other characters."""
    encoded = "".join(
        one if one.isascii() and one.isalnum() else "".join(f"x{byte:02x}" for byte in one.encode()) for one in name
    )
    return f"z0{encoded}" if encoded.lower() in RESERVED else encoded


def write(document: dict[str, Any], folder: Path) -> None:
    """Write the classes of a document into ``folder``, as sfdx source."""
    for name, body in _Stubs(document).classes():
        write_class(folder, name, body)


def write_class(folder: Path, name: str, body: str) -> None:
    """Write one class and its metadata file."""
    (folder / f"{name}.cls").write_text(body, encoding="utf-8")
    (folder / f"{name}.cls-meta.xml").write_text(
        '<ApexClass xmlns="http://soap.sforce.com/2006/04/metadata"><apiVersion>66.0</apiVersion></ApexClass>\n'
    )


class _Stubs:
    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.in_place: dict[str, dict[str, Any]] = {}

    def classes(self) -> Iterator[tuple[str, str]]:
        """Yield the name and the text of each class."""
        service = "".join(f"{line}\n" for operation in self._operations() for line in self._operation(*operation))
        yield SERVICE, f"global class {SERVICE} {{\n{service}}}\n"
        for name, schema in {**self.document["components"]["schemas"], **self.in_place}.items():
            fields = "".join(
                f"  global {self._type(field, f'{name}_{key}')} {apex_name(key)};\n"
                f"  global Boolean {apex_name(key)}_set;\n"
                for key, field in schema.get("properties", {}).items()
            )
            yield f"{SERVICE}_{apex_name(name)}", f"global class {SERVICE}_{apex_name(name)} {{\n{fields}}}\n"

    def _operations(self) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        for path in self.document["paths"].values():
            for method in _METHODS:
                if method in path:
                    yield path[method], path.get("parameters", []) + path[method].get("parameters", [])

    def _operation(self, operation: dict[str, Any], parameters: list[dict[str, Any]]) -> Iterator[str]:
        name = apex_name(operation["operationId"])
        fields = [(apex_name(one["name"]), self._type(one["schema"], one["name"])) for one in parameters]
        for content in operation.get("requestBody", {}).get("content", {}).values():
            fields.append(("body", self._type(content["schema"], f"{name}_IN_body")))
        given = "".join(f"global {kind} {field}; " for field, kind in fields)
        answers = {
            status: self._type(content["schema"], f"{name}_OUT_{status}")
            for status, answer in operation["responses"].items()
            for content in answer.get("content", {}).values()
        }
        good = "".join(f"global {kind} Code{status}; " for status, kind in answers.items() if status < "300")
        bad = "".join(f"global {kind} Code{status}; " for status, kind in answers.items() if status >= "300")
        yield f"  global class {name}_Request {{ {given}}}"
        yield f"  global class {name}_Response {{ global Integer responseCode; {good}}}"
        yield f"  global class {name}_ResponseException extends Exception {{ global Integer responseCode; {bad}}}"
        argument = f"{name}_Request request" if fields else ""
        yield f"  global {name}_Response {name}({argument}) {{ return null; }}"

    def _type(self, schema: dict[str, Any], name: str) -> str:
        if reference := schema.get("$ref"):
            return f"{SERVICE}_{apex_name(reference.rpartition('/')[2])}"
        kind = schema.get("type", "object")
        if kind == "array":
            return f"List<{self._type(schema['items'], name)}>"
        if kind != "object":
            return _FORMATS.get(schema.get("format", ""), _TYPES[kind])
        if isinstance(schema.get("additionalProperties"), dict):
            return f"Map<String, {self._type(schema['additionalProperties'], name)}>"
        if not schema.get("properties"):
            return "Object"
        self.in_place[name.replace("_", "")] = schema
        return f"{SERVICE}_{apex_name(name.replace('_', ''))}"
