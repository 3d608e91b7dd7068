"""The rows of an uploaded file: the sound ones as the csv module reads them, and each broken one by itself."""

from __future__ import annotations

import csv
import io
import re
import time
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as some

from localorg.bulk.rows import LONGEST, MORE_TEXT, NOT_CLOSED, UNESCAPED, Broken, Rows, Taken

DELIMITERS = [",", ";", "|", "^", "`", "\t"]


def read(data: bytes | str, delimiter: str = ",", at_once: int = 7) -> Taken:
    raw = data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape")
    file = io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8", errors="surrogateescape", newline="")
    rows = Rows(file, delimiter)
    all_of_them = Taken([], [])
    while taken := rows.take(at_once):
        assert len(taken) <= at_once
        all_of_them.rows.extend(taken.rows)
        all_of_them.broken.extend(taken.broken)
    assert "".join(rows.rest()) == ""
    return all_of_them


def texts(taken: Taken) -> list[str]:
    return ["\x1f".join(row) for row in [*taken.rows, *(each.row for each in taken.broken)]]


@given(
    some.lists(some.lists(some.text(some.sampled_from('a ,;"\n\té|'), max_size=6), min_size=2, max_size=4), max_size=9),
    some.sampled_from(DELIMITERS),
    some.sampled_from(["\n", "\r\n"]),
    some.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_what_a_csv_writer_wrote_is_read_back(rows: list[list[str]], delimiter: str, ending: str, quoting: int) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, lineterminator=ending, quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    assert read(file.getvalue(), delimiter) == Taken(rows, [])


@given(
    some.lists(some.binary(max_size=12).map(lambda junk: junk.replace(b"\n", b'"')), max_size=20), some.integers(1, 5)
)
def test_each_line_is_in_one_row_whatever_it_holds(lines: list[bytes], at_once: int) -> None:
    """Sound, broken, not text at all: nothing is lost, and nothing is there twice."""
    marked = [b"<%d>" % at + line for at, line in enumerate(lines)]
    found = re.findall(r"<\d+>", "\n".join(texts(read(b"\n".join(marked), at_once=at_once))))
    assert sorted(found) == sorted(f"<{at}>" for at in range(len(lines)))


@given(
    some.text(some.sampled_from('"",\n\r\0xé'), max_size=60),
    some.integers(1, 9),
    some.integers(1, 4),
    some.integers(0, 3),
)
def test_blocks_of_any_size_give_the_same_rows(text: str, block: int, at_once: int, before: int) -> None:
    """A row may begin in one block of the file and end in another. What is not taken is there as it was sent."""

    def begun(spare: int) -> tuple[list[Taken], str]:
        with patch("localorg.bulk.rows._SPARE", spare):
            rows = Rows(io.StringIO(text, newline=""), ",")
            return [rows.take(at_once) for _ in range(before)], "".join(rows.rest())

    assert begun(block) == begun(65_536)


@given(
    some.lists(some.text(some.sampled_from('" ,\tx'), max_size=10), min_size=1, max_size=9),
    some.sampled_from(DELIMITERS),
)
def test_a_row_without_quotes_is_not_broken_by_its_neighbours(lines: list[str], delimiter: str) -> None:
    """Unless a quote before it is closed after it, which is how a line break gets into a value."""
    text = "".join(f"{line}\nplain{delimiter}row\n" for line in lines if '"' in line)
    taken = read(text, delimiter)
    inside = sum(each.count("plain") for each in texts(taken) if "\n" in each)
    assert taken.rows.count(["plain", "row"]) + inside == text.count("plain")


# --- quotes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("blank", [" ", "\t", "  ", " \t "])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_blank_beside_a_quote_breaks_its_row_and_no_other(delimiter: str, blank: str, ending: str) -> None:
    """First, middle and last value; with anything in the quotes; the last row ends with the file too."""
    if delimiter == "\t" and "\t" in blank:
        return
    for inside in ("x", "", f"x{delimiter}y", 'say ""x""', "two\nlines", "two\r\nlines"):
        value = f'"{inside}"'
        for wrong, reason in (
            (blank + value, UNESCAPED),
            (value + blank, MORE_TEXT),
            (blank + value + blank, UNESCAPED),
        ):
            for at in range(3):
                values, kept = ['"a"', "b", '"c"'], ["a", "b", "c"]
                values[at] = kept[at] = wrong
                sound, line = f'"1"{delimiter}2{ending}', delimiter.join(values)
                taken = read(sound + line + ending + sound + line, delimiter)
                assert taken == Taken([["1", "2"]] * 2, [Broken(kept, reason)] * 2)


def test_blanks_without_quotes_and_inside_quotes_belong_to_the_value() -> None:
    assert read(' a , b,c \n" a "," b","c "\n').rows == [[" a ", " b", "c "], [" a ", " b", "c "]]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('5" pipe,b', UNESCAPED),
        ('a,b"', UNESCAPED),
        ('a, "b', UNESCAPED),
        ('"a"b,c', MORE_TEXT),
        ('"a""b,c', NOT_CLOSED),
        ('a,"b', NOT_CLOSED),
        ('\u00a0"a",b', UNESCAPED),
    ],
)
def test_a_forgotten_quote_takes_no_other_rows_along(line: str, reason: str) -> None:
    taken = read(f'1,2\n{line}\n3,4\n"5","6"\n7,8\n')
    assert taken.rows == [["1", "2"], ["3", "4"], ["5", "6"], ["7", "8"]]
    assert [each.reason for each in taken.broken] == [reason]


