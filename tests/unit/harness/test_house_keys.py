"""The page on what is kept in Redis names every key that the code has a name for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from quotejob.store import keys

PAGE = (Path(__file__).parents[3] / "docs" / "architecture.md").read_text("utf-8")
SHARED = sorted(value for name, value in vars(keys).items() if name.isupper() and isinstance(value, str))
PARTS = sorted(
    key.split(":")[3] for key in (*keys.kept_after_end("x"), *keys.needed_for_resume("x", 1), *keys.deleted_at_end("x"))
)


def named() -> set[str]:
    """The names in the tables, as they are, and whole: after `quotejob:gate:inside` also `:threads`."""
    found: set[str] = set()
    for cell in re.findall(r"^\| (`[^|]+) \|", PAGE, re.M):
        names = re.findall(r"`([^`]+)`", cell)
        begin = names[0].rpartition(":")[0]
        found |= {begin + name if name.startswith(":") else name for name in names}
    return found


@pytest.mark.parametrize("key", [*SHARED, *PARTS])
def test_every_key_is_named(key: str) -> None:
    assert {key, f"{key}:{{wave}}"} & named(), f"docs/architecture.md does not say what {key} is"
