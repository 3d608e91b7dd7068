"""The ways to break a running system. A random generator with a fixed seed chooses one at a time."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import redis
import requests

from harness.api import ApiError
from harness.chaos.system import System

ORG_FAULTS = (
    "slow", "fail_before_write", "fail_after_write", "reset_before_write", "reset_after_write", "lock", "limit",
    "expire_session",
)  # fmt: skip
RESOURCES = ("composite/graph", "query", "*")
TIMEOUT = 3  # seconds the gateway waits for an answer here; a slow one takes longer
# Seconds that Redis's clock may jump, ahead or back. No jump is just under a minute: each second would get a job.
JUMPS = ((1, 20), (70, 300), (3600, 7200))
FARTHEST = 4 * 3600  # seconds that it may be ahead or back: sessions are kept for a day
# Where a round is struck: requests to the org take longer there, so that jobs stand at this step.
STEPS: dict[str, dict[str, str]] = {
    "anywhere": {"resource": "*"},
    "submit": {"resource": "*userinfo*"},
    "plan and pages": {"resource": "query"},
    "writes": {"resource": "composite/graph"},
    "writes by Bulk": {"resource": "jobs/ingest*"},
    "mirror": {"object": "QuoteJob__c"},
}
FORGETTING = ("cut Redis's file", "older copy of Redis")  # after these Redis does not know what it accepted last
# Errors of a fault that cannot be made because something else is already broken.
ALREADY_BROKEN = (
    StopIteration,
    IndexError,
    ProcessLookupError,
    FileNotFoundError,
    shutil.Error,
    redis.RedisError,
    requests.RequestException,
    ApiError,
)


class Faults:
    """The faults of a run: all of them, or those named by ``only``."""

    def __init__(self, system: System, only: frozenset[str] = frozenset()) -> None:
        self._system = system
        self._paused = threading.Lock()
        ways: dict[str, Callable[[], str | None]] = {
            "kill a worker": lambda: self._system.kill(self._system.a_worker(), 3),
            "kill every worker": self._system.kill_workers,
            "stop a worker": self._terminate_worker,
            "freeze a worker": self._freeze_worker,
            "kill web": lambda: self._system.kill("web", 2),
            "kill beat": lambda: self._system.kill("beat", 3),
            "kill Redis": lambda: self._system.kill("redis", 8),
            "org fault": self._org_fault,
            "duplicate messages": self._duplicate_messages,
            "shuffle messages": self._shuffle_messages,
            "lose messages": self._lose_messages,
            "fill Redis": self._fill,
            "slow Redis": self._slow_down,
            "cut Redis's file": self._cut,
            "older copy of Redis": self._fail_over,
        }
        if system.clock.library:
            ways["Redis's clock jumps"] = self._jump
        weights = {
            "org fault": 6,
            "kill a worker": 4,
            "duplicate messages": 3,
            "kill every worker": 2,
            "Redis's clock jumps": 2,
        }
        self._ways = {name: way for name, way in ways.items() if not only or name in only}
        self._weights = [weights.get(name, 1) for name in self._ways]

    def strike(self, step: str) -> None:
        """Break one thing, if it can be broken at the moment. Count the jobs that it strikes at this step."""
        dice, figures = self._system.dice, self._system.figures
        name = dice.choices(list(self._ways), self._weights)[0]
        if name in FORGETTING and not self._system.may_forget:
            return
        cases = self._system.in_flight()
        with contextlib.suppress(*ALREADY_BROKEN):
            name = self._ways[name]() or name
        figures.faults[name] += 1
        for case in cases:
            figures.pairs += (name, step) not in case.struck
            case.struck.add((name, step))
            figures.kinds_of_pairs.add((case.kind, name, step, case.ending))

    def hold(self, step: str) -> None:
        """Make the org slow where jobs shall stand while they are struck."""
        self._order({"kind": "slow", "match": STEPS[step], "probability": 0.6, "seconds": TIMEOUT / 2})

    @property
    def jumping(self) -> str:
        """Words that say whether jumps of Redis's clock are among the faults of this run."""
        return "jumps in this run" if "Redis's clock jumps" in self._ways else "does not jump, as asked"

    def _terminate_worker(self) -> None:
        """End a worker as a platform does at a deploy, and start a new one at once.

        SIGTERM goes to every process of the group, once or twice.
        """
        name = self._system.a_worker()
        if name in self._system.down:
            return
        process = self._system.stack.process(name)
        if any(process is frozen for frozen, _ in self._system.stopped):
            return  # no platform asks a process to end that it has frozen
        for _ in range(self._system.dice.randint(1, 2)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            time.sleep(0.3)
        self._system.stack.processes.remove(process)
        self._system.leaving.append((process, time.monotonic() + 30))
        self._system.down[name] = time.monotonic()

    def _freeze_worker(self) -> None:
        process = self._system.stack.process(self._system.a_worker())
        os.killpg(process.pid, signal.SIGSTOP)
        self._system.stopped.append((process, time.monotonic() + self._system.dice.uniform(5, 20)))

    def _org_fault(self) -> str:
        kind = self._system.dice.choice(ORG_FAULTS)
        spec = {
            "kind": kind,
            "match": {"resource": self._system.dice.choice(RESOURCES)},
            "count": 1 if kind in ("expire_session", "limit") else self._system.dice.randint(1, 4),
            "seconds": TIMEOUT + 1 if kind == "slow" else 0,
            "seed": self._system.dice.randint(0, 10**6),
        }
        self._order(spec)
        return f"org: {kind}"

    def _order(self, spec: dict[str, object]) -> None:
        requests.post(f"{self._system.reader.url}/localorg/faults", json=spec, timeout=10).raise_for_status()

    def _duplicate_messages(self) -> None:
        with self._system.redis() as client:
            for queue in _queues(client):
                for message in client.lrange(queue, 0, 20):
                    client.lpush(queue, message)

    def _shuffle_messages(self) -> None:
        with self._system.redis() as client:
            for queue in _queues(client):
                for _ in range(self._system.dice.randint(1, 20)):
                    client.lmove(queue, queue, "LEFT", "RIGHT")

    def _jump(self) -> None:
        """Move Redis's clock ahead or back by seconds, minutes or hours, never too far from the machine's clock."""
        by = self._system.dice.uniform(*self._system.dice.choice(JUMPS)) * self._system.dice.choice((1, -1))
        if abs(self._system.clock.offset + by) > FARTHEST:
            by = -self._system.clock.offset
        with self._paused:  # a pause ends by Redis's clock: turned back, it would last as long as the jump
            self._system.clock.jump(by)

    def _lose_messages(self) -> None:
        with self._system.redis() as client:
            for queue in _queues(client):
                client.rpop(queue, self._system.dice.randint(1, 5))

    def _fill(self) -> None:
        """Let Redis refuse writes for some seconds, as one does that is full or whose disk is."""
        with self._system.redis() as client:
            client.config_set("maxmemory", client.info("memory")["used_memory"] // 2)
        self._until(self._system.dice.uniform(2, 6), self._empty)

    def _empty(self) -> None:
        with self._system.redis() as client:
            client.config_set("maxmemory", 0)

    def _slow_down(self) -> None:
        """Make Redis answer only every 100 ms for some seconds."""
        until = time.monotonic() + self._system.dice.uniform(2, 5)

        def pause() -> None:
            with contextlib.suppress(redis.RedisError), self._system.redis() as client:
                while time.monotonic() < until:
                    with self._paused:
                        client.execute_command("CLIENT", "PAUSE", 100)
                        client.ping()  # is answered when the pause is over, which Redis notices somewhat later

        threading.Thread(target=pause, daemon=True).start()

    def _cut(self) -> None:
        """Kill Redis and cut the end of its append-only file off: the last commands are lost, one of them half."""
        self._system.kill("redis", 2)
        newest = max(self._data.rglob("*.aof"), key=lambda file: file.stat().st_mtime)
        os.truncate(newest, max(0, newest.stat().st_size - self._system.dice.randint(1, 5000)))

    def _fail_over(self) -> None:
        """Copy Redis's data, and after a while let a Redis with this copy take the other one's place."""
        copy = self._data.with_name(f"redis-copy-{time.monotonic_ns()}")  # another one may still wait for its turn
        shutil.copytree(self._data, copy)

        def replace() -> None:
            if "redis" not in self._system.down:
                self._system.kill("redis", 2)
            shutil.rmtree(self._data)
            copy.rename(self._data)

        self._until(self._system.dice.uniform(0.5, 3), replace)

    @property
    def _data(self) -> Path:
        return self._system.stack.folder / "redis"

    def _until(self, seconds: float, undo: Callable[[], object]) -> None:
        self._system.undo.append((time.monotonic() + seconds, undo))


def _queues(client: redis.Redis) -> list[bytes]:
    """Return the names of the lists of waiting messages: one for each queue and priority."""
    return [name for queue in ("clock", "control", "pages") for name in client.scan_iter(f"{queue}*")]
