"""Uploads that are not CSV in UTF-8: each row is in exactly one of the three result files, and the reason is told."""

from __future__ import annotations

import csv
import io
from collections import Counter

import _bulk as bulk
import pytest
from _server import Server

FILES = ("successfulResults", "failedResults", "unprocessedrecords")
# The platform's own words.
UNESCAPED = "Failed to parse CSV. Found unescaped quote. A value with quote should be within a quote"
MORE_TEXT = "Failed to parse CSV. Not expecting more text after end quote"


def numbers(org: Server, job: bulk.Json, which: str) -> list[str]:
    """The BillingCity of each row of a result file: each row of these tests has another one."""
    raw = org.get(f"jobs/ingest/{job['id']}/{which}").content.decode("utf-8", "replace")
    return [row["BillingCity"] or "" for row in csv.DictReader(io.StringIO(raw, newline=""))]


def shared_out(org: Server, job: bulk.Json, count: int) -> dict[str, set[str]]:
    """The rows of each file; every row there was is in exactly one."""
    files = {which: numbers(org, job, which) for which in FILES}
    assert Counter(number for several in files.values() for number in several) == Counter(map(str, range(count)))
    return {which: set(several) for which, several in files.items()}


def upload(lines: list[bytes], header: bytes = b"BillingCity,Name") -> bytes:
    return b"\n".join([header, *lines]) + b"\n"


@pytest.mark.parametrize(
    "name",
    [
        "Café".encode("latin-1"),
        "“Quoted” €".encode("cp1252"),
        "Müller & Söhne".encode("mac-roman"),
        b"\xed\xa0\xbd\xed\xb8\x80",
        b"\xc0\xaf\xc1\x9c",
        b'"Line one\nCaf\xe9"',
        b'"a ""Caf\xe9"", b"',
    ],
)
def test_rows_in_another_encoding_fail_by_themselves(server: Server, name: bytes) -> None:
    job = bulk.open(server)
    info = bulk.work(
        server, job, upload([b"0,First", b"1," + name, b"2," + "Bodø 😀".encode(), b"3," + name, b"4,Last"])
    )
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("JobComplete", 5, 2)
    assert shared_out(server, job, 5) == {FILES[0]: {"0", "2", "4"}, FILES[1]: {"1", "3"}, FILES[2]: set()}
    assert all(
        error.startswith("INVALID_ROW:The row is not in UTF-8: it has the byte 0x")
        for error in bulk.errors(server, job)
    )
    assert all("\ufffd" in row["Name"] for row in bulk.rows(server, job, "failedResults"))


def test_a_bad_byte_far_down(server: Server) -> None:
    """After millions of bytes, in the middle of an internal batch."""
    job = bulk.open(server)
    lines = [b"%d,%s" % (at, b"x" * 200) for at in range(12_000)]
    for at in (11_111, 11_112, 11_999):
        lines[at] = b"%d,Caf\xe9" % at
    info = bulk.work(server, job, upload(lines))
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("JobComplete", 12_000, 3)
    assert shared_out(server, job, 12_000)["failedResults"] == {"11111", "11112", "11999"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_in_utf_16_fails_whole(server: Server, encoding: str, mark: str) -> None:
    """With or without a byte order mark; its rows stay unprocessed, as they were sent."""
    job = bulk.open(server)
    rows = f"{mark}BillingCity,Name\n0,Café\n1,日本\n".encode(encoding)
    info = bulk.work(server, job, rows)
    assert (info["state"], info["numberRecordsProcessed"]) == ("Failed", 0)
    assert info["errorMessage"] == "ClientInputError : The file is in UTF-16; it has to be in UTF-8"
    assert server.get(f"jobs/ingest/{job['id']}/unprocessedrecords").content == rows
    for which in FILES[:2]:
        assert bulk.rows(server, job, which) == []


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (
            b"BillingCity,N\xe4me",
            "ClientInputError : The header row is not in UTF-8: it has the byte 0xE4 after 'BillingCity,N'",
        ),
        (b'BillingCity, "Name"', f"InvalidBatch : {UNESCAPED}"),
        (b'"BillingCity" ,Name', f"InvalidBatch : {MORE_TEXT}"),
        (b'\xef\xbb\xbf"BillingCity",Name', f"InvalidBatch : {UNESCAPED}"),
        (b"BillingCity, Name", "InvalidBatch : Field name not found :  Name"),
        ("BillingCity,Name١".encode(), "InvalidBatch : Field name not found : Name١"),
    ],
)
def test_a_header_row_that_cannot_be_read_fails_the_job(server: Server, header: bytes, said: str) -> None:
    job = bulk.open(server)
    rows = upload([b"0,x", b"1,Caf\xe9"], header)
    info = bulk.work(server, job, rows)
    assert (info["state"], info["errorMessage"], info["numberRecordsProcessed"]) == ("Failed", said, 0)
    assert server.get(f"jobs/ingest/{job['id']}/unprocessedrecords").content == rows
    for which in FILES[:2]:
        assert bulk.rows(server, job, which) == []


