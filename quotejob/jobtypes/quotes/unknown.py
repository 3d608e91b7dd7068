"""Countries that pricing does not recognise: counted page by page, and named once when the job is completed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import orjson

from quotejob.run.context import Run

MAX_NAMES = 200  # in one message
_NOTE = "countries:"  # and the page's number


def note(run: Run, page: int, countries: Iterable[str]) -> None:
    """Keep how many Opportunities of a page have which unknown country. A page that is priced again counts once."""
    if counts := Counter(countries):
        run.progress.note(run.id, f"{_NOTE}{page}", orjson.dumps(counts).decode())


def remark(run: Run, region: str) -> str | None:
    """Return a sentence with every unknown country of the job, the most frequent first. None: there is none."""
    counts: Counter[str] = Counter()
    for noted in run.progress.notes(run.id, _NOTE):
        counts.update(orjson.loads(noted))
    if not counts:
        return None
    ranked = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    named = [f"{country!r} ({count})" for country, count in ranked[:MAX_NAMES]]
    if len(ranked) > MAX_NAMES:
        named.append(f"{len(ranked) - MAX_NAMES} more")
    return f"Not recognised as a country, so priced as region {region} (Opportunities): {', '.join(named)}"
