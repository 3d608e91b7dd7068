"""Rows become CSV files an org takes."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotejob.salesforce.bulk import parts

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\r\t"))


def _files(rows: Iterable[dict[str, str]], columns: list[str], most: int) -> list[bytes]:
    files = []
    for part in parts(rows, columns, most):
        with part:
            files.append(part.read())
    return files


def test_no_rows_make_no_file() -> None:
    """Nothing to write costs the org nothing."""
    assert _files([], ["Name"], 100) == []


def test_columns_come_in_order_and_missing_values_are_empty() -> None:
    """A row need not have every column, and may have more."""
    rows = [{"B": "2", "A": "1", "C": "x"}, {"A": 'say "hi", now'}]
    assert _files(rows, ["A", "B"], 1000) == [b'A,B\n1,2\n"say ""hi"", now",\n']


def test_a_lone_empty_value_is_still_a_row() -> None:
    """A blank line would be no row at all."""
    assert _files([{"A": ""}], ["A"], 1000) == [b'A\n""\n']


def test_files_stay_below_the_limit_and_each_has_the_header() -> None:
    """Bytes count, not characters."""
    rows = [{"Name": "ü" * 10} for _ in range(10)]
    files = _files(rows, ["Name"], 100)
    assert all(len(file) <= 100 and file.startswith(b"Name\n") for file in files)
    assert [file.count(b"\n") - 1 for file in files] == [4, 4, 2]


def test_a_row_above_the_limit_has_a_file_of_its_own() -> None:
    """The org will say what is wrong with it; we do not lose it."""
    assert len(_files([{"A": "x" * 200}, {"A": "y"}, {"A": "z" * 200}], ["A"], 100)) == 3


def test_rows_are_read_as_they_are_needed() -> None:
    """A million rows are never held at once."""
    taken = []

    def rows() -> Iterator[dict[str, str]]:
        for number in range(100):
            taken.append(number)
            yield {"A": "x" * 40}

    files = parts(rows(), ["A"], 100)
    assert isinstance(files, Generator)
    with next(files):
        assert len(taken) == 3
    files.close()


def test_rows_that_break_off_leave_no_file_open() -> None:
    """The caller's generator may fail half-way; a warning about an unclosed file would fail this test."""

    def rows() -> Iterator[dict[str, str]]:
        yield {"A": "1"}
        raise LookupError

    with pytest.raises(LookupError):
        _files(rows(), ["A"], 100)


@given(st.lists(st.fixed_dictionaries({"A": TEXT, "B": TEXT}), max_size=20), st.integers(10, 200))
def test_what_was_written_reads_back(rows: list[dict[str, str]], most: int) -> None:
    """Quotes, commas and line breaks survive, in order, across files."""
    found: list[dict[str, str]] = []
    for file in _files(rows, ["A", "B"], most):
        found += csv.DictReader(io.StringIO(file.decode(), newline=""))
    assert found == rows
