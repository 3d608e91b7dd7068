"""A user's own job, as its worker sees it: its methods never run here, but in children."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from quotejob.usercode import deciding, trouble
from quotejob.usercode.context import FINISH
from quotejob.usercode.deciding import UserCodeFailed
from quotejob.usercode.decisions import Decision
from quotejob.usercode.isolation.crew import Crew
from quotejob.usercode.isolation.hands import Hands, Kind, Limits
from quotejob.usercode.jobs.child import UNREADABLE
from quotejob.usercode.jobs.words import Ask, Found, Known, Question, Reply, Sums
from quotejob.usercode.jobtype import JobType, Keys
from quotejob.usercode.search import LONGEST_PAGE
from quotejob.usercode.trouble import Broken

FACTORY = "quotejob.usercode.jobs.child:Job"
LONGEST_SILENCE = 60.0  # seconds, of a page; unless one record may take longer
RECORDS_AT_ONCE = 10  # a job that takes a whole page at once may be silent for a tenth of the time for all its records
_QUESTION = msgspec.msgpack.Decoder(Question)
_REPLY = msgspec.msgpack.Decoder(Reply)

Query = Callable[[Question], Found]
Records = Sequence[tuple[str, list[Any]]]  # ids, and the values in the order of the row's columns


class Apart:
    """A job type whose methods run in the children of a crew. All methods raise Retry if the job does, and Unfit."""

    def __init__(self, job: type[JobType[Any]], crew: Crew) -> None:
        self._seconds = float(job.seconds_a_record)
        self._kind = Kind(FACTORY, f"{job.__module__}:{job.__qualname__}", Limits(self._seconds, job.megabytes))
        self._crew = crew

    def get_ready(self) -> None:
        """Start a child in the background: records come soon."""
        self._crew.get_ready(self._kind, 1)

    def start(self, known: Known) -> str | Keys:
        """Return what ``start`` gives. Raises UserCodeFailed."""
        reply = self._once(Ask("start", known), "START_FAILED")
        if reply.keys is not None:
            return Keys(reply.keys)
        if reply.where is None:
            raise UserCodeFailed("START_FAILED", _NONSENSE)
        return reply.where

    def execute(self, known: Known, records: Records, query: Query = lambda _: _NO_ORG) -> list[Decision]:
        """Return the decision of each record, in their order. A bad one costs only itself.

        ``query`` asks the org; a question that comes again for the page has the same answer. Raises UserCodeFailed, and
        what ``query`` raises.
        """
        known_answers: dict[bytes, bytes] = {}

        def reply(question: bytes) -> bytes:
            if question not in known_answers:
                known_answers[question] = msgspec.msgpack.encode(query(_QUESTION.decode(question)))
            return known_answers[question]

        with self._crew.hands(self._kind) as hands:
            ids = [key for key, _ in records]
            return deciding.decide(ids, lambda some: self._page(hands, known, records, some, reply))

    def finish(self, known: Known, sums: Sums) -> Decision:
        """Return what ``finish`` decides. Raises UserCodeFailed."""
        decided = self._once(Ask("finish", known, sums=sums), "FINISH_FAILED").decided or []
        if [one.source for one in decided] != [FINISH]:
            raise UserCodeFailed("FINISH_FAILED", _NONSENSE)
        return decided[0]

    def _once(self, ask: Ask, code: str) -> Reply:
        """Let a child do a call that is about no record, so that nothing remains of it if it fails."""
        with self._crew.hands(self._kind) as hands:
            reply = _reply(hands, ask, LONGEST_PAGE / self._seconds)
        if isinstance(reply, Reply):
            return reply
        own = reply.code in (code, UNREADABLE, deciding.BAD_KEYS)
        raise UserCodeFailed(reply.code if own else code, reply.message)

    def _page(
        self,
        hands: Hands,
        known: Known,
        records: Records,
        places: Sequence[int],
        replying: Callable[[bytes], bytes],
    ) -> list[Decision] | Broken:
        ask = Ask("execute", known, [records[place] for place in places])
        reply = _reply(hands, ask, self._patience(len(places)), replying)
        if isinstance(reply, Broken):
            if reply.code == UNREADABLE:
                raise UserCodeFailed(reply.code, reply.message)
            return reply
        decided = reply.decided or []
        if [one.source for one in decided] != [key for key, _ in ask.records]:
            return Broken(0, trouble.NONSENSE, _NONSENSE)
        return decided

    def _patience(self, count: int) -> float:
        """Return how many times the seconds for one record so many of them may take without a sign of life."""
        return max(1.0, min(count / RECORDS_AT_ONCE, LONGEST_SILENCE / self._seconds))


_NONSENSE = "Its process sent what is no answer"
_NO_ORG: Found = Found(refused="There is no org to ask here")


def _reply(
    hands: Hands, ask: Ask, patience: float, replying: Callable[[bytes], bytes] = lambda _: b""
) -> Reply | Broken:
    answer = hands.call(msgspec.msgpack.encode(ask), patience, replying)
    if isinstance(answer, Broken):
        return answer
    try:
        reply = _REPLY.decode(answer)
    except msgspec.MsgspecError:
        return Broken(0, trouble.NONSENSE, _NONSENSE)
    return reply.broken or reply
