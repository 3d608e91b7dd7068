"""A dry run of a user's own job: what would be written, as results. And after it: what is not what was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from quotejob.run.context import Run
from quotejob.run.dry_runs import changed
from quotejob.run.receipt import Outcome, Planned, Result
from quotejob.usercode.decisions import Decision

DECIDED = ("write", "counted")  # the outcomes of records for which something would be done
Names = Mapping[str, str | None]  # of the records, by their ids


def planned(decided: Sequence[Decision], names: Names) -> tuple[list[Decision], list[Result]]:
    """Return the decisions to do nothing, and the results of the others, which are not written."""
    others = [one for one in decided if one.outcome not in DECIDED]
    return others, [_planned(one, names.get(one.source)) for one in decided if one.outcome in DECIDED]


def without_changed(
    run: Run, page: int, decided: Sequence[Decision], names: Names
) -> tuple[list[Decision], list[Result]]:
    """Return the decisions of a page that the dry run has shown just so, and the results of the others."""
    seen = run.progress.seen(run.id, page)
    same: list[Decision] = []
    others: list[Result] = []
    for one in decided:
        if one.outcome not in DECIDED or seen.get(one.source) == one.fingerprint().hex():
            same.append(one)
        else:
            others.append(changed(one.source, names.get(one.source), shown=one.source in seen))
    return same, others


def _planned(one: Decision, name: str | None) -> Result:
    counts = Counter((str(node.verb), node.sobject) for node in one.nodes)
    writes = [(verb, sobject, count) for (verb, sobject), count in counts.items()]
    what = Planned(one.fingerprint().hex(), writes)
    return Result(one.source, Outcome.PLANNED, record_name=name, planned=what)
