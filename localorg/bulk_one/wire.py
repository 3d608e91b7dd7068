"""How this API reads and writes XML and JSON (Bulk API guide, "Prepare XML and JSON Files", "Content Type Header")."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import orjson
from aiohttp import web

from localorg.bulk_one.job import refuse
from localorg.data.values import stamp
from localorg.http.bulk_one import NAMESPACE, escaped

XML, CSV, JSON = "application/xml", "text/csv", "application/json"
# Without a charset: the client salesforce-bulk compares the whole header.
KINDS = {"XML": XML, "CSV": CSV, "JSON": JSON}
NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_DEEPEST = 8  # elements inside each other; a record with a reference to a parent has 5
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


class _Guarded(ElementTree.TreeBuilder):
    """A builder that refuses what can make a small document huge, or reach outside of it: a DTD; and deep nesting."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def doctype(self, *_: object) -> None:
        """Refuse the document before any entity of its DTD is used."""
        raise refuse("InvalidXML", "A document type declaration is not allowed")

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        """Begin an element."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise refuse("InvalidXML", f"The elements are nested deeper than {_DEEPEST}")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        """End an element."""
        self._depth -= 1
        return super().end(tag)


def read_xml(data: bytes) -> Element:
    """Return the root of a document; raise OrgError InvalidXML when it is not well formed or not safe to read."""
    parser = ElementTree.XMLParser(target=_Guarded())  # noqa: S314  # it refuses every DTD
    try:
        parser.feed(data)
        return parser.close()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise refuse("InvalidXML", f"Unable to parse the request: {error}") from error


def local_name(element: Element) -> str:
    """Return the name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def read_control(data: bytes) -> Mapping[str, Any]:
    """Return the fields of a jobInfo in XML or JSON, whichever it is; raise OrgError when it is neither.

    Its first character decides, because clients send XML under a Content-Type of text/csv too.
    """
    if data.lstrip()[:1] in (b"{", b"["):
        try:
            body = orjson.loads(data)
        except json.JSONDecodeError as error:
            raise refuse("InvalidJob", f"Unable to parse the request: {error}") from error
        if not isinstance(body, dict):
            raise refuse("InvalidJob", "A job is a JSON object")
        return body
    root = read_xml(data)
    if local_name(root) != "jobInfo":
        raise refuse("InvalidXML", f"Expected jobInfo, found {local_name(root)}")
    return {local_name(each): (each.text or "").strip() for each in root}


# --- answers ------------------------------------------------------------------------------------------------------


def answer(body: Mapping[str, Any], name: str, *, as_json: bool, status: int = 200) -> web.Response:
    """Return one jobInfo or batchInfo."""
    if as_json:
        return json_answer(_for_json(body), status)
    return xml_answer("".join(_document(name, "".join(_elements(body)))), status)


def answer_list(bodies: Sequence[Mapping[str, Any]], *, as_json: bool) -> web.Response:
    """Return the batchInfoList of a job."""
    if as_json:
        return json_answer({"batchInfo": [_for_json(body) for body in bodies]})
    inner = "".join(f"<batchInfo>{''.join(_elements(body))}</batchInfo>" for body in bodies)
    return xml_answer("".join(_document("batchInfoList", inner)))


def json_answer(body: Any, status: int = 200) -> web.Response:
    """Return JSON."""
    return web.Response(body=orjson.dumps(body), status=status, headers={"Content-Type": JSON})


def xml_answer(text: str, status: int = 200) -> web.Response:
    """Return XML."""
    return web.Response(body=text.encode(), status=status, headers={"Content-Type": XML})


def result_list(ids: Sequence[str], *, as_json: bool) -> web.Response:
    """Return the ids of a query's results."""
    if as_json:
        return json_answer(list(ids))
    return xml_answer("".join(_document("result-list", "".join(f"<result>{each}</result>" for each in ids))))


def _for_json(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: stamp(value) if isinstance(value, datetime) else value for name, value in body.items()}


def _document(name: str, inner: str) -> Iterator[str]:
    yield f'<?xml version="1.0" encoding="UTF-8"?><{name} xmlns="{NAMESPACE}">'
    yield inner
    yield f"</{name}>"


def _elements(body: Mapping[str, Any]) -> Iterator[str]:
    for name, value in body.items():
        text = stamp(value).replace("+0000", "Z") if isinstance(value, datetime) else str(value)
        yield element(name, text)


def element(name: str, text: str) -> str:
    """Return an element with this text; characters that XML cannot have are replaced."""
    clean = _FORBIDDEN.sub("\ufffd", text)
    return f"<{name}>{escaped(clean)}</{name}>"
