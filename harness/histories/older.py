"""Redis comes back with an older copy of its data, once in a history, as after a failover."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from random import Random

from harness.histories.patched import Client
from harness.histories.workers import Sent, Workers
from harness.histories.world import World

SHARE = 0.25  # of the histories in which it may happen
OLDEST = 30.0  # seconds


@dataclass
class OlderCopy:
    """The copy, and what a history then cannot ask for. Its dice are its own, so other histories stay as they are."""

    world: World
    client: Client
    workers: Workers
    unsure: set[str] = field(default_factory=set)  # jobs that were accepted or resumed between the copy and its return
    stage: int = 0  # 1: the copy is made; 2: Redis came back with it
    _data: dict[bytes, bytes] = field(default_factory=dict)
    _messages: list[tuple[Sent, bool, int]] = field(default_factory=list)

    def plan(self, seed: int, until: float) -> None:
        """Let it happen before so many seconds, or not at all."""
        dice = Random(f"older {seed}")
        if dice.random() < SHARE:
            begin = dice.uniform(0, until)
            self.world.at(begin, self._copy)
            self.world.at(begin + dice.uniform(0, OLDEST), self._return)

    def note(self, job_id: str, since: int) -> None:
        """Note that a job was accepted or resumed. ``since``: the stage when that began."""
        if since < 2 and self.stage > 0:
            self.unsure.add(job_id)

    def judged(self, jobs: dict[str, str], known: Collection[str]) -> tuple[dict[str, str], list[str]]:
        """Return the jobs that can be judged, and what is wrong: the copy was younger than a job that is not known."""
        unsure = self.unsure if self.is_back else set()
        wrong = [f"job {one} was accepted, and is not known any more" for one in {*jobs} - {*known} - unsure]
        return {one: group for one, group in jobs.items() if one in known and one not in unsure}, wrong

    @property
    def is_back(self) -> bool:
        """Whether Redis came back with it. It may not know what an unfinished job had begun in the org."""
        return self.stage == 2

    def _copy(self) -> None:
        self._data = {key: self.client.at_once("DUMP", key) for key in self.client.at_once("KEYS", "*")}
        self._messages = [(sent, sent.counted, sent.chord.left if sent.chord else 0) for sent in self.workers.waiting]
        self.stage = 1

    def _return(self) -> None:
        if self.world.calm:
            return
        self.world.note(f"REDIS COMES BACK with {len(self._data)} keys of before")
        self.world.faults += 1
        self.client.at_once("FLUSHDB")
        for key, value in self._data.items():
            self.client.at_once("RESTORE", key, 0, value)
        for sent, counted, left in self._messages:
            sent.counted = counted
            if sent.chord:
                sent.chord.left = left
        self.stage = 2
        self.workers.come_back([sent for sent, _, _ in self._messages])
