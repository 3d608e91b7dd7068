"""The tokens of a condition in SOQL: what a WHERE clause may be made of, from left to right.

Tokens, escapes and date literals come from the SOQL and SOSL Reference ("Condition Expression Syntax", "Quoted
String Escape Sequences", "Date Formats and Date Literals in WHERE").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"  # characters that no string may have
ESCAPE = r"""\\ (?: [nNrRtTbBfF"'\\_%] | u[0-9A-Fa-f]{4} )"""
_TOKEN = re.compile(
    rf"""
      (?P<space>   [ \t\r\n]+ )
    | (?P<string>  ' (?: [^'\\{CONTROL}] | {ESCAPE} )* ' )
    | (?P<date>    \d{{4}}-\d\d-\d\d (?: [Tt] \d\d:\d\d:\d\d (?: \.\d+ )? (?: [Zz] | [+-]\d\d:?\d\d ) )? )
    | (?P<period>  (?: (?:LAST|NEXT)_N_[A-Z_]+ | N_[A-Z_]+_AGO ) : \d+ )
    | (?P<number>  [+-]? (?: \d+ (?: \.\d* )? | \.\d+ ) (?: [eE] [+-]? \d+ )? )
    | (?P<word>    [A-Za-z_]\w* (?: \.[A-Za-z_]\w* )* )
    | (?P<compare> <= | >= | <> | != | [=<>] )
    | (?P<mark>    [(),] )
    """,
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)
UNKNOWN = "unknown"  # the kind of what is no token


@dataclass(frozen=True, slots=True)
class Token:
    """One token. ``place`` is the position of its first character, from 1."""

    kind: str
    text: str
    place: int

    @property
    def upper(self) -> str:
        """The text in capitals: words of SOQL have no case."""
        return self.text.upper()

    @property
    def end(self) -> int:
        """The position of the first character after it, from 1."""
        return self.place + len(self.text)


def tokens(clause: str) -> Iterator[Token]:
    """Yield the clause's tokens without white space. The first character that begins none is UNKNOWN and the last."""
    place = 0
    while place < len(clause):
        match = _TOKEN.match(clause, place)
        if match is None:
            yield Token(UNKNOWN, clause[place], place + 1)
            return
        kind = match.lastgroup or ""
        if kind != "space":
            yield Token(kind, match.group(), place + 1)
        place = match.end()
