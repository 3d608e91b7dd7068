"""From what ``execute`` yields to decisions: what is written for each record, held to the rules, ready to be stored.

A decision holds nothing but texts and numbers. So it can go between processes, wait in Redis, and be compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, localcontext
from typing import Any, Literal, TypeAlias

import msgspec

from quotejob.usercode.context import EXACT, FINISH, MAX_DIGITS, MAX_GROUPS, OTHERS
from quotejob.usercode.jobtype import JobType
from quotejob.usercode.rows import Row
from quotejob.usercode.writes import (
    WRITES,
    Delete,
    Insert,
    May,
    Skip,
    Tally,
    Update,
    Upsert,
    Verb,
    Write,
    Yielded,
    plain,
)

MAX_NODES = 500  # writes of one record; a composite graph holds no more
MAX_DEPTH = 15  # records of which each refers to the next (REST API guide, "Composite Graph Limits")
MAX_TEXT = 255  # characters of a message


class Num(msgspec.Struct, frozen=True, tag="n"):
    """A decimal number, digit for digit."""

    text: str


class At(msgspec.Struct, frozen=True, tag="at"):
    """The id of a record that another write of the same unit makes."""

    node: int  # its place in the unit


Wire: TypeAlias = str | int | bool | Num | At | None


class Node(msgspec.Struct, frozen=True, array_like=True):
    """One write as it is stored."""

    verb: Verb
    sobject: str
    target: str | None  # update, delete: the id; upsert: the value of ``by``; insert: the user's key
    by: str | None  # upsert: the external id field; insert: the key field, if this one has a key
    body: dict[str, Wire]


class Decision(msgspec.Struct, frozen=True, array_like=True):
    """What was decided of one record: its unit of writes, or why there is none."""

    source: str
    outcome: Literal["write", "counted", "skipped", "failed"]  # counted: it has tallies and no writes
    nodes: list[Node] = []
    tallies: list[tuple[str, str, str]] = []  # name, group, amount
    code: str | None = None
    message: str | None = None

    def fingerprint(self) -> bytes:
        """Return 8 bytes that differ for another decision."""
        return hashlib.blake2b(msgspec.msgpack.encode(self), digest_size=8).digest()


class Refused(Exception):
    """What was yielded breaks a rule. ``code`` is a word for programs."""

    def __init__(self, code: str, message: str, source: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.source = source  # the record whose fault it is, if that is known


def decisions(job: type[JobType[Any]], records: Sequence[Row], given: Iterable[Yielded]) -> list[Decision]:
    """Return the decision of every record, from what ``execute`` yields. Raises Refused, and what execute raises."""
    _check_given("execute", given)
    owners = dict(_owners(records))
    found: dict[str, list[Yielded]] = {record.Id: [] for record in records}
    for item in given:
        if not isinstance(item, (*WRITES, Skip, Tally)):
            raise Refused("NOT_A_WRITE", f"execute yielded {type(item).__name__}; yield what a record's methods give")
        if item.source not in owners:
            raise Refused("NOT_OF_THIS_PAGE", f"a write came from {item.source}, which is not in this page")
        found[owners[item.source]].append(item)
    return [_decision(job, source, items) for source, items in found.items()]


def of_finish(job: type[JobType[Any]], given: Iterable[Write]) -> Decision:
    """Return the decision of ``finish``, from what it yields. Raises Refused, and whatever finish raises."""
    _check_given("finish", given)
    writes = list(given)
    for item in writes:
        if not isinstance(item, WRITES):
            raise Refused("NOT_A_WRITE", f"finish yielded {type(item).__name__}; yield what finish.insert(...) gives")
    return _decision(job, FINISH, writes)


def _check_given(method: str, given: object) -> None:
    """Raise Refused for what nothing comes out of: what a method without a yield returns."""
    if not isinstance(given, Iterable):
        what = "nothing" if given is None else type(given).__name__
        raise Refused("NOT_A_WRITE", f"{method} returned {what}; yield each write, as in 'yield a.update(...)'")


def _owners(records: Iterable[Row]) -> Iterator[tuple[str, str]]:
    """Yield each id of a page with the record that it counts for: writes of child rows count for their parent."""
    for record in records:
        yield record.Id, record.Id
        yield from ((child, record.Id) for child in _children(record))


def _children(row: Row) -> Iterator[str]:
    for column in msgspec.structs.fields(type(row)):
        value = getattr(row, column.name)
        for child in value if isinstance(value, tuple) else ():
            if isinstance(child, Row):
                yield child.Id
                yield from _children(child)


def _decision(job: type[JobType[Any]], source: str, items: Sequence[Yielded]) -> Decision:
    try:
        return _checked_decision(job, source, items)
    except Refused as refused:
        refused.source = source
        raise


def _checked_decision(job: type[JobType[Any]], source: str, items: Sequence[Yielded]) -> Decision:
    skips = [item for item in items if isinstance(item, Skip)]
    writes = [item for item in items if isinstance(item, WRITES)]
    tallies = list(_tallies(items))
    if skips and writes:
        raise Refused("SKIPPED_AND_WRITTEN", f"it was skipped ({skips[0].reason}) and written")
    if skips:
        return Decision(source, "skipped", code="SKIPPED", message=str(plain(skips[0].reason))[:MAX_TEXT])
    if not writes and not tallies:
        return Decision(source, "skipped", code="NOTHING_TO_DO", message="execute yielded nothing for it")
    if len({(name, by) for name, by, _ in tallies}) > MAX_GROUPS:
        raise Refused("TOO_MANY_GROUPS", f"its tallies have more than {MAX_GROUPS:,} groups, the most of a whole job")
    nodes = _nodes(job, writes)
    return Decision(source, "write" if nodes else "counted", nodes, tallies)


def _tallies(items: Sequence[Yielded]) -> Iterator[tuple[str, str, str]]:
    for item in items:
        if isinstance(item, Tally):
            _check_amount(item)
            yield str(plain(item.name)), str(plain(item.by)), str(item.amount)


def _check_amount(tally: Tally) -> None:
    """Raise Refused for what cannot be added up exactly."""
    if not tally.amount.is_finite():
        raise Refused("NOT_A_NUMBER", f"the tally {tally.name} is {tally.amount}")
    exponent = int(tally.amount.as_tuple().exponent)
    if tally.amount.adjusted() >= MAX_DIGITS or exponent >= MAX_DIGITS or exponent < -MAX_DIGITS:
        raise Refused(
            "NOT_A_NUMBER", f"the tally {tally.name} has more than {MAX_DIGITS} digits on a side of its point"
        )


def _nodes(job: type[JobType[Any]], writes: Sequence[Write]) -> list[Node]:
    """Return the writes as nodes: what changes first, in the order given; then deletes, in the order of job.writes."""
    may = [_may(job, item) for item in writes]
    order = {declared.sobject: place for place, declared in enumerate(job.writes) if declared.verb is Verb.DELETE}
    pairs = list(zip(writes, may, strict=True))
    deletes = [pair for pair in pairs if isinstance(pair[0], Delete)]
    pairs = [pair for pair in pairs if not isinstance(pair[0], Delete)]
    pairs += sorted(deletes, key=lambda pair: order[pair[0].sobject])
    if len(pairs) > MAX_NODES:
        raise Refused("UNIT_TOO_LARGE", f"{len(pairs)} writes for one record; at most {MAX_NODES} can be all or none")
    guard = _guard(pairs)
    unit = [item for item, _ in pairs]
    nodes = [_node(item, declared, unit, guarded=item is guard) for item, declared in pairs]
    _check_depth(nodes)
    _check_targets(nodes)
    return nodes


def _guard(pairs: Sequence[tuple[Write, May]]) -> Insert | None:
    """Return the insert whose unique key keeps a repeat from making the unit twice."""
    inserts = [(item, may) for item, may in pairs if isinstance(item, Insert)]
    guard = next((item for item, may in inserts if may.key), None)
    if inserts and guard is None:
        first = inserts[0][0].sobject
        raise Refused("UNGUARDED_INSERT", f'a repeat could make a second {first}: declare inserts("{first}", key=...)')
    return guard


def _may(job: type[JobType[Any]], item: Write) -> May:
    verb = Verb(type(item).__name__.lower())
    may = next((may for may in job.writes if (may.verb, may.sobject) == (verb, item.sobject)), None)
    if may is None:
        raise Refused("UNDECLARED_WRITE", f'{job.__name__}.writes lacks {verb}s("{item.sobject}", ...)')
    others = set() if isinstance(item, Delete) or not may.fields else set(item.values) - set(may.fields)
    if others:
        name = min(others)
        raise Refused("UNDECLARED_FIELD", f'{job.__name__}.writes: add "{name}" to {verb}s("{item.sobject}", ...)')
    return may


def _node(item: Write, may: May, unit: Sequence[Write], *, guarded: bool) -> Node:
    verb = may.verb
    if isinstance(item, Delete):
        return Node(verb, item.sobject, _id(item.record_id), None, {})
    body = {name: _wire(name, value, unit, item) for name, value in item.values.items()}
    if isinstance(item, Insert):
        if item.key is not None and may.key is None:
            raise Refused("NO_KEY_FIELD", f'declare the field of the key: inserts("{item.sobject}", key=...)')
        key = None if item.key is None else _text_key(item.key)
        return Node(verb, item.sobject, key, may.key if guarded or key else None, body)
    if isinstance(item, Update):
        return Node(verb, item.sobject, _id(item.record_id), None, body)
    return _upsert(item, may, body)


def _upsert(item: Upsert, may: May, body: dict[str, Wire]) -> Node:
    if item.by != may.key:
        raise Refused("UNDECLARED_FIELD", f"{item.sobject} is declared to be upserted by {may.key}, not by {item.by}")
    if item.by in item.values:
        raise Refused("KEY_IN_BODY", f"{item.by} finds the record, so it cannot be among the values too")
    return Node(may.verb, item.sobject, _text_key(item.value), item.by, body)


def _id(given: object) -> str:
    record_id = plain(given)
    if isinstance(record_id, str) and record_id.isascii() and record_id.isalnum() and len(record_id) in (15, 18):
        return record_id
    raise Refused("BAD_ID", f"{record_id!r} is not the id of a record")


def _text_key(given: object) -> str:
    value = plain(given)
    if isinstance(value, str) and value.strip() and len(value) <= MAX_TEXT:
        return value
    raise Refused("BAD_KEY", f"{value!r} is no key: it should be a text of 1 to {MAX_TEXT} characters")


def _wire(name: str, given: object, unit: Sequence[Write], of: Write) -> Wire:
    """Return a value as it is stored. Raises Refused for what no field holds exactly."""
    value = plain(given)
    if isinstance(value, Insert):
        return _at(name, value, unit, of)
    if isinstance(value, float | Decimal):
        return _number(name, value)
    if isinstance(value, datetime | date):
        return _moment(name, value)
    if isinstance(value, str):
        if value.startswith("@{"):
            raise Refused("BAD_VALUE", f"{name} begins with @{{, which an org reads as a reference to another record")
        return str(value)
    if value is None or (isinstance(value, int) and abs(value) < 1 << 63):
        return value
    raise Refused("BAD_VALUE", f"{name} is a {type(value).__name__} that no field holds")


def _number(name: str, value: float | Decimal) -> Num:
    if isinstance(value, float):
        raise Refused("FLOAT", f"{name} is a float ({value!r}); use Decimal")
    if not value.is_finite():
        raise Refused("NOT_A_NUMBER", f"{name} is {value}")
    return Num(format(value, "f"))


def _moment(name: str, value: date) -> str:
    if not isinstance(value, datetime):
        return value.isoformat()
    if value.tzinfo is None:
        raise Refused("NAIVE_TIME", f"{name} is a time without its zone; use context.now, or datetime.now(UTC)")
    return value.isoformat(timespec="milliseconds")


def _at(name: str, value: Insert, unit: Sequence[Write], of: Write) -> At:
    for place, other in enumerate(unit):
        if other is of:
            break
        if other is value:
            return At(place)
    what = f"an insert of {value.sobject} that was not yielded before it for this record"
    raise Refused("REFERS_TO_NOTHING", f"{name} refers to {what}")


def _check_depth(nodes: Sequence[Node]) -> None:
    depths: list[int] = []
    for node in nodes:
        below = (depths[value.node] for value in node.body.values() if isinstance(value, At))
        depths.append(1 + max(below, default=0))
    if depths and max(depths) > MAX_DEPTH:
        raise Refused("UNIT_TOO_DEEP", f"{max(depths)} records refer to each other in a row; at most {MAX_DEPTH} may")


def _set_by(nodes: Iterable[Node]) -> Iterator[tuple[tuple[str, str, str], Wire]]:
    """Yield each field of a record that there is, and the value that it gets."""
    for node in nodes:
        if node.verb in (Verb.UPDATE, Verb.UPSERT):
            target = f"{node.by}/{node.target}" if node.by else str(node.target)[:15]
            yield from (((node.sobject, target, name), value) for name, value in node.body.items())


def _check_targets(nodes: Sequence[Node]) -> None:
    found: dict[tuple[str, str, str], Wire] = {}
    for place, value in _set_by(nodes):
        if found.setdefault(place, value) != value:
            raise Refused("SAME_TARGET", f"{place[0]} {place[1]}.{place[2]} gets two values; no order is promised")


def without_conflicts(decided: Sequence[Decision]) -> list[Decision]:
    """Fail a record that would set another value, or use the same key, as an earlier one of its page.

    In which order they would be written is not promised.
    """
    values: dict[tuple[str, str, str], tuple[Wire, str]] = {}
    keys: dict[tuple[str, str], str] = {}
    return [_first_wins(one, values, keys) for one in decided]


def _first_wins(
    one: Decision, values: dict[tuple[str, str, str], tuple[Wire, str]], keys: dict[tuple[str, str], str]
) -> Decision:
    mine = dict(_set_by(one.nodes))
    clash = next((place for place, value in mine.items() if values.get(place, (value, ""))[0] != value), None)
    if clash is not None:
        words = f"{values[clash][1]} sets {clash[0]} {clash[1]}.{clash[2]} to another value; use a tally"
        return Decision(one.source, "failed", code="SAME_TARGET", message=words)
    given = [(n.sobject, n.target.casefold()) for n in one.nodes if n.verb is Verb.INSERT and n.target is not None]
    taken = next((keys[key] for key in given if key in keys), None)
    if taken is not None:
        return Decision(one.source, "failed", code="SAME_KEY", message=f"{taken} makes a record with the same key")
    keys.update(dict.fromkeys(given, one.source))
    values.update({place: (value, one.source) for place, value in mine.items() if place not in values})
    return one


def summed(tallies: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str], Decimal]:
    """Return the totals by name and group, exact. It raises nothing, because what is counted may be written.

    A group that comes after MAX_GROUPS is counted in OTHERS of its name; if its name is new too, in OTHERS of OTHERS.
    """
    totals: dict[tuple[str, str], Decimal] = {}
    names: set[str] = set()
    with localcontext(EXACT):
        for name, by, amount in tallies:
            place = (name, by)
            if place not in totals and len(totals) >= MAX_GROUPS:
                place = (name if name in names else OTHERS, OTHERS)
            names.add(place[0])
            totals[place] = totals.get(place, Decimal(0)) + Decimal(amount)
    return totals


def as_tallies(totals: Mapping[tuple[str, str], Decimal]) -> list[tuple[str, str, str]]:
    """Return totals in the form of tallies, as they are stored."""
    return [(name, by, str(amount)) for (name, by), amount in totals.items()]
