"""Why a WHERE clause is refused, in words for its writer: what is wrong, where, and what was most likely meant.

A reason begins after "soqlWhereClause: ". Here nothing is decided: :mod:`quotejob.salesforce.clause` and the org do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise, starmap

from quotejob.salesforce.tokens import CONTROL, ESCAPE, Token

_DATE_TIME = re.compile(
    r"""
    (?P<date> \d{4}-\d\d-\d\d ) (?P<between> [Tt] | [ \t_]+ [Tt]? ) (?P<hour> \d\d? ) : (?P<minute> \d\d )
    (?: : (?P<second> \d\d (?: \.\d+ )? ) )?
    (?P<blank> [ \t]* ) (?: (?P<zone> [Zz] | [+-] \d\d (?: :?\d\d )? ) (?!\w) )?
    """,
    re.VERBOSE | re.ASCII,
)
_TIME = re.compile(r"\d\d?:\d\d", re.ASCII)
_SLASHED_DATE = re.compile(r"\d{1,4}/\d{1,2}/\d{1,4}", re.ASCII)
_PERIOD = re.compile(r"(?:(?:LAST|NEXT)_\w+|N_\w+_AGO)[ \t]*$", re.ASCII | re.IGNORECASE)
_STRING_PART = re.compile(rf"[^'\\{CONTROL}] | {ESCAPE}", re.VERBOSE | re.ASCII)

_QUOTES = "‘’‚‛“”„‟«»‹›`´′″"
_DATE_ADVICE = "write dates without quotes, as 2026-01-31"
_ADVICE = {  # character -> what to do; the place is before it
    '"': "write strings in single quotes",
    ";": "semicolons are not allowed; remove it",
    "#": "comments are not allowed; remove it",
    "&": "write AND",
    "|": "write OR",
    "!": "write NOT before a condition, or != between a field and a value",
    "~": "write LIKE or NOT",
    "%": "it is allowed only inside a string: write LIKE 'text%'; a percentage is a plain number",
    "*": "it is allowed only inside a string: LIKE has % for any text, and a condition cannot compute",
    "/": "a condition cannot compute; write the value itself",
    "+": "a condition cannot compute; write the value itself, or a date literal such as LAST_N_DAYS:30",
    "-": "a condition cannot compute; write the value itself, or a date literal such as LAST_N_DAYS:30",
    "^": "a condition cannot compute; write the value itself",
    "$": "write an amount as a plain number, such as 1000.50",
    "?": "it is allowed only inside a string: write the value itself instead of a placeholder",
    "{": "it is allowed only inside a string: write the value itself instead of a placeholder",
    "}": "it is allowed only inside a string: write the value itself instead of a placeholder",
    "[": "write a list in parentheses, such as IN ('a', 'b')",
    "]": "write a list in parentheses, such as IN ('a', 'b')",
    "@": "it is allowed only inside a string: write text in single quotes",
    "\\": "it is allowed only inside a string: begin and end a string with a quote without a backslash",
    ".": "write a field of another object without blanks, such as Account.Name",
    "≠": "write !=",
    "≤": "write <=",
    "≥": "write >=",
}
_OTHER_CLAUSES = {
    "LIMIT": "LIMIT at character {place} is not allowed in a condition: a job prices every Opportunity that matches; "
    "remove it and write a narrower condition",
    "OFFSET": "OFFSET at character {place} is not allowed in a condition: a job prices every Opportunity that matches; "
    "remove it",
    "ORDER": "ORDER at character {place} is not allowed in a condition: a job prices in its own order; remove ORDER BY "
    "and what follows",
    "GROUP": "GROUP at character {place} is not allowed in a condition: a job prices single Opportunities; remove "
    "GROUP BY and what follows",
    "UNION": "UNION at character {place} is not allowed in a condition; join two conditions with OR",
}
_VALUE_WORDS = frozenset(("NULL", "TRUE", "FALSE"))
_JOINS = frozenset(("AND", "OR", "NOT"))
_OPERATORS = frozenset(("LIKE", "IN", "INCLUDES", "EXCLUDES"))
_NO_VALUE = frozenset(("NONE", "NIL", "UNDEFINED", "EMPTY", "BLANK"))
_DATE_WORD = re.compile(
    r"(?:YESTERDAY|TODAY|TOMORROW|(?:THIS|LAST|NEXT)_\w+|N_\w+_AGO)", re.ASCII
)  # THIS_WEEK, LAST_90_DAYS
_CURRENCY = re.compile(r"[A-Z]{3}\d+", re.ASCII)  # USD5000


def no_token(clause: str, place: int, before: Sequence[Token] = ()) -> str:
    """Return why no token begins at this index of the clause. ``before`` has the tokens up to there."""
    letter, at = clause[place], f"at character {place + 1}"
    if letter == "'":  # often the end of a string whose quote inside was taken for its end
        return next(filter(None, starmap(_by_strings, pairwise(before))), None) or _broken_string(clause, place)
    if letter == ":":
        return _colon(clause, place)
    if letter == "/" and _around(_SLASHED_DATE, clause, place):
        return f"/ {at}: {_DATE_ADVICE}"
    if clause.startswith(("--", "//", "/*"), place):
        return f"comments are not allowed ({at}); remove it"
    if letter in _QUOTES:
        return f"the quote {letter} {at} is not the plain one; write strings in single quotes, such as 'text'"
    if letter in _ADVICE:
        return f"{_shown(letter)} {at}: {_ADVICE[letter]}"
    return f"{_shown(letter)} {at} is allowed only inside a string; {_instead(letter)}"


def misplaced(word: str, place: int, *, in_join: bool) -> str:
    """Return why a word of another clause is not allowed at this place, counted from 1."""
    at = f"{word} at character {place}"
    if place == 1 and word == "WHERE":
        return "begins with WHERE; send only the condition after it"
    if place == 1 and word in ("SELECT", "FROM"):
        return f"{at} begins a whole query; send only the condition after its WHERE"
    if in_join:
        return (
            f"{at} is not allowed there; a sub-select has only SELECT, FROM and WHERE, once each in this order, and no "
            "other sub-select"
        )
    if word == "SELECT":
        return f"{at} is not allowed there; a sub-select is allowed only after IN ( or NOT IN ("
    other = _OTHER_CLAUSES.get(word, "{word} at character {place} is not allowed in a condition; remove it")
    return other.format(word=word, place=place)


def unclosed(opened: Sequence[int]) -> str:
    """Return why the clause ends too early; ``opened`` has the places of its open parentheses."""
    count = f", {len(opened)} in all" if len(opened) > 1 else ""
    return f"the parenthesis at character {opened[-1]} is not closed{count}; close it with )"


def advice(found: Sequence[Token]) -> str | None:
    """Return what was most likely meant by a clause of well-formed tokens that the org refuses. None: no idea."""
    return _by_neighbours(found) or _by_thousands(found) or _by_end(found)


def _by_neighbours(found: Sequence[Token]) -> str | None:
    """Return what was most likely meant where two tokens follow each other that may not. None: no idea."""
    rules = (_by_strings, _by_words, _by_marks, _by_value, _by_number)
    return next((said for pair in pairwise(found) for rule in rules if (said := rule(*pair))), None)


def _by_strings(before: Token, token: Token) -> str | None:
    if before.kind != "string" or before.end != token.place:
        return None
    if token.kind == "string":
        return f"two quotes follow each other at character {token.place - 1}: write a quote inside a string as \\'"
    if token.kind in ("word", "number"):
        return f"the string at character {before.place} ends before {token.text}: write a quote inside a string as \\'"
    return None


def _by_words(before: Token, token: Token) -> str | None:
    at = f"at character {before.place}"
    if before.upper == "IS" and token.upper in ("NULL", "NOT"):
        return f"SOQL has no IS ({at}): write = null or != null"
    if before.upper == "NOT" and token.upper == "LIKE":
        return f"NOT LIKE ({at}) has another order: write NOT before the field, as in (NOT Name LIKE 'a%')"
    if before.kind == "word" and token.upper == "BETWEEN":
        return f"SOQL has no BETWEEN (at character {token.place}): write Amount >= 1 AND Amount <= 5"
    return None


def _by_marks(before: Token, token: Token) -> str | None:
    at = f"at character {before.place}"
    if before.kind == token.kind == "compare":
        return f"{before.text}{token.text} {at} is no operator: use one of = != < <= > >="
    if before.text == "(" and token.text == ")":
        return f"the parentheses {at} are empty: write at least one value or condition"
    if before.text == "," and token.text in (",", ")"):
        return f"the comma {at} has no value after it; remove it"
    return None


def _by_value(operator: Token, value: Token) -> str | None:
    """Return what was most likely meant by this value after an operator. None: nothing is wrong."""
    if operator.kind != "compare" and operator.upper != "LIKE":
        return None
    at = f"at character {value.place}"
    if value.upper in _NO_VALUE:
        return f"{value.text} {at}: write null for no value"
    if value.upper in _JOINS or value.text == ")":
        return f"{operator.text} at character {operator.place} has no value after it; add one"
    if value.kind == "word" and not (
        value.upper in _VALUE_WORDS or _DATE_WORD.fullmatch(value.upper) or _CURRENCY.fullmatch(value.upper)
    ):
        return f"{value.text} {at} is no value: write text in single quotes, such as '{value.text}'"
    if value.text == "(" and operator.kind == "compare":
        return f"a list {at} needs IN or NOT IN instead of {operator.text}"
    return None


def _by_number(before: Token, token: Token) -> str | None:
    """Return what was most likely meant by a number or date that something else follows. None: nothing is wrong."""
    values = ("number", "date", "period", "string")
    if before.kind not in values or token.kind not in (*values, "word") or token.upper in _JOINS:
        return None
    at = f"at character {before.place}"
    if before.kind == "date" and before.end == token.place and token.upper.startswith("T"):
        return f"the date-time {at} is not complete: write it as {before.text}T09:00:00Z"
    if before.end == token.place and before.kind != "string" and token.kind in ("number", "word"):
        return f"{before.text}{token.text} {at} is no value: {_DATE_ADVICE}, and numbers as 1000.50"
    return (
        f"{token.text} at character {token.place} follows a value: join conditions with AND or OR, values with commas"
    )


def _by_thousands(found: Sequence[Token]) -> str | None:
    """Return what is wrong with a number that has a comma in it. None: there is none."""
    for operator, number, comma in zip(found, found[1:], found[2:], strict=False):
        if operator.kind == "compare" and number.kind == "number" and comma.text == ",":
            return f"the number at character {number.place} has a comma: write numbers as 1000.50"
    return None


def _by_end(found: Sequence[Token]) -> str | None:
    """Return what the clause lacks at its end. None: nothing that is seen here."""
    if not found:
        return None
    last = found[-1]
    if last.kind == "compare" or last.upper in _JOINS | _OPERATORS:
        return f"it ends with {last.text}; add what follows, or remove it"
    if len(found) == 1:
        return "a condition has a field, an operator and a value, such as Amount > 1000"
    return None


def _colon(clause: str, place: int) -> str:
    """Return what is wrong with a colon that belongs to no token."""
    at = f"at character {place + 1}"
    written = _around(_DATE_TIME, clause, place)
    if written:
        return _date_time(written)
    if _around(_TIME, clause, place):
        return f"a colon {at}: write a time together with its date and zone, such as 2026-01-31T09:00:00Z"
    if _PERIOD.search(clause[:place]):
        return f"a colon {at}: write such a date literal without blanks and with a whole number: LAST_N_DAYS:30"
    return f"a colon {at}: bind variables do not work here; write the value itself"


def _date_time(written: re.Match[str]) -> str:
    """Return what a date-time lacks, and its right form."""
    zone, second = written["zone"] or "", written["second"]
    lacks = []
    if len(written["between"]) != 1 or written["between"] not in "Tt":
        lacks.append("a T between date and time, without blanks")
    if len(written["hour"]) != 2:
        lacks.append("two digits for the hour")
    if second is None:
        lacks.append("the seconds")
    if not zone:
        lacks.append("a time zone (Z for UTC, or such as +01:00)")
    elif len(zone) == 3:
        lacks.append("the minutes of the time zone")
    elif written["blank"]:
        lacks.append("its time zone without a blank before it")
    right = f"{written['date']}T{written['hour']:0>2}:{written['minute']}:{second or '00'}"
    right += zone + ":00" if len(zone) == 3 else zone or "Z"
    needs = ", ".join(lacks) or "another form"
    return f"the date-time at character {written.start() + 1} needs {needs}; write it as {right}"


def _broken_string(clause: str, place: int) -> str:
    """Return what is wrong with the string that begins here: its end, a control character or an escape."""
    index, at = place + 1, f"the string at character {place + 1}"
    while match := _STRING_PART.match(clause, index):
        index = match.end()
    if index < len(clause):
        if clause[index] == "\\" and index + 1 < len(clause):
            return (
                f"{at} has an unknown escape, {_shown(clause[index])}{_shown(clause[index + 1])}, at character "
                f"{index + 1}; write a backslash as \\\\"
            )
        if clause[index] != "\\":
            return (
                f"{at} has a control character, {_shown(clause[index])}, at character {index + 1}; remove it, or write "
                "a line break as \\n"
            )
    return f"{at} is not closed; end it with ', and write a quote inside a string as \\', such as 'O\\'Brien'"


def _around(pattern: re.Pattern[str], clause: str, place: int) -> re.Match[str] | None:
    """Return the match that has this index in it. None: there is none."""
    return next((match for match in pattern.finditer(clause) if match.start() <= place < match.end()), None)


def _shown(letter: str) -> str:
    return letter if letter.isascii() and letter.isprintable() else f"U+{ord(letter):04X}"


def _instead(letter: str) -> str:
    """Return what to write in place of a character that no token has."""
    plain = unicodedata.normalize("NFKC", letter)
    if unicodedata.category(letter) == "Zs":
        return "write a plain blank"
    if unicodedata.category(letter) == "Pd" or letter == "\u2212":
        return "write -"
    if unicodedata.category(letter) == "Sc":
        return "write an amount as a plain number, such as 1000.50"
    if unicodedata.category(letter) in ("Cf", "Cc"):
        return "remove this invisible character"
    if len(plain) == 1 and plain != letter and plain.isascii() and plain.isprintable():
        return f"write {plain}"
    return "write text in single quotes"
