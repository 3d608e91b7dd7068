"""Ids as people type them: in upper case, with blanks around them, or only their beginning, as on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable

SHORTEST = 4  # characters of a beginning


def typed(text: str) -> str:
    """Return what a person has typed as ids are written."""
    return text.strip().lower()


def that_begin(text: str, ids: Iterable[str]) -> list[str]:
    """Return the ids that begin with what a person has typed, each once; none if it is too short to tell them apart."""
    if len(text) < SHORTEST or not re.fullmatch(r"[0-9a-f-]+", text):
        return []
    return [each for each in dict.fromkeys(ids) if each.startswith(text)]
