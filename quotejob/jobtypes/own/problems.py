"""What would make a job fail later, found by its plan: the class's words against what the org says of its objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from quotejob.errors import OrgRefused
from quotejob.jobtypes import key_field
from quotejob.usercode.jobtype import JobType, described_object
from quotejob.usercode.rows import columns, missing
from quotejob.usercode.writes import May, Verb

_OF_JOB = 37  # characters of a key: the job's id and a colon
KEY_LENGTH = _OF_JOB + 18  # the same, and a record's id
Described = Mapping[str, Any]
Describe = Callable[[str], Described]  # raises OrgRefused for an unknown object
_ABLE = {Verb.INSERT: ("createable",), Verb.UPDATE: ("updateable",), Verb.DELETE: ("deletable",)}


def problems(job: type[JobType[Any]], describe: Describe) -> list[str]:
    """Return everything that is wrong, each as a sentence."""
    found: list[str] = []
    sobject = described_object(job)
    if sobject:
        lacking = missing(sobject, columns(job.row), describe)
        found += [f"{name}: the org has no such field, or the user may not see it" for name in lacking]
    for may in job.writes:
        try:
            found += _of_write(may, describe(may.sobject))
        except OrgRefused as refused:
            if refused.code != "NOT_FOUND":
                raise
            found.append(f"{may.sobject}: the org has no such object, or the user may not see it")
    return found


def too_short(job: type[JobType[Any]], describe: Describe, longest: int) -> list[str]:
    """Return the key fields that do not hold the longest key of ``Keys``, each as a sentence."""
    needed, found = _OF_JOB + longest, []
    for may in job.writes:
        if may.verb is Verb.INSERT and may.key is not None:
            field = _by_name(describe(may.sobject))[may.key.lower()]
            length = int(field.get("length") or needed)
            if length < needed:
                found.append(
                    f"{may.sobject}.{may.key} holds {length} characters; {_OF_JOB} of the job and {longest} of the "
                    f"longest of Keys need {needed}. Deploy a text field of {needed} or more characters, unique and "
                    "external id, and name it in writes; or give shorter keys"
                )
    return found


def _of_write(may: May, described: Described) -> Iterator[str]:
    able = _ABLE.get(may.verb, ("createable", "updateable"))
    if not all(described[word] for word in able):
        yield f"{may.sobject}: the user may not {may.verb} it"
    known = _by_name(described)
    for name in may.fields:
        yield from _of_field(may, name, known.get(name.lower()))
    if may.key is not None:
        yield from _of_key(may, may.key, known.get(may.key.lower()))


def _by_name(described: Described) -> dict[str, Described]:
    return {field["name"].lower(): field for field in described["fields"]}


def _of_field(may: May, name: str, field: Described | None) -> Iterator[str]:
    place = f"{may.sobject}.{name}"
    if field is None:
        yield f"{place}: the org has no such field, or the user may not see it"
    elif may.verb is Verb.UPSERT and field["createable"] and not field["updateable"]:
        yield f"{place}: CREATE_ONLY: it cannot be updated, so a repeated upsert would fail"
    elif may.verb in (Verb.UPDATE, Verb.UPSERT) and not field["updateable"]:
        yield f"{place}: the user may not set it in an {may.verb}"
    elif may.verb is Verb.INSERT and not field["createable"]:
        yield f"{place}: the user may not set it in an insert"


def _of_key(may: May, name: str, field: Described | None) -> Iterator[str]:
    place = f"{may.sobject}.{name}"
    what = "finds the record of an upsert" if may.verb is Verb.UPSERT else "keeps a repeated insert from making two"
    if field is None:
        yield f"{place}: the org lacks this field, or the user may not see it; it {what}. {_deploy(may, name)}"
    elif not (field["unique"] and field["externalId"] and field["createable"]):
        yield f"{place} must be a unique external id that the user may set; it {what}. {_deploy(may, name)}"
    elif may.verb is Verb.INSERT and int(field.get("length") or KEY_LENGTH) < KEY_LENGTH:
        yield f"{place} holds {field['length']} characters; a key has {KEY_LENGTH}"


def _deploy(may: May, name: str) -> str:
    if name == key_field.NAME and may.sobject in key_field.SHIPPED:
        return f"To add it, {key_field.DEPLOY}"
    return f"Add a text field {name} of {KEY_LENGTH} or more characters to {may.sobject}, unique and external id"


def sentence(found: Iterable[str]) -> str:
    """Return all problems as one text."""
    listed = list(found)
    if len(listed) == 1:
        return listed[0]
    return f"{len(listed)} problems: " + "; ".join(f"({n}) {each}" for n, each in enumerate(listed, start=1))
