"""Names of Quotes: cut to a length without breaking what a reader sees as one character."""

from __future__ import annotations

from wcwidth import iter_graphemes

QUOTE_NAME_LENGTH = 80  # UTF-16 units, the strictest way to count: an emoji is two or more of them
PREFIX = "Quote for "
MORE = "..."
MAX_WORD_LOST = 20  # characters of a word that a cut may cost


def quote_name(opportunity_name: str) -> str:
    """Name a Quote after its Opportunity, in at most 80 characters.

    The name is ``Quote for <name>``, with one blank for each run of white space. If it is too long it is cut and ends
    in ``...``. It is cut at the last blank that fits, or inside a word if that blank is more than 20 characters away.
    """
    name = " ".join(f"{PREFIX}{opportunity_name}".split())
    if length(name) <= QUOTE_NAME_LENGTH:
        return name
    kept = beginning(name, QUOTE_NAME_LENGTH - len(MORE))
    blank = len(kept) if name[len(kept)] == " " else kept.rfind(" ")
    if len(kept) - blank <= MAX_WORD_LOST:
        kept = kept[:blank]
    return kept.rstrip(" ,;:-") + MORE


def opportunity_name(quote_name: str) -> str:
    """Return the name of the Opportunity whose Quote has this name, as far as it is part of it."""
    return quote_name.removeprefix(PREFIX)


def length(text: str) -> int:
    """Return the length in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def beginning(text: str, most: int) -> str:
    """Return as much of the text as has at most so many UTF-16 units, in whole grapheme clusters.

    A cluster is what a reader sees as one character: a letter with its accents, a flag, a family of joined emoji.
    """
    units = end = 0
    for cluster in iter_graphemes(text):
        units += length(cluster)
        if units > most:
            break
        end += len(cluster)
    return text[:end]
