"""The pricing function of this process's settings, as its worker sees it: it never runs here, but in children."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

import msgspec

from quotejob.pricing.model import PricedQuote
from quotejob.settings import Settings
from quotejob.usercode import trouble
from quotejob.usercode.isolation.crew import Crew, of_process
from quotejob.usercode.isolation.hands import Hands, Kind, Limits
from quotejob.usercode.pricing.decided import Decided, failed
from quotejob.usercode.pricing.function import About
from quotejob.usercode.search import LONGEST_PAGE, isolate
from quotejob.usercode.trouble import Broken

FACTORY = "quotejob.usercode.pricing.function:Pricing"
_ANSWER = msgspec.msgpack.Decoder(list[Decided])
_ABOUT = msgspec.msgpack.Decoder(About)

Pair = tuple[Sequence[Any], PricedQuote]  # what was read of an Opportunity, by the columns; what the rules made of it


class Pricer:
    """A pricing function. Its first use starts a child, to look at it."""

    def __init__(self, target: str, crew: Crew, limits: Limits, version: str | None = None) -> None:
        self._kind = Kind(FACTORY, target, limits)
        self._crew = crew
        self._version = version

    @cached_property
    def about(self) -> About:
        """What the function reads and how it is called. Raises Unfit if it cannot be used."""
        with self._crew.hands(self._kind) as hands:
            return _ABOUT.decode(hands.start())

    @property
    def version(self) -> str:
        """The version of the code: as it was given, or a hash of its files."""
        return self._version or self.about.version

    def get_ready(self) -> None:
        """Start the children in the background: Opportunities come soon."""
        self._crew.get_ready(self._kind)

    def rest(self) -> None:
        """End the idle children. The next call starts new ones."""
        self._crew.stop()

    def price(self, pairs: Sequence[Pair]) -> list[Decided]:
        """Return what the function decides of these Opportunities, in their order. A bad one costs only itself.

        Raises Retry if the function does, or if all processes for it are at work.
        """
        by_page, limits = self.about.by_page, self._kind.limits

        with self._crew.hands(self._kind) as hands:

            def call(places: Sequence[int]) -> list[Decided] | Broken:
                return _call(hands, [pairs[place] for place in places], _patience(len(places)) if by_page else 1)

            def lost(place: int, reason: Broken) -> Decided:
                return failed(pairs[place][1].opportunity_id, reason)

            return isolate(len(pairs), call, lost, min(LONGEST_PAGE, max(1, len(pairs)) * limits.seconds + 10))


def _patience(count: int) -> float:
    """Return how many times the usual time a function for a page may take without a sign: it may take all at once."""
    return max(1.0, count / 10)


def _call(hands: Hands, pairs: Sequence[Pair], patience: float) -> list[Decided] | Broken:
    answer = hands.call(msgspec.msgpack.encode(pairs), patience)
    if isinstance(answer, Broken):
        return answer
    try:
        made = _ANSWER.decode(answer)
    except msgspec.MsgspecError:
        made = []
    wanted = [quote.opportunity_id for _, quote in pairs]
    if [each.opportunity_id for each in made] != wanted:
        return Broken(0, trouble.NONSENSE, "Its process sent what is no answer")
    return made


def pricer(settings: Settings) -> Pricer | None:
    """Return the pricing function of these settings, one for each process. None: there is none, only the rules."""
    if settings.pricing is None:
        return None
    limits = Limits(settings.code_seconds, settings.code_mb)
    return _pricer(settings.pricing, limits, settings.code_version, settings.code_processes, os.getpid())


@cache
def _pricer(target: str, limits: Limits, version: str | None, processes: int, _pid: int) -> Pricer:
    """Return it. A process that was forked makes one of its own: children belong to the process that started them."""
    return Pricer(target, of_process(processes), limits, version)