def test_a_row_as_long_as_allowed_and_one_longer() -> None:
    longest = "x" * (LONGEST - 3)
    taken = read(f'{longest},1\n{longest}x,2\n"{longest}",3\na,4\n')
    assert [row[1] for row in taken.rows] == ["1", "4"]
    assert [each.reason for each in taken.broken] == [f"The row is longer than {LONGEST} characters"] * 2


@pytest.mark.parametrize("line", ['a, "b', '"', ' "x"" ', '"""', 'a"b"c, "'])
def test_a_file_of_broken_rows_takes_no_longer_than_a_sound_one(line: str) -> None:
    """The search for the end of a row does not begin again and again."""
    text = f"{line}\n" * 30_000
    began = time.process_time()
    assert texts(read(text, at_once=200))
    assert time.process_time() - began < 5


# --- characters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "byte"),
    [
        ("Café".encode("latin-1"), "0xE9"),
        ("“x” €".encode("cp1252"), "0x93"),
        ("ﾃｽﾄ".encode("shift-jis"), "0xC4"),
        (b"\xed\xa0\xbd\xed\xb8\x80", "0xED"),  # two surrogates
        (b"\xc0\xaf", "0xC0"),  # a slash in two bytes
        (b"\xe0\x80\xaf", "0xE0"),
        (b"\xf4\x90\x80\x80", "0xF4"),  # beyond Unicode
        (b"\xe2\x82", "0xE2"),  # two bytes of three
        (b"\xff", "0xFF"),
    ],
)
@pytest.mark.parametrize("form", [b"%b,x", b"x,%b", b'"%b",x', b'x,"two\nlines %b"', b"%b,%b"])
def test_a_row_that_is_not_utf_8_is_broken_by_itself(raw: bytes, byte: str, form: bytes) -> None:
    line = form.replace(b"%b", raw)
    taken = read(b"Bod\xc3\xb8,1\n" + line + b"\n\xf0\x9f\x98\x80,2\n")
    assert taken.rows == [["Bodø", "1"], ["😀", "2"]]
    (broken,) = taken.broken
    assert len(broken.row) == 2
    assert f"not in UTF-8: it has the byte {byte} after" in broken.reason
    assert "\ufffd" in "".join(broken.row)
    "".join([*broken.row, broken.reason]).encode()


def test_a_row_with_a_nul_is_broken() -> None:
    taken = read("a\0b,1\nc,2\n")
    assert (taken.rows, taken.broken[0].row) == ([["c", "2"]], ["a\ufffdb", "1"])
    assert "NUL" in taken.broken[0].reason


def test_a_character_may_lie_across_any_boundary_of_the_reading() -> None:
    text = "".join(f"{'x' * (at % 7)}é😀,{at}\n" for at in range(20_000))
    assert len(read(text, at_once=200).rows) == 20_000


def test_blank_lines_are_no_rows_however_many() -> None:
    assert read("\n" * 300_000 + "a,b\n" + "\r\n" * 1000, at_once=200) == Taken([["a", "b"]], [])
