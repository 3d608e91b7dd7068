"""Users' code in a process of its own: one child, started, called, watched, and ended when it does harm.

Celery's processes may not use multiprocessing, so a child is a plain subprocess. It has its own process group, so that
what it starts ends with it, and none of our secrets in its environment.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from quotejob.errors import QuotejobError
from quotejob.settings import ROOT, environment_without_secrets
from quotejob.usercode.isolation import frames
from quotejob.usercode.isolation.frames import Mark
from quotejob.usercode.trouble import DIED, MEMORY, NONSENSE, TOO_SLOW, Broken, Retry

LONGEST_START = 120.0  # seconds that the imports of users' code may take
TRIAL_PATIENCE = 10  # how many times the seconds of a call its trial may take: the first call gets ready what stays
LEAST_TRIAL = 5.0  # seconds
LOOK_EVERY = 0.1  # seconds between two looks at the child's time and memory
GROWTH = 2  # a child whose memory has grown to so many times what it was is replaced after its call
LEAST_GROWTH = 64 << 20  # bytes that it must have grown by
_PIPE = 1 << 16


class Unfit(QuotejobError):
    """Users' code cannot be used: it cannot be imported, or is not what it should be. The message says why."""

    code = "USER_CODE_UNFIT"


@dataclass(frozen=True, slots=True)
class Limits:
    """What users' code may take."""

    seconds: float = 1.0  # without a sign of life: a record taken up, or an answer
    megabytes: int = 512


@dataclass(frozen=True, slots=True)
class Kind:
    """What a child runs: the path of a factory, what it is called with, and the limits."""

    factory: str
    target: str
    limits: Limits


