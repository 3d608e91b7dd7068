"""The check of a caller's WHERE clause, as text, before it is sent to an org.

The clause becomes part of ``SELECT ... FROM Opportunity WHERE (<clause>) ...``. It must not close that parenthesis,
open a string that does not end, or add another clause (LIMIT would make the job smaller without notice, FOR VIEW would
write). So the clause is cut into tokens, strings first. Only tokens of a condition are accepted, all others are
refused. The org checks with its query plan that the fields exist and the types fit.

Tokens, escapes and date literals come from the SOQL and SOSL Reference ("Condition Expression Syntax", "Quoted
String Escape Sequences", "Date Formats and Date Literals in WHERE", "Comparison Operators" for semi-joins).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import quote_plus

from quotejob.errors import InvalidRequest

FIELD = "soqlWhereClause"
MAX_LENGTH = 20_000  # characters of a clause
MAX_ENCODED = 15_000  # bytes of it in a URI; the org reads queries by GET and takes URIs of 16,384 bytes
MAX_STRING = 4_000  # characters of one string in it (SOQL limits)
MAX_DEPTH = 100  # nested parentheses; a clause that a person writes has far fewer

_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
_TOKEN = re.compile(
    rf"""
      (?P<space>   [ \t\r\n]+ )
    | (?P<string>  ' (?: [^'\\{_CONTROL}] | \\ (?: [nNrRtTbBfF"'\\_%] | u[0-9A-Fa-f]{{4}} ) )* ' )
    | (?P<date>    \d{{4}}-\d\d-\d\d (?: [Tt] \d\d:\d\d:\d\d (?: \.\d+ )? (?: [Zz] | [+-]\d\d:?\d\d ) )? )
    | (?P<period>  (?: (?:LAST|NEXT)_N_[A-Z_]+ | N_[A-Z_]+_AGO ) : \d+ )
    | (?P<number>  [+-]? (?: \d+ (?: \.\d* )? | \.\d+ ) (?: [eE] [+-]? \d+ )? )
    | (?P<word>    [A-Za-z_]\w* (?: \.[A-Za-z_]\w* )* )
    | (?P<compare> <= | >= | <> | != | [=<>] )
    | (?P<mark>    [(),] )
    """,
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)
# Words of other clauses, which are not allowed in a condition. SELECT, FROM and WHERE are allowed in a semi-join.
_CLAUSE_WORDS = frozenset(
    (
        *("SELECT", "TYPEOF", "FROM", "USING", "WHERE", "WITH", "GROUP", "BY", "HAVING", "ORDER", "LIMIT", "OFFSET"),
        *("FOR", "UPDATE", "ALL", "UNION"),
    )
)


def check_clause(text: str) -> str:
    """Return the clause without white space around it. Raises InvalidRequest with the error and its character."""
    clause = text.strip(" \t\r\n")
    if not clause:
        _refuse("is empty; for all Opportunities send Id != null")
    if len(clause) > MAX_LENGTH:
        _refuse(f"has {len(clause):,} characters, and at most {MAX_LENGTH:,} are allowed; split it into several jobs")
    _Reader().read(clause)
    encoded = len(quote_plus(clause))
    if encoded > MAX_ENCODED:
        _refuse(f"has {encoded:,} bytes in a URI, and at most {MAX_ENCODED:,} are allowed; split it into several jobs")
    return clause


def select_opportunities(clause: str) -> str:
    """Return the query for the Opportunities that match a checked clause: the org judges it, and a job runs it.

    The clause is in parentheses, so that what follows applies to all of it. Opportunities of one Account are together,
    so that two writers seldom want the same parent's lock.
    """
    return f"SELECT Id FROM Opportunity WHERE ({clause}) ORDER BY AccountId, Id"


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    place: int  # position of its first character, from 1


def _tokens(clause: str) -> Iterator[_Token]:
    """Yield the clause's tokens without white space. Raises InvalidRequest for anything else."""
    place = 0
    while place < len(clause):
        match = _TOKEN.match(clause, place)
        if match is None:
            _refuse(_not_a_token(clause, place))
        kind = match.lastgroup or ""
        if kind != "space":
            yield _Token(kind, match.group(), place + 1)
        place = match.end()


class _Reader:
    """A reader of a clause, from left to right. It keeps the open parentheses and knows which belong to a semi-join."""

    def __init__(self) -> None:
        self.opened: list[int] = []  # places of the parentheses still open
        self.join_depth = 0  # how many were open right after the semi-join's own; 0 outside one
        self.join_awaits: str | None = None  # the clause word that the semi-join may have next: FROM, then WHERE
        self.before = ("", "")  # the two tokens before this one, upper case

    def read(self, clause: str) -> None:
        for token in _tokens(clause):
            self._take(token)
            self.before = (self.before[1], token.text.upper())
        if self.opened:
            _refuse(f"the parenthesis at character {self.opened[-1]} is not closed; close it")

    def _take(self, token: _Token) -> None:
        if token.text == "(":
            self._open(token)
        elif token.text == ")":
            self._close(token)
        elif token.kind == "string":
            _check_string(token)
        elif token.kind == "word" and token.text.upper() in _CLAUSE_WORDS:
            self._clause_word(token)

    def _open(self, token: _Token) -> None:
        self.opened.append(token.place)
        if len(self.opened) > MAX_DEPTH:
            _refuse(f"has more than {MAX_DEPTH} nested parentheses; use fewer")

    def _close(self, token: _Token) -> None:
        if not self.opened:
            _refuse(f"the parenthesis at character {token.place} has no opening one; remove it")
        if len(self.opened) == self.join_depth:
            self._end_join(token)
        self.opened.pop()

    def _end_join(self, token: _Token) -> None:
        if self.join_awaits == "FROM":
            _refuse(f"the sub-select that ends at character {token.place} has no FROM; add it")
        self.join_depth, self.join_awaits = 0, None

    def _clause_word(self, token: _Token) -> None:
        """Check a clause word: SELECT only after ``IN (``; then FROM and WHERE, once each, at the same depth."""
        word, depth = token.text.upper(), len(self.opened)
        if word == "SELECT" and self.before == ("IN", "(") and not self.join_depth:
            self.join_depth, self.join_awaits = depth, "FROM"
        elif self.join_depth == depth and depth and word == self.join_awaits:
            self.join_awaits = "WHERE" if word == "FROM" else None
        else:
            _refuse(_misplaced(word, token.place))


def _check_string(token: _Token) -> None:
    if len(token.text) - 2 > MAX_STRING:
        _refuse(f"the string at character {token.place} is longer than {MAX_STRING:,} characters; shorten it")


def _misplaced(word: str, place: int) -> str:
    if word == "WHERE" and place == 1:
        return "begins with WHERE; send only the condition after it"
    return f"{word} at character {place} is not allowed in a condition; send only the condition after WHERE"


def _not_a_token(clause: str, place: int) -> str:
    """Return the reason why no token starts here."""
    letter, at = clause[place], f"at character {place + 1}"
    if letter == "'":
        return f"the string {at} is not closed, or has a control character or an unknown escape; write a quote as \\'"
    if letter == '"':
        return f"double quotes {at}: write strings in single quotes"
    if letter == ":":
        return (
            f"a colon {at}: only date literals such as LAST_N_DAYS:30 have one; write values instead of bind variables"
        )
    if clause.startswith(("--", "//", "/*"), place) or letter == ";":
        return f"comments and semicolons are not allowed ({at}); remove them"
    shown = letter if letter.isascii() and letter.isprintable() else f"U+{ord(letter):04X}"
    return f"{shown} {at} is allowed only inside a string; remove it"


def _refuse(reason: str) -> NoReturn:
    raise InvalidRequest.field(FIELD, reason)
