"""What the real code meets in a history instead of the outside: time, chance, the broker, the org, and dying commands.

The rooms of quotejob and tasks and the scripts on a real Redis run as they are. Only the names here are replaced, for
the length of a block. Slowdowns of an org are not: they change only how long a history takes.
"""

from __future__ import annotations

import contextlib
import random
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import celery
import redis
from celery import Signature
from celery.app.task import Task

from harness.histories import deadlines
from harness.histories.org import Org
from harness.histories.workers import Workers
from harness.histories.world import Actor, Process, World
from quotejob import clock
from quotejob.errors import QuotejobError, StoreUnavailable
from quotejob.jobtypes import units
from quotejob.jobtypes.batches import packing
from quotejob.jobtypes.quotes import commit, pages, plan, writer
from quotejob.mirror import telling
from quotejob.run import context, gate, leases, waves
from quotejob.salesforce import applink
from quotejob.salesforce.caller import CallerContext
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import scripts
from quotejob.store.client import RedisClient, RedisPipeline
from quotejob.store.intake import Intake
from tasks import flow, steps, sweep, ticks  # noqa: F401 (ticks: histories send its tasks)

TORN = 0.25  # of the histories have scripts of which Redis loses the end
TORN_SCRIPTS = 0.02  # of the scripts of such a history; the end of a short one may begin after it
MOST_COMMANDS = 40  # before the end
MAX_NODES = 6  # of a graph request: a Quote of six lines is a large one
RECORDS_PER_WAVE = 6
REAL_TIME = ("quotejob.store.client", "quotejob.testing.redis_server")  # they wait for the real Redis
REDIS_TIME = "local function redis_time() return tonumber(ARGV[2]) end"  # the world's time; Client adds it


class Client(RedisClient):
    """A client whose commands take time, may run twice, and end with their process."""

    world: World
    workers: Workers
    faults: float
    tears: random.Random
    tear_rate: float
    looked = 0.0  # the world's time when the keys whose time is over were deleted
    names: dict[str, str] | None = None  # of the scripts that the server has, by their SHA1

    def load_scripts(self) -> None:
        """Give the server all scripts. Else the first history would send some of them twice, and be another one."""
        if self.names is not None:
            return
        self.names = {}
        folder = Path(scripts.__file__).parent / "lua"
        for file in sorted(folder.rglob("*.lua")):
            name = str(file.relative_to(folder).with_suffix(""))
            text, digest = scripts._script(name)
            self.script_load(text)
            self.names[digest] = name

    def at_once(self, *args: Any) -> Any:
        """Run one command beside all turns."""
        return super().execute_command(*args)

    def sign_of_life(self, process: str) -> None:
        """Note one of this process. Real ones do so every second, which would make histories long."""
        self.at_once("ZADD", "quotejob:processes", clock.ms(self.world.now()), process)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run one command when it is this actor's turn."""

        def send() -> Any:
            now = clock.ms(self.world.now())
            if not str(args[0]).startswith("EVAL"):
                return super(Client, self).execute_command(*deadlines.timed(args, now), **options)
            try:
                return super(Client, self).execute_command(*args, now, self.torn(), **options)
            except redis.ResponseError as error:
                if deadlines.LOST not in str(error):
                    raise
                self.world.note(f"REDIS LOSES the end of {(self.names or {}).get(args[1])}")
                raise StoreUnavailable("Redis has lost the end of a script") from None

        return self.turn(send, str(args[0]))

    def tear(self, seed: int) -> None:
        """Let Redis lose the ends of some scripts, in some histories. Its dice are its own: others stay as they are."""
        self.tears = random.Random(f"torn {seed}")
        self.tear_rate = TORN_SCRIPTS if self.tears.random() < TORN else 0.0

    def torn(self) -> int | str:
        """Return after how many commands Redis loses the rest of a script. Nothing: it loses none."""
        if self.world.here() is None or self.world.calm or self.tears.random() >= self.tear_rate:
            return ""
        return self.tears.randrange(MOST_COMMANDS)

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> RedisPipeline:
        """Return a pipeline that is sent when it is this actor's turn."""
        pipe = Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipe.owner = self
        return pipe

    def time(self, **_: Any) -> tuple[int, int]:
        """Return the world's time, as the command TIME does."""
        seconds, rest = divmod(clock.ms(self.world.now()), 1000)
        return seconds, rest * 1000

    def turn(self, send: Any, what: str) -> Any:
        """Send commands in the actor's turn. The process may die before or after; the answer may be lost."""
        world = self.world
        if world.here() is None:
            return self._sent(send)
        world.sleep(world.dice.expovariate(200) if world.dice.random() < 0.9 else world.dice.uniform(0, 2))
        self.workers.strike()
        if world.chance(self.faults):
            raise StoreUnavailable("Redis does not answer")
        answer = self._sent(send)
        if world.chance(self.faults) and what.startswith("EVAL"):
            world.note(f"{what} sent twice: its answer was lost")
            world.sleep(0.1)
            answer = self._sent(send)
        if world.chance(self.faults):
            raise StoreUnavailable("Redis does not answer; the command was done")
        return answer

    def _sent(self, send: Any) -> Any:
        """Send commands, after the keys whose time is over were deleted: at most a second late."""
        if not 0 <= self.world.time - self.looked < 1:
            self.looked = self.world.time
            super().execute_command(*deadlines.ended(clock.ms(self.world.now())))
        return send()


