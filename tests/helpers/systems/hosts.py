"""Several hosts on this machine: network namespaces on one bridge. Needs root and iproute2, and Linux."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.process import Process
from harness.stack import Stack

FAR = Path(__file__).with_name("far.py")


@dataclass
class Host:
    """One host: a namespace with a cable to the bridge."""

    name: str
    cable: str  # the bridge's end of it
    address: str
    environment: Mapping[str, str] = field(default_factory=dict)  # more variables of its processes: its clock

    def start(self, stack: Stack, name: str, *command: str) -> Process:
        """Start a process on this host."""
        return stack.start(name, ["ip", "netns", "exec", self.name, *command], self.environment)

    def lead(self, stack: Stack, to: str, ports: list[int], seconds: float) -> None:
        """Let these ports of its loopback lead to that address, so many seconds away."""
        stack.start(f"way-{self.name}", ["ip", "netns", "exec", self.name, *way("127.0.0.1", to, ports, seconds)])

    def cut(self) -> None:
        """Pull the cable: packets get lost, and nobody is told."""
        _run("ip", "link", "set", self.cable, "down")

    def mend(self) -> None:
        """Put the cable back."""
        _run("ip", "link", "set", self.cable, "up")


def way(address: str, to: str, ports: list[int], seconds: float = 0) -> list[str]:
    """Return the command that lets these ports of an address lead to another address."""
    return [sys.executable, str(FAR), str(seconds), address, to, *map(str, ports)]


@contextmanager
def network(count: int) -> Iterator[tuple[str, list[Host]]]:
    """Make a bridge and so many hosts. Yield the address of this machine on the bridge, and the hosts.

    Without root or iproute2 the test is skipped, and fails in CI.
    """
    if os.geteuid() != 0 or not shutil.which("ip") or _refused("ip", "netns", "add", f"qj{os.getpid()}t"):
        message = "network namespaces need root and iproute2"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    _run("ip", "netns", "delete", f"qj{os.getpid()}t")
    mark, net = f"qj{os.getpid()}", f"10.{os.getpid() // 256 % 100 + 100}.{os.getpid() % 256}"
    hosts = [Host(f"{mark}n{n}", f"{mark}v{n}", f"{net}.{n + 2}") for n in range(count)]
    try:
        _run("ip", "link", "add", mark, "type", "bridge")
        _run("ip", "address", "add", f"{net}.1/24", "dev", mark)
        _run("ip", "link", "set", mark, "up")
        for host in hosts:
            _plug(host, mark)
        yield f"{net}.1", hosts
    finally:
        for host in hosts:
            _refused("ip", "netns", "delete", host.name)
            _refused("ip", "link", "delete", host.cable)
        _refused("ip", "link", "delete", mark)


def wrong_clock(folder: Path, seconds: int) -> dict[str, str]:
    """The environment of processes whose clock is wrong by so many seconds. Without a C compiler it is right."""
    library = folder / "clock.so"
    if not shutil.which("cc"):
        return {}
    if not library.exists():
        _run("cc", "-shared", "-fPIC", "-o", str(library), str(FAR.with_name("clock.c")))
    return {"LD_PRELOAD": str(library), "CLOCK_IS_WRONG_BY": str(seconds)}


def _plug(host: Host, bridge: str) -> None:
    inside = ("ip", "-n", host.name)
    _run("ip", "netns", "add", host.name)
    _run("ip", "link", "add", host.cable, "type", "veth", "peer", "name", "eth0", "netns", host.name)
    _run("ip", "link", "set", host.cable, "master", bridge, "up")
    _run(*inside, "address", "add", f"{host.address}/24", "dev", "eth0")
    _run(*inside, "link", "set", "eth0", "up")
    _run(*inside, "link", "set", "lo", "up")


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=30)


def _refused(*words: str) -> bool:
    return subprocess.run(words, check=False, capture_output=True, timeout=30).returncode != 0
