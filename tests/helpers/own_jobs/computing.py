"""What a child runs in a test: so many seconds of computing, as the call says; and what hangs when it is tried."""

from __future__ import annotations

import os
import time
from collections.abc import Callable


class Computing:
    def __init__(self, target: str) -> None:
        self._answer = target.encode()

    def about(self) -> bytes:
        return b""

    def call(self, body: bytes, mark: object, ask: Callable[[bytes], bytes]) -> bytes:
        until = time.process_time() + float(body)
        while time.process_time() < until:
            pass
        return self._answer


class Forking(Computing):
    """Copies its process where the call says, and answers the call."""

    def call(self, body: bytes, mark: object, ask: Callable[[bytes], bytes]) -> bytes:
        if body == b"before asking":
            os.fork()
        said = ask(body) if body.endswith(b"asking") else b""
        if body in (b"after asking", b"fork"):
            os.fork()
        if body == b"fork and raise" and os.fork() == 0:
            raise ValueError("the copy")
        return body + said


class ForkedAtImport(Computing):
    """Copies its process when it is made."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        os.fork()


class Hanging(Computing):
    """It takes a while to load, which it may, and its trial ends never."""

    def __init__(self, target: str) -> None:
        time.sleep(3)
        super().__init__(target)

    def about(self) -> bytes:
        time.sleep(1000)
        return b""


class Slow(Hanging):
    """It takes a while to load and to be tried, as it may."""

    def about(self) -> bytes:
        time.sleep(3)
        return b"slow"
