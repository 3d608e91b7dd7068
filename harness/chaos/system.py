"""The system under test, its processes as a platform runs them, and the figures of a run."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import redis
import requests

from cli.api import ENDED
from harness.api import Api, ApiError
from harness.chaos.cases import REFUSED, Case
from harness.org_reader import OrgReader
from harness.process import Process, StackError, code_of
from harness.stack import WORKER, Stack
from harness.timetable import RedisClock

T = TypeVar("T")


class Violation(Exception):
    """A promise was broken; the message says which."""


@dataclass(slots=True)
class Figures:
    """What the whole run did."""

    rounds: int = 0
    seconds: tuple[float, float] = (0, 0)  # of the last round: until all was healed, and after that
    jobs: int = 0
    checked: int = 0  # jobs of which everything was found right
    forgotten: int = 0  # accepted jobs that a Redis with older data did not know any more
    pairs: int = 0  # a job and a fault that struck while it ran
    kinds_of_pairs: set[tuple[str, ...]] = field(default_factory=set)  # job, fault, step, ending
    fires: int = 0  # fire times of schedules that made a job or were skipped
    resumed: int = 0
    longest_stall: float = 0.0  # seconds without progress after healing
    longest_recovery: float = 0.0  # seconds from the kill of every worker to progress on a new one
    longest_neighbour: float = 0.0  # seconds that the job of another org took once all was healed
    faults: Counter[str] = field(default_factory=Counter)


class Platform(Stack):
    """A stack that restarts a process which ended by itself, as a platform does.

    A worker may end when Redis is away during its start. ``older``: the code of an older version, for the first worker.
    """

    older: Path | None = None

    def start_worker(self, number: int = 1, *options: str) -> Process:
        """Start a worker. The first one is of the older version, if there is one."""
        if self.older is None or number != 1:
            return super().start_worker(number, *options)
        command = ["env", "-C", str(self.older), *WORKER, "-n", "worker1@%h", *options]
        return self.start("worker1", command, {"PYTHONPATH": str(self.older)})

    def take_older(self, revision: str) -> None:
        """Take the code of this revision out of git, for the first worker."""
        self.older = code_of(revision, self.folder / "older")

    def check(self) -> None:
        """Raise StackError when Redis or the local org has ended, because nothing restarts these two."""
        ended = [p.name for p in self.processes if not p.running and p.name in ("redis", "localorg")]
        if ended:
            raise StackError(f"{ended} ended by itself{self.obituaries()}")


class System:
    """A running system: Redis, the local org, web, workers and beat.

    It restarts the processes that were stopped on purpose.
    """

    def __init__(self, stack: Stack, dice: random.Random, workers: int, clock: RedisClock) -> None:
        self.stack = stack
        self.clock = clock
        self.dice = dice
        self.figures = Figures()
        self.workers = workers
        self.cases: list[Case] = []  # the jobs of this round
        self.may_forget = False  # whether Redis may come back with older data in this round
        self.began = datetime.now(UTC)  # start of the round
        self.stopped: list[tuple[Process, float]] = []  # frozen processes, and when each goes on
        self.leaving: list[tuple[Process, float]] = []  # processes that were asked to end, and until when each has time
        self.down: dict[str, float] = {}  # processes to start again, and when
        self.undo: list[tuple[float, Callable[[], object]]] = []  # what ends a fault, and when
        self._api: Api | None = None

    def start(self, opportunities: int) -> None:
        """Start everything except Redis, which is running already, and Flower: two orgs, ours and another tenant's.

        Create one large Opportunity and many Opportunities of two lines.
        """
        org = self.stack.start_org(0, "--opportunities", str(opportunities), "--lines", "2")
        tenant = self.stack.start_org(0, "--opportunities", "20", "--seed", "2")
        self.stack.org = org
        self.stack.start_web()
        for number in range(self.workers):
            self.stack.start_worker(number + 1)
        self.stack.start_beat()
        self.stack.wait_ready()
        self.reader = OrgReader(org)
        self._username = self.reader.username()
        self._api = Api(self.stack.web_url, org, self._username)
        self.tenant = Api(self.stack.web_url, tenant, OrgReader(tenant).username())
        self._make_large()
        self._make_refused()

    @property
    def api(self) -> Api:
        """The API's client. It is there once the system has started."""
        assert self._api is not None
        return self._api

    def _make_large(self) -> None:
        """Create one Opportunity of 700 lines, which is more than one request can hold."""
        like = next(self.reader.query("SELECT Pricebook2Id, (SELECT PricebookEntryId FROM OpportunityLineItems) "
                                      "FROM Opportunity LIMIT 1"))  # fmt: skip
        entry = like["OpportunityLineItems"][0]["PricebookEntryId"]
        fields = {"Name": "Large 0", "StageName": "Prospecting", "CloseDate": "2027-03-01"}
        large = self.reader.create("Opportunity", fields | {"Pricebook2Id": like["Pricebook2Id"]})
        line = {"OpportunityId": large, "PricebookEntryId": entry, "Quantity": 2}
        for start in (0, 350):
            nodes = [
                self.reader.node(f"l{n}", "OpportunityLineItem", line | {"UnitPrice": 100 + n})
                for n in range(start, start + 350)
            ]
            self.reader.graph(nodes)

    def _make_refused(self) -> None:
        """Create some Opportunities whose Quotes the org refuses: their price book entry is not active any more."""
        like = next(self.reader.query("SELECT Pricebook2Id, Product2Id, UnitPrice FROM PricebookEntry "
                                      "WHERE IsActive = true AND Pricebook2.IsStandard = false LIMIT 1"))  # fmt: skip
        product = self.reader.create("Product2", {"Name": "Withdrawn", "IsActive": True})
        standard = next(self.reader.query("SELECT Id FROM Pricebook2 WHERE IsStandard = true"))["Id"]
        entry = {"Product2Id": product, "UnitPrice": 10, "IsActive": True}
        self.reader.create("PricebookEntry", entry | {"Pricebook2Id": standard})
        withdrawn = self.reader.create("PricebookEntry", entry | {"Pricebook2Id": like["Pricebook2Id"]})
        for number in range(REFUSED):
            fields = {"Name": f"Refused {number}", "StageName": "Prospecting", "CloseDate": "2027-03-01"}
            made = self.reader.create("Opportunity", fields | {"Pricebook2Id": like["Pricebook2Id"]})
            line = {"OpportunityId": made, "PricebookEntryId": withdrawn, "Quantity": 1, "UnitPrice": 10}
            self.reader.create("OpportunityLineItem", line)
        self.reader.update("PricebookEntry", withdrawn, {"IsActive": False})

    def session(self) -> tuple[Api, str]:
        """Return the API as called with a new session of the org's administrator, and the token of that session."""
        org = self.stack.org
        assert org is not None
        user = next(each for each in self.reader._get("/localorg/users")["users"] if each["id"] == org.user_id)
        token = str(user["accessToken"])
        return Api(self.stack.web_url, replace(org, token=token), self._username), token

    def end_session(self, token: str) -> None:
        """End a session in the org."""
        requests.post(f"{self.reader.url}/services/oauth2/revoke", data={"token": token}, timeout=10).raise_for_status()

    def in_flight(self) -> list[Case]:
        """Return the jobs of this round that have not ended. While Redis is away: all of them."""
        with contextlib.suppress(redis.RedisError), self.redis() as client:
            pipe = client.pipeline(transaction=False)
            for case in self.cases:
                pipe.hget(f"quotejob:job:{case.job_id}", "status")
            statuses = [(status or b"").decode() for status in pipe.execute()]
            return [case for case, status in zip(self.cases, statuses, strict=True) if status not in ENDED]
        return list(self.cases)

    def receipts(self, case: Case) -> int:
        """Return how many pages and batches of the job's open waves are done."""
        with self.redis() as client:
            parts = [*client.scan_iter(f"quotejob:job:{case.job_id}:priced:*", count=1000),
                     *client.scan_iter(f"quotejob:job:{case.job_id}:written:*", count=1000)]  # fmt: skip
            return sum(client.hlen(part) for part in parts)

    def a_worker(self) -> str:
        """Return the name of a random worker."""
        return f"worker{self.dice.randint(1, self.workers)}"

    def kill(self, name: str, longest: float) -> None:
        """Kill a process with SIGKILL, unless it is down already.

        It is started again after 0.1 to ``longest`` seconds.
        """
        if name in self.down:
            return
        process = self.stack.process(name)
        process.kill()
        self.stack.processes.remove(process)
        self.down[name] = time.monotonic() + self.dice.uniform(0.1, longest)

    def kill_workers(self) -> None:
        """Kill all workers. Each is started again within a second."""
        for number in range(self.workers):
            self.kill(f"worker{number + 1}", 1)

    def tick(self) -> None:
        """Start, wake and finish processes whose time has come.

        A process that was down long enough is started again. A frozen one goes on. One that was asked to end must be
        gone.
        """
        now = time.monotonic()
        for due, undo in [pair for pair in self.undo if pair[0] <= now]:
            self.undo.remove((due, undo))
            with contextlib.suppress(redis.RedisError):
                undo()
        for process in [p for p in self.stack.processes if not p.running]:
            self.figures.faults[f"{process.name.rstrip('0123456789')} ended by itself"] += 1
            self.stack.processes.remove(process)
            process.finish(0)
            self.down[process.name] = now + 1
        for name in [name for name, due in self.down.items() if due <= now]:
            del self.down[name]
            self._start(name)
        for process, due in [pair for pair in self.stopped if pair[1] <= now]:
            self.stopped.remove((process, due))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGCONT)
        for process, due in list(self.leaving):
            if not process.running or due <= now:
                if process.running:
                    raise Violation("a worker that got SIGTERM was still there after 30 s")
                self.leaving.remove((process, due))
                process.finish(0)

    def _start(self, name: str) -> None:
        if name.startswith("worker"):
            self.stack.start_worker(int(name.removeprefix("worker")))
        elif name == "redis":
            port = urlsplit(self.stack.redis_url or "").port or 0
            self.stack.redis_url = None  # otherwise it counts as a server that was given
            self.stack.start_redis(port)
        elif name == "web":
            self.stack.start_web(int(self.stack.web_url.rpartition(":")[2]))
        else:
            self.stack.start_beat()

    def heal(self) -> None:
        """Start all processes, wake the frozen ones and clear the org's faults."""
        for process, _ in self.stopped:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGCONT)
        self.stopped.clear()
        self.undo = [(0.0, undo) for _, undo in self.undo]
        self.tick()
        self.down = dict.fromkeys(self.down, 0.0)
        self.down = dict(sorted(self.down.items(), key=lambda item: item[0] != "redis"))
        self.tick()
        org = self.stack.org
        assert org is not None
        requests.post(f"{org.url}/localorg/faults", json={"clear": True}, timeout=10).raise_for_status()
        self._api, _ = self.session()  # a fault may have ended the last one

    def redis(self) -> redis.Redis:
        """Return a new client of the system's Redis."""
        return redis.Redis.from_url(self.stack.redis_url or "", socket_timeout=2)


def patient(call: Callable[[], T], meanwhile: Callable[[], object] = lambda: None) -> T:
    """Call the function, and try again while the web process or Redis is away. ``meanwhile`` is called between."""
    until = time.monotonic() + 90
    while True:
        try:
            return call()
        except (requests.RequestException, ApiError) as error:
            passing = (
                not isinstance(error, ApiError) or " 503" in str(error) or " 401" in str(error) or " 409" in str(error)
            )
            if not passing or time.monotonic() > until:
                raise
            meanwhile()
            time.sleep(0.5)
