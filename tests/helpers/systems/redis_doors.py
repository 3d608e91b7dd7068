"""Doors in front of Redis: one that wants TLS with a client certificate, one that leads to Sentinel's primary."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import ssl
import subprocess
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import redis

from harness.process import ROOT

HOST = "127.0.0.1"
Find = Callable[[], tuple[str, int]]


@contextlib.contextmanager
def door(find: Find, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Lead each connection to the address that ``find`` gives at that moment. Yield the port."""
    ready, ends, ports = threading.Event(), asyncio.Event(), list[int]()
    loops: list[asyncio.AbstractEventLoop] = []
    opened: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)
        with contextlib.closing(writer), contextlib.suppress(OSError, redis.RedisError, TypeError):
            address = await asyncio.to_thread(find)
            there, to_there = await asyncio.open_connection(*address)
            opened.append(to_there)
            await asyncio.gather(_carry(reader, to_there), _carry(there, writer))

    async def serve() -> None:
        async with await asyncio.start_server(connected, HOST, 0, ssl=context) as server:
            ports.append(server.sockets[0].getsockname()[1])
            loops.append(asyncio.get_running_loop())
            ready.set()
            await ends.wait()
            server.close()
            for each in opened:
                each.transport.abort()
            await asyncio.sleep(0.2)  # so that they are closed

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    ready.wait()
    yield ports[0]
    loops[0].call_soon_threadsafe(ends.set)
    thread.join()
    with warnings.catch_warnings(action="ignore"):  # of connections that were open at the end
        gc.collect()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


def certificates(folder: Path) -> None:
    """Make the certificates of localhost in a folder, by the commands of the page about Redis."""
    [commands] = re.findall(r"^```sh\n(NAME=.+?)^```", (ROOT / "docs/guides/redis.md").read_text("utf-8"), re.M | re.S)
    script = commands.replace("redis.example.com", "localhost")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def wants_certificate(folder: Path) -> ssl.SSLContext:
    """The TLS settings of a server with these certificates, which only takes clients with one of that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    context.load_verify_locations(folder / "redis-ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context