class Pipeline(RedisPipeline):
    """A pipeline that takes one turn."""

    owner: Client

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send all commands in one turn."""
        commands = list(self.command_stack)

        def send() -> list[Any]:
            now = clock.ms(self.owner.world.now())
            self.command_stack = [(deadlines.timed(args, now), options) for args, options in commands]
            return super(Pipeline, self).execute(raise_on_error)

        return cast(list[Any], self.owner.turn(send, "pipeline"))


class Time:
    """The module time, by the world's time."""

    def __init__(self, world: World) -> None:
        self.sleep = world.sleep
        self.monotonic = self.perf_counter = lambda: world.time
        self.time = lambda: world.now().timestamp()


def clocks(world: World) -> list[Any]:
    """Replace the module time wherever the code of jobs uses it."""
    used = [module for name, module in sorted(sys.modules.items()) if name.split(".")[0] in ("quotejob", "tasks")]
    ours = [each for each in used if vars(each).get("time") is time and each.__name__ not in REAL_TIME]
    return [patch.object(each, "time", Time(world)) for each in ours]


def connected(url: str) -> Client:
    """Return a client with one connection. It serves one history after another."""
    return Client(connection_pool=redis.ConnectionPool.from_url(url), single_connection_client=True)


@contextlib.contextmanager
def patched(world: World, workers: Workers, org: Org, made: Services, *, renews: bool) -> Iterator[None]:
    """Replace the outside for the length of the block. ``renews``: a session that ends can be renewed by AppLink."""

    def kept(lease: leases.Lease, *_: Any) -> contextlib.AbstractContextManager[None]:
        return _kept(world, lease)

    def apply_async(task: Task, _: Any = None, kwargs: Any = None, *, countdown: float = 0, **__: Any) -> None:
        workers.publish(task.name, kwargs or {}, after=countdown)

    def send_task(_: Any, name: str, __: Any = None, kwargs: Any = None, **___: Any) -> None:
        workers.publish(name, kwargs or {})

    def renewed(caller: Any, _: Settings) -> Any:
        world.sleep(world.dice.uniform(0.1, 3))
        return replace(caller, access_token=new_session(org, world)) if renews else None

    def session(_: str, org_id: str, *__: Any) -> Any:
        world.sleep(world.dice.uniform(0.1, 3))
        return caller_of(org, world, org_id)

    lua = scripts._lua
    client = cast(Client, made.client)
    client.world, client.workers, client.looked = world, workers, 0.0
    random.seed(world.dice.getrandbits(32))
    scripts._script.cache_clear()  # the clock of its texts is another one
    replaced: list[Any] = [
        patch.object(clock, "now", world.now),
        patch.object(scripts, "_lua", lambda name: REDIS_TIME if name == "clock" else lua(name)),
        patch.object(uuid, "uuid4", lambda: uuid.UUID(int=world.dice.getrandbits(128), version=4)),
        *clocks(world),
        patch.object(gate, "PROMPT", world.dice.choice((0.0, 100.0))),
        patch.object(scripts, "_PROLOGUE", deadlines.LUA + scripts._PROLOGUE),
        patch.object(leases.Lease, "kept", kept),
        patch.object(leases.Leases, "slow_down", lambda *_: None),
        patch.object(leases, "this_process", lambda: _named(world.here())),
        patch.object(steps, "ROOM", _Room(world)),
        patch.object(Intake, "check", lambda _: None),
        patch.object(context, "OrgClient", org.client),
        patch.object(telling, "OrgClient", org.client),
        patch.object(applink, "renewed", renewed),
        patch.object(applink, "session", session),
        patch.object(Task, "apply_async", apply_async),
        patch.object(celery.Celery, "send_task", send_task),
        patch.object(flow, "chord", lambda header, body: _Chord(workers, header, body)),
        patch.object(sweep, "waiting", lambda _: workers.queued()),
        patch.object(Services, "connected", lambda *_, **__: made),
        patch.object(plan, "MAX_RECORDS_PER_WAVE", RECORDS_PER_WAVE),
        patch.object(waves, "FIRST_WAVE", 2),
        *(patch.object(module, "MAX_NODES", MAX_NODES) for module in (units, writer, commit, packing, pages)),
    ]
    with contextlib.ExitStack() as stack:
        for each in replaced:
            stack.enter_context(each)
        try:
            yield
        finally:
            world.close()
    scripts._script.cache_clear()


