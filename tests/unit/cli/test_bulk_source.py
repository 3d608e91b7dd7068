"""How a file for `bulk load` is understood, and what is said of one that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.commands.bulk.source import DELIMITERS, Source, find_form, mapped
from cli.problems import CommandError


def source(path: Path, text: str, encoding: str = "utf-8") -> Source:
    """Write a file, and read its header."""
    path.write_bytes(text.encode(encoding))
    return Source(path, find_form(path))


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize(
    ("line", "encoding"), [("sep={}\r\n", "utf-8-sig"), ("SEP={}\n", "utf-16"), ('"sep={}"\r\n', "cp1252")]
)
def test_the_line_in_which_excel_names_the_delimiter(tmp_path: Path, delimiter: str, line: str, encoding: str) -> None:
    """It is no row, and rows keep their lines in the file. It counts more than what the rows look like."""
    text = line.format(delimiter) + f"Name{delimiter}Site\r\na,b;c{delimiter}'\t'\r\n"
    rows = source(tmp_path / "excel.csv", text, encoding)
    assert rows.header == ["Name", "Site"]
    if delimiter in ",;\t":
        return
    assert [(row.line, row.values) for row in rows.rows()] == [(3, ["a,b;c", "'\t'"])]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-8-sig", "utf-8", "cp1252"])
@pytest.mark.parametrize("text", ["Name,Site\né,x\n", "A\né\n", "Size é,Site\né,x\n"])
def test_encodings_are_found_out(tmp_path: Path, encoding: str, text: str) -> None:
    """Also UTF-16 without a mark: no byte of a usual name is 0, and every second one of UTF-16 is."""
    rows = list(source(tmp_path / "wide.csv", text, encoding).rows())
    assert rows[0].values[0] == "é"


def test_names_have_no_blanks_around_them(tmp_path: Path) -> None:
    """The org would not know such a field, and the message would not show why."""
    assert source(tmp_path / "blanks.csv", " Name ,\tSite, sf__Line\na,b,7\n").header == ["Name", "Site"]
    assert mapped(["Name", "Site"], [" Site = Website "]) == {0: "Name", 1: "Website"}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("Name,Site,", "column 3 has no name"),
        ("Name, ,Site,", "columns 2, 4 have no name"),
        ("Name,Site, Name", "names Name twice"),
        ("sf__Id,sf__Error", "names no field"),
    ],
)
def test_what_is_wrong_with_the_names_is_said(tmp_path: Path, names: str, words: str) -> None:
    """By their places where they have none."""
    with pytest.raises(CommandError, match=words):
        source(tmp_path / "names.csv", f"{names}\n{names}\n")


@pytest.mark.parametrize(
    ("header", "maps", "words"),
    [
        (["Name", "NAME"], [], '"Name" and "NAME" are both sent to Name'),
        (["Company", "Site", "name"], ["Company=Name"], '"Company" and "name" are both sent to Name'),
        (["Name"], ["Name="], "No column is sent"),
    ],
)
def test_columns_that_meet_are_named(header: list[str], maps: list[str], words: str) -> None:
    """With the field that both would go to."""
    with pytest.raises(CommandError, match=words):
        mapped(header, maps)
