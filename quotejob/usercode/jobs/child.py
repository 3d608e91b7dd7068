"""A user's own job in its child: loaded, checked, called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec

from quotejob.errors import InvalidRequest
from quotejob.usercode import deciding, parameters
from quotejob.usercode.context import Context, Finish, QueryRefused, limited
from quotejob.usercode.deciding import UserCodeFailed
from quotejob.usercode.decisions import Decision
from quotejob.usercode.isolation.child import found
from quotejob.usercode.jobs.words import Ask, Found, Known, Question, Reply, Sums
from quotejob.usercode.jobtype import JobType, JobTypeError, check
from quotejob.usercode.rows import BadRecord, Row, columns, decode, object_of
from quotejob.usercode.trouble import Broken, told
from quotejob.usercode.writes import plain

UNREADABLE = "PARAMETERS_REFUSED"  # the schema no longer takes what was submitted
_FOUND = msgspec.msgpack.Decoder(Found)
_ASK = msgspec.msgpack.Decoder(Ask)
Mark = Callable[[int], None]


class Job:
    """What a child makes of a job type: see :class:`quotejob.usercode.isolation.child.Work`."""

    def __init__(self, target: str) -> None:
        job: Any = found(target)
        if not (isinstance(job, type) and issubclass(job, JobType)):
            raise JobTypeError(f"{target} is not a class of JobType[...]")
        check(job)
        self._job = job

    def about(self) -> bytes:
        """Return nothing: the worker knows the class itself."""
        return b""

    def call(self, body: bytes, mark: Mark, ask: Callable[[bytes], bytes]) -> bytes:
        """Do what an Ask says. Return a Reply. Raises Retry if the job does."""
        try:
            reply = self._reply(_ASK.decode(body), mark, ask)
        except UserCodeFailed as failed:
            reply = Reply(broken=Broken(0, failed.code, str(failed)))
        return msgspec.msgpack.encode(reply)

    def _reply(self, ask: Ask, mark: Mark, put: Callable[[bytes], bytes]) -> Reply:
        context = self._context(ask.known)
        if ask.method == "execute":
            asking = replace(context, ask=limited(partial(_query, put), self._job.queries_a_page))
            return self._executed(ask, asking, mark)
        if ask.sums is not None:
            return Reply(decided=[deciding.finished(self._job, _finish(context, ask.sums))])
        given = deciding.started(self._job, context)
        return Reply(where=str(plain(given))) if isinstance(given, str) else Reply(keys=deciding.listed(given))

    def _context(self, known: Known) -> Context:
        try:
            values = parameters.load(self._job.parameters, known.parameters)
        except InvalidRequest as refused:
            raise UserCodeFailed(UNREADABLE, refused.message) from refused
        except Exception as error:
            raise UserCodeFailed(UNREADABLE, told(error)) from error
        return Context(known.job_id, known.now, values, known.where, known.dry_run)

    def _executed(self, ask: Ask, context: Context, mark: Mark) -> Reply:
        """Decide these records. One that is no row fails alone."""
        rows: dict[int, Row] = {}
        made: dict[int, Decision] = {}
        for place, (record_id, values) in enumerate(ask.records):
            mark(place)
            try:
                rows[place] = decode(self._job.row, values)
            except BadRecord as bad:
                made[place] = Decision(record_id, "failed", code=bad.code, message=bad.message)
        places = list(rows)
        if places:
            decided = deciding.attempt(self._job, list(rows.values()), context, lambda place: mark(places[place]))
            if isinstance(decided, Broken):
                return Reply(broken=Broken(places[decided.suspect], decided.code, decided.message))
            made |= zip(places, decided, strict=True)
        return Reply(decided=[made[place] for place in range(len(ask.records))])


def _query(put: Callable[[bytes], bytes], row: type[Row], where: str) -> list[Row]:
    """Let the worker ask the org. Raises QueryRefused."""
    question = Question(object_of(row), columns(row), where)
    found = _FOUND.decode(put(msgspec.msgpack.encode(question)))
    if found.refused is not None:
        raise QueryRefused(found.refused)
    return [decode(row, values) for values in found.rows]


def _finish(context: Context, sums: Sums) -> Finish:
    totals = {(name, by): Decimal(amount) for name, by, amount in sums.totals}
    return Finish(context, sums.succeeded, sums.skipped, sums.failed, totals)