class _Room:
    """As quotejob.run.processes.Room, for actors: the steps of a process work beside others, or one alone."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._inside: Counter[Process | None] = Counter()
        self._until: dict[Process | None, float] = {}  # so long nobody may enter

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Work beside others."""
        here = self._world.here()
        while self._is_reserved(here):
            self._world.sleep(0.1)
        self._inside[here] += 1
        try:
            yield
        finally:
            self._inside[here] -= 1

    @contextlib.contextmanager
    def alone(self, longest: float) -> Iterator[bool]:
        """Work alone, or give up after a while."""
        here, until = self._world.here(), 0.0
        if not self._is_reserved(here):
            until = self._until[here] = self._world.time + longest
            while self._inside[here] > 1 and self._world.time < until:
                self._world.sleep(0.1)
            until = self._until[here] = self._world.time + longest if self._inside[here] == 1 else 0.0
        try:
            yield until > 0
        finally:
            if self._until.get(here) == until:
                del self._until[here]

    def _is_reserved(self, here: Process | None) -> bool:
        return self._until.get(here, 0.0) > self._world.time


def _named(process: Process | None) -> str:
    return process.id if process is not None else "nobody"


class _Chord:
    def __init__(self, workers: Workers, header: list[Signature], body: Signature) -> None:
        self.apply_async = lambda: workers.publish_chord(header, body)


@contextlib.contextmanager
def _kept(world: World, lease: leases.Lease) -> Iterator[None]:
    """Renew the lease from an actor of the same process while the block runs."""
    done = False
    process = world.here()
    if process is None:
        yield
        return

    def renew() -> None:
        while True:
            world.sleep(leases.RENEWAL_INTERVAL)
            if done:
                return
            with contextlib.suppress(QuotejobError):
                lease._renew()

    world.spawn(Actor(f"renew {lease.unit}", process, renew))
    try:
        yield
    finally:
        done = True


def new_session(org: Org, world: World) -> str:
    """Return the token of a new session of the org."""
    token = f"token-{world.dice.getrandbits(32)}"
    org.sessions.add(token)
    return token


def caller_of(org: Org, world: World, org_id: str) -> CallerContext:
    """Return a caller of this org with a new session."""
    return CallerContext(
        request_id="r", org_id=org_id, org_domain_url="https://a.my.salesforce.com", api_version="66.0",
        namespace="", access_token=new_session(org, world), user_id="005000000000001AAA", username="u@x.example",
    )  # fmt: skip
