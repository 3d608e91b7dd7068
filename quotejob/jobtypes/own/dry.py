"""A dry run of a user's own job: what would be written, as results. And after it: what is not what was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from quotejob.jobtypes import foreseen
from quotejob.jobtypes.foreseen import Fields
from quotejob.run.context import Run
from quotejob.run.dry_runs import changed
from quotejob.run.receipt import Outcome, Planned, Result
from quotejob.usercode.decisions import Decision, Node, Wire

DECIDED = ("write", "counted")  # the outcomes of records for which something would be done
Names = Mapping[str, str | None]  # of the records, by their ids


def planned(run: Run, decided: Sequence[Decision], names: Names) -> tuple[list[Decision], list[Result]]:
    """Return the decisions to do nothing, and the results of the others, which are not written.

    Those that the org will refuse, as far as it is known, have failed.
    """
    known = foreseen.kept(run, {node.sobject for one in decided for node in one.nodes})
    others = [one for one in decided if one.outcome not in DECIDED]
    return others, [_planned(one, names.get(one.source), known) for one in decided if one.outcome in DECIDED]


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


def _planned(one: Decision, name: str | None, known: Mapping[str, Fields]) -> Result:
    refused = foreseen.refusal(known, ((node.verb, node.sobject, _body(node)) for node in one.nodes))
    if refused is not None:
        return Result(one.source, Outcome.FAILED, code=refused[0], message=refused[1], record_name=name)
    counts = Counter((str(node.verb), node.sobject) for node in one.nodes)
    writes = [(verb, sobject, count) for (verb, sobject), count in counts.items()]
    what = Planned(one.fingerprint().hex(), writes)
    return Result(one.source, Outcome.PLANNED, record_name=name, planned=what)


def _body(node: Node) -> dict[str, Wire]:
    """Return the fields that a write sets, with its key."""
    return node.body | ({node.by: node.target or "a key"} if node.by else {})
