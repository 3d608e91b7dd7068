"""A TCP proxy on loopback that makes a server look far away: every byte arrives later, and none is lost.

``python _latency.py PORT PORT_OF_SERVER SECONDS``: a question and its answer take so many seconds longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

HOST = "127.0.0.1"
LONGEST_CONNECT = 5.0  # seconds; a client that connects itself gives up then


async def serve(port: int, server_port: int, seconds: float, host: str = HOST, at: str = HOST) -> None:
    """Carry bytes both ways until this process is ended."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, to_there = await asyncio.wait_for(asyncio.open_connection(host, server_port), LONGEST_CONNECT)
        except OSError:  # TimeoutError too: no way leads there now
            writer.close()
            return
        await asyncio.gather(_carry(reader, to_there, seconds / 2), _carry(there, writer, seconds / 2))

    server = await asyncio.start_server(connected, at, port)
    await server.serve_forever()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Write what is read, each part so many seconds after it was read."""
    loop, parts = asyncio.get_running_loop(), asyncio.Queue[tuple[float, bytes]]()

    async def take() -> None:
        data = b"?"
        while data:
            try:
                data = await reader.read(65536)
            except ConnectionError:
                data = b""
            parts.put_nowait((loop.time() + delay, data))

    taking = asyncio.create_task(take())
    with contextlib.suppress(ConnectionError):
        while True:
            due, data = await parts.get()
            await asyncio.sleep(due - loop.time())
            if not data:
                break
            writer.write(data)
            await writer.drain()
    await taking
    writer.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
