"""A way between hosts: what listens at one address leads to the same ports of another, so many seconds away.

``python far.py SECONDS ADDRESS HOST PORT [PORT ...]``: each port of ADDRESS leads to the same port of HOST.
"""

from __future__ import annotations

import asyncio
import sys

from _latency import serve


async def lead(seconds: float, address: str, host: str, ports: list[int]) -> None:
    """Carry bytes both ways until this process is ended."""
    await asyncio.gather(*(serve(port, port, seconds, host, address) for port in ports))


if __name__ == "__main__":
    asyncio.run(lead(float(sys.argv[1]), sys.argv[2], sys.argv[3], [int(port) for port in sys.argv[4:]]))
