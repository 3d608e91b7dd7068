"""The life of a child: it loads users' code, and does one call after the other.

    python -m quotejob.usercode.isolation.child FACTORY TARGET MARK MEGABYTES

FACTORY is the path of a class, such as ``quotejob.usercode.pricing.function:Pricing``. TARGET is what it is made with.
What the code prints goes to the worker's log. The child ends with its parent, whatever ends that, and takes its own
children along.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from queue import SimpleQueue
from typing import BinaryIO, Protocol

import msgspec

from quotejob.usercode.isolation import frames
from quotejob.usercode.isolation.frames import Mark
from quotejob.usercode.trouble import Retry, broken, told

LONGEST_CALL = 300  # seconds; the parent ends a call before that, if it is there
ADDRESS_SPACE = 4  # times the megabytes of memory: libraries reserve much that they never use
POLITENESS = 5  # the worker's own threads go first
MOST_TRACES = 20  # exceptions that the log gets in full


Ask = Callable[[bytes], bytes]
Send = Callable[[bytes, bytes], None]


class Work(Protocol):
    """What a factory makes: users' code, ready to be called."""

    def about(self) -> bytes:
        """Return what the parent has to know of it."""
        ...

    def call(self, body: bytes, mark: Mark, ask: Ask) -> bytes:
        """Do one call. ``ask`` lets the parent answer a question meanwhile. Raises what users' code raises."""
        ...


def main(factory: str, target: str, mark: int, megabytes: int) -> None:
    """Live until the parent closes the pipe, or ends."""
    calls, answers = _own_pipes()
    send = _sender(answers)
    waiting: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(calls, waiting), daemon=True).start()
    _limit(megabytes)
    work = _loaded(factory, target, send)
    shared, traces = Mark(mark), _Traces()

    def ask(question: bytes) -> bytes:
        send(frames.QUESTION, question)
        return waiting.get()

    while True:
        body = waiting.get()
        signal.setitimer(signal.ITIMER_REAL, LONGEST_CALL)  # for code that lets no other thread run
        send(*_answer(lambda body=body: work.call(body, shared, ask), shared, traces))  # type: ignore[misc]
        signal.setitimer(signal.ITIMER_REAL, 0)


def found(path: str) -> object:
    """Return what a path such as ``package.module:name`` leads to. Raises ValueError, ImportError, AttributeError."""
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        raise ValueError(f"{path!r} should be package.module:name")
    value: object = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _own_pipes() -> tuple[BinaryIO, int]:
    """Keep the pipes to the parent for us. Users' code reads nothing, and prints to the log."""
    calls, answers = os.fdopen(os.dup(0), "rb"), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return calls, answers


def _sender(answers: int) -> Send:
    """Return what sends frames to the parent. A copy that users' code has made by a fork ends instead."""
    born = os.getpid()

    def send(kind: bytes, body: bytes) -> None:
        if os.getpid() != born:
            os._exit(0)
        frames.send(answers, kind, body)

    return send


def _listen(calls: BinaryIO, waiting: SimpleQueue[bytes]) -> None:
    """Hand on the calls. The end of the pipe is the end of the parent, so also ours, in the midst of a call too."""
    while (call := frames.read(calls)) is not None:
        waiting.put(call[1])
    os.killpg(0, signal.SIGKILL)


def _limit(megabytes: int) -> None:
    signal.signal(signal.SIGTERM, lambda *_: None)  # a platform tells every process; the parent says when it is time
    most = (megabytes << 20) * ADDRESS_SPACE
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        os.nice(POLITENESS)


def _loaded(factory: str, target: str, send: Send) -> Work:
    """Load users' code, and tell the parent about it. If it cannot be used, tell why, and end."""
    try:
        work: Work = found(factory)(target)  # type: ignore[operator]
        send(frames.LOADED, b"")
        send(frames.READY, work.about())
    except BaseException as error:
        traceback.print_exc()
        send(frames.UNFIT, told(error).encode())
        sys.exit(1)
    return work


def _answer(call: Callable[[], bytes], mark: Mark, traces: _Traces) -> tuple[bytes, bytes]:
    try:
        return frames.ANSWER, call()
    except Retry as asked:
        return frames.RETRY, msgspec.msgpack.encode((str(asked), asked.after))
    except Exception as error:
        traces.show(error)
        return frames.BROKEN, msgspec.msgpack.encode(broken(mark.seen()[0], error))


class _Traces:
    """Exceptions in full, for the log; not more than a few."""

    def __init__(self) -> None:
        self._shown = 0

    def show(self, error: Exception) -> None:
        if self._shown < MOST_TRACES:
            self._shown += 1
            traceback.print_exception(error)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
