"""Which names a person may give to a job or a schedule."""

from __future__ import annotations

import re
import unicodedata

from quotejob.jobs.job import MAX_NAME_LENGTH

WRONG_NAME = (
    f"should be a text of 1 to {MAX_NAME_LENGTH} characters in one line, one of them visible; control characters and "
    "marks that turn the direction of writing are not allowed"
)
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def is_name(text: str) -> bool:
    """Return whether people can read a text as a name, and it shows as it is stored. Its length does not count."""
    visible = any(unicodedata.category(letter)[0] not in "CZ" for letter in text)
    return visible and not _FORBIDDEN.search(text)