# --- quotes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'1, "Smith"', UNESCAPED),
        (b'1,\t"Smith"', UNESCAPED),
        (b'1, "Smith, John"', UNESCAPED),
        (b'1, "Smith\nJohn"', UNESCAPED),
        (b'1,5" pipe', UNESCAPED),
        (b'1,"Smith" ', MORE_TEXT),
        (b'1,"Smith"\t', MORE_TEXT),
        (b'1,"Smith\nJohn" ', MORE_TEXT),
        (b'1,"Smith" x', MORE_TEXT),
        (b'1,"Smith', "Failed to parse CSV. EOF reached before closing an opened quote"),
    ],
)
def test_a_blank_beside_a_quote_fails_the_row_alone(server: Server, line: bytes, reason: str) -> None:
    """Nothing of it is written, and the rows around it are."""
    job = bulk.open(server)
    info = bulk.work(server, job, upload([b'0,"Kept ""so"""', line, b"2, Not trimmed ", b'3,"Two\nlines"']))
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("JobComplete", 4, 1)
    assert shared_out(server, job, 4)["failedResults"] == {"1"}
    assert bulk.errors(server, job) == [f"INVALID_ROW:{reason}:--"]
    written = {row["BillingCity"]: row["Name"] for row in bulk.rows(server, job, "successfulResults")}
    assert written == {"0": 'Kept "so"', "2": " Not trimmed ", "3": "Two\nlines"}


def test_a_file_of_nothing_but_broken_rows(server: Server) -> None:
    """More of them than a transaction has; the first value of each is quoted."""
    job = bulk.open(server)
    lines = [b'"%d" ,x' % at if at % 2 else b'%d, "x"' % at for at in range(1_000)]
    info = bulk.work(server, job, upload(lines))
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("JobComplete", 1000, 1000)
    assert len(bulk.rows(server, job, "failedResults")) == 1000
    assert Counter(bulk.errors(server, job)) == {f"INVALID_ROW:{UNESCAPED}:--": 500, f"INVALID_ROW:{MORE_TEXT}:--": 500}


@pytest.mark.parametrize("operation", ["update", "upsert", "delete"])
def test_a_broken_row_of_an_operation_on_rows_that_exist(server: Server, operation: str) -> None:
    """The row is left as it is; the id stands with the failure where it could be read."""
    there = [server.create("Account", Name=f"There {at}") for at in range(2)]
    more = {"externalIdFieldName": "Id"} if operation == "upsert" else {}
    job = bulk.open(server, operation=operation, **more)
    header, line = ("Id", f'"{there[0]}" ') if operation == "delete" else ("Id,Name", f'{there[0]}, "Changed"')
    sound = there[1] if operation == "delete" else f'{there[1]},"Changed"'
    info = bulk.work(server, job, f"{header}\n{line}\n{sound}\n")
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("JobComplete", 2, 1)
    assert server.row("Account", there[0])["Name"] == "There 0"
    (failed,) = bulk.rows(server, job, "failedResults")
    assert failed["sf__Id"].strip('" ') == there[0]
