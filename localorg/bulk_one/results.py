"""What became of the records of a batch: kept a line for each, and sent as CSV, XML or JSON, in the request's order.

Source: Bulk API guide, "Get Batch Results".
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from localorg.bulk.operations import Answer, said
from localorg.bulk_one.wire import element
from localorg.errors import OrgError
from localorg.http.bulk_one import NAMESPACE


class Answers:
    """The file of answers. A line is [id, created], or [statusCode, message, fields, as CSV shows all this]."""

    def __init__(self, path: Path, kept: int) -> None:
        """Open the file behind its first lines; what was written after them belongs to no committed transaction."""
        self._file: BinaryIO = path.open("a+b")
        self._file.seek(0)
        for _ in islice(self._file, kept):
            pass
        self._end = self._file.tell()

    def add(self, answers: list[Answer]) -> None:
        """Write the answers of one transaction, before it is committed; they replace those of one that was undone."""
        self._file.truncate(self._end)
        self._file.writelines(orjson.dumps(_kept(answer), option=orjson.OPT_APPEND_NEWLINE) for answer in answers)
        self._file.flush()

    def confirm(self) -> None:
        """Keep what was written: its transaction is committed."""
        self._end = self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _kept(answer: Answer) -> list[Any]:
    if isinstance(answer, OrgError):
        return [answer.code, answer.message, list(answer.fields or ()), said(answer)]
    return list(answer)


def _lines(path: Path, count: int) -> Iterator[list[Any]]:
    """Yield what was kept of the records that are decided."""
    if count:
        with path.open("rb") as file:
            yield from (orjson.loads(line) for line in islice(file, count))


def pieces(path: Path, count: int, content_type: str) -> Iterator[bytes]:
    """Yield the results of a batch's first records in the form of its job."""
    lines = _lines(path, count)
    form = {"CSV": _csv, "JSON": _json, "XML": _xml}[content_type]
    yield from (text.encode() for text in _joined(form(lines)))


def _joined(texts: Iterable[str]) -> Iterator[str]:
    texts = iter(texts)
    while piece := "".join(islice(texts, 500)):
        yield piece


def _csv(lines: Iterator[list[Any]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["Id", "Success", "Created", "Error"])
    for line in lines:
        writer.writerow([line[0], "true", line[1], ""] if len(line) == 2 else ["", "false", "false", line[3]])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _json(lines: Iterator[list[Any]]) -> Iterator[str]:
    before = "["
    for line in lines:
        yield before + orjson.dumps(_result(line)).decode()
        before = ","
    yield "[]" if before == "[" else "]"


def _result(line: list[Any]) -> dict[str, Any]:
    if len(line) == 2:
        return {"success": True, "created": line[1] == "true", "id": line[0], "errors": []}
    error = {"statusCode": line[0], "message": line[1], "fields": line[2], "extendedErrorDetails": None}
    return {"success": False, "created": False, "id": None, "errors": [error]}


def _xml(lines: Iterator[list[Any]]) -> Iterator[str]:
    yield f'<?xml version="1.0" encoding="UTF-8"?><results xmlns="{NAMESPACE}">'
    for line in lines:
        yield f"<result>{''.join(_result_elements(line))}</result>"
    yield "</results>"


def _result_elements(line: list[Any]) -> Iterator[str]:
    if len(line) == 2:
        yield element("id", line[0])
    else:
        fields = "".join(element("fields", name) for name in line[2])
        yield f"<errors>{fields}{element('message', line[1])}{element('statusCode', line[0])}</errors>"
    yield element("success", "true" if len(line) == 2 else "false")
    yield element("created", line[1] if len(line) == 2 else "false")
