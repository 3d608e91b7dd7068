"""Doors in front of Redis: one that wants TLS with a client certificate, one that leads to Sentinel's primary."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

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


def certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    file = folder / f"{name}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


def wants_certificate(own: Path, of_client: Path) -> ssl.SSLContext:
    """The TLS settings of a server that only takes clients with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    context.load_verify_locations(of_client)
    context.verify_mode = ssl.CERT_REQUIRED
    return context