class Hands:
    """One child. It is started with the first call, and again after one that ended it. For one thread at a time."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._child: subprocess.Popen[bytes] | None = None
        self._received = bytearray()
        self._usual = 0  # bytes of memory after its first call
        self._since = self._waited = 0.0  # its last sign of life, and for how long it had waited for a core by then
        self.started = 0

    def start(self) -> bytes:
        """Start the child, if there is none. Return what its work tells of itself. Raises Unfit."""
        if self._child is None:
            self._about = self._start()
        return self._about

    def call(self, body: bytes, patience: float = 1, reply: Callable[[bytes], bytes] = lambda _: b"") -> bytes | Broken:
        """Let the child do one call. ``patience``: how many times ``Limits.seconds`` it may give no sign of life.

        ``reply`` answers its questions; that time is not the child's. Raises Retry if users' code does, Unfit if a new
        child cannot be started, and what ``reply`` raises: then the child has to be stopped.
        """
        self.start()
        self._mark(0)
        longest = self.kind.limits.seconds * patience
        answer = self._exchange(frames.frame(frames.CALL, body), longest)
        while not isinstance(answer, Broken) and answer[0] == frames.QUESTION:
            said = reply(answer[1])
            self._mark(self._mark.seen()[0])
            answer = self._exchange(frames.frame(frames.CALL, said), longest)
        if isinstance(answer, Broken):
            self.stop()
            return answer
        self._replace_if_grown()
        return _meaning(*answer)

    def stop(self) -> None:
        """End the child, and everything that it has started."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]
            self._mark.close()
            self._child = None

    def _start(self) -> bytes:
        self._mark, self._received, self._usual = Mark(), bytearray(), 0
        self.started += 1
        kind, descriptor = self.kind, self._mark.descriptor
        words = [kind.factory, kind.target, str(descriptor), str(kind.limits.megabytes)]
        self._child = subprocess.Popen(
            [sys.executable, "-m", "quotejob.usercode.isolation.child", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(descriptor,),
            start_new_session=True,
            env=environment_without_secrets() | {"PYTHONPATH": _python_path()},
            bufsize=0,
        )
        for pipe in (self._child.stdin, self._child.stdout):
            os.set_blocking(pipe.fileno(), False)  # type: ignore[union-attr]
        self._mark(0)
        answer = self._exchange(b"", LONGEST_START)
        if not isinstance(answer, Broken) and answer[0] == frames.LOADED:
            self._mark(0)
            answer = self._exchange(b"", self._longest_trial())
        if not isinstance(answer, Broken) and answer[0] == frames.READY:
            return answer[1]
        self.stop()
        reason = answer.message if isinstance(answer, Broken) else answer[1].decode(errors="replace")
        raise Unfit(f"{self.kind.target} cannot be used: {reason}")

    def _longest_trial(self) -> float:
        return min(LONGEST_START, max(LEAST_TRIAL, self.kind.limits.seconds * TRIAL_PATIENCE))

    def _exchange(self, to_send: bytes, longest: float) -> tuple[bytes, bytes] | Broken:
        """Send, and return the next frame; or what is wrong with the child."""
        left, looked = memoryview(to_send), time.monotonic()
        while True:
            try:
                left, ended = self._moved(left)
            except BrokenPipeError:
                return self._died()
            if answer := frames.taken(self._received):
                return answer
            if ended:
                return self._died()
            if time.monotonic() - looked >= LOOK_EVERY:
                looked = time.monotonic()
                if trouble := self._trouble(longest):
                    return trouble

    def _moved(self, left: memoryview) -> tuple[memoryview, bool]:
        """Send and receive what the pipes take. Return what is left to send, and whether the child closed its pipe."""
        assert self._child is not None
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        writing = [self._child.stdin] if left else []
        readable, writable, _ = select.select([self._child.stdout], writing, [], LOOK_EVERY)
        with contextlib.suppress(BlockingIOError):
            if writable:
                left = left[os.write(self._child.stdin.fileno(), left[:_PIPE]) :]
            if readable:
                some = os.read(self._child.stdout.fileno(), _PIPE)
                self._received += some
                return left, not some
        return left, False

    def _trouble(self, longest: float) -> Broken | None:
        """Look at the child. Return why it must be ended, or None."""
        assert self._child is not None
        place, since = self._mark.seen()
        if self._child.poll() is not None:
            return self._died()
        if memory(self._child.pid) > self.kind.limits.megabytes << 20:
            most = self.kind.limits.megabytes
            return Broken(place, MEMORY, f"It took more than {most} megabytes: its process was ended")
        if since != self._since:
            self._since, self._waited = since, waited(self._child.pid)
        if time.monotonic() - since - (waited(self._child.pid) - self._waited) > longest:
            return Broken(place, TOO_SLOW, f"No sign of life for {longest:g} seconds: its process was ended")
        return None

    def _died(self) -> Broken:
        assert self._child is not None
        status = self._child.wait()
        how = f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
        return Broken(self._mark.seen()[0], DIED, f"It ended its process ({how})")

    def _replace_if_grown(self) -> None:
        assert self._child is not None
        now = memory(self._child.pid)
        self._usual = self._usual or now
        if now > max(GROWTH * self._usual, self._usual + LEAST_GROWTH):
            self.stop()


def memory(pid: int) -> int:
    """Return how many bytes of memory a process has. 0: it is gone, or the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _page_size()
    except (OSError, IndexError, ValueError):
        return 0


def waited(pid: int) -> float:
    """Return for how many seconds a process was ready to run and had no core. 0: the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


@cache
def _page_size() -> int:
    return os.sysconf("SC_PAGE_SIZE")


def _meaning(kind: bytes, body: bytes) -> bytes | Broken:
    try:
        if kind == frames.BROKEN:
            return msgspec.msgpack.decode(body, type=Broken)
        if kind == frames.RETRY:
            asked: Any = msgspec.msgpack.decode(body, type=tuple[str, float])
            raise Retry(asked[0], after=asked[1])
    except msgspec.MsgspecError:
        kind = b""
    if kind == frames.ANSWER:
        return body
    return Broken(0, NONSENSE, "Its process sent what is no answer")


def _python_path() -> str:
    """Return where the child finds modules: where this process finds them."""
    return os.pathsep.join(dict.fromkeys([str(ROOT), *(path or os.getcwd() for path in sys.path)]))
