"""The intake: gunicorn's worker with threads, where a thread gets a request only when it is whole.

gunicorn gives a connection to a thread at once, and the thread waits for each byte. So a few clients that send slowly,
or not at all, stop the service without ever saying who they are. Here the loop that accepts connections reads them. It
waits for many at once, and each request has to arrive in time. A thread never waits for a client to send. A client that
does not take its answer is given up, too.

The health checks have a thread of their own, so they answer when all others are busy.
"""

from __future__ import annotations

import errno
import multiprocessing
import selectors
import socket
import struct
import sys
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn import util
from gunicorn.http.unreader import Unreader
from gunicorn.workers.gthread import TConn, ThreadWorker

from api.arriving import Arriving, TooLarge

ARRIVES_WITHIN = 10.0  # seconds for a whole request, from the connection or from its first byte
TAKEN_WITHIN = 10  # seconds that a client may take nothing of its answer
LINGERS = 2.0  # seconds that a closed connection waits for the client to close it, so that the answer is not cut;
# and that a worker that ends waits for requests on the connections it has
PIECE = 65_536  # bytes read at once
SPARE = 50  # connections of a worker that are kept free for new ones
HEALTH = (b"/health", b"/healthcheck")

_TOLD = multiprocessing.get_context("fork").Lock()  # held by the first process that cannot load the app, for ever

_REASONS = {408: "Request Timeout", 413: "Request Entity Too Large", 431: "Request Header Fields Too Large"}


class _Connection(TConn):
    """A connection with the bytes of it that no thread has yet."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.arriving = Arriving()
        self.data_ready = True  # a thread never has to wait for data

    def init(self) -> None:
        """Make the parser. It reads what has arrived, and never the socket."""
        if not self.initialized:
            super().init()
            self.parser.unreader = Unreader()
            self.parser.unreader.chunk = lambda _size=None: b""


class Worker(ThreadWorker):
    """gunicorn's threads behind a loop that reads requests. TLS has to end before it, at a router or the mesh."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lingering: deque[_Connection] = deque()
        self._health = ThreadPoolExecutor(1, "health")
        self._stopped_at: float | None = None  # when it was told to end

    def load_wsgi(self) -> None:
        """Load the app. Of the processes that cannot load it, one ends by itself; gunicorn then ends the others.

        By the exit code of a second one, while it ends, gunicorn stops with a traceback.
        """
        try:
            super().load_wsgi()
        except BaseException:
            while not _TOLD.acquire(block=False) and self.alive and self.is_parent_alive():
                time.sleep(0.05)
            if not self.alive:
                sys.exit(0)
            raise

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept connections or not. A worker that ends takes those that wait, and refuses those to come.

        gunicorn would leave them in a queue that nobody empties, and reset them at the end.
        """
        super().set_accept_enabled(enabled)
        if self.alive or enabled:
            return
        self._stopped_at = time.monotonic()
        for listener in self.sockets:
            while self._took(listener):
                pass
            listener.close()

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, and wait for its request. The one that is idle or slow for longest makes room for it."""
        self._took(listener)

    def _took(self, listener: socket.socket) -> bool:
        """Return whether there was a connection to accept."""
        try:
            sock, address = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return error.errno == errno.ECONNABORTED
        self.nr_conns += 1
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", TAKEN_WITHIN, 0))
        self._expect(_Connection(self.cfg, sock, address, listener.getsockname()))
        if self.nr_conns > self.worker_connections - SPARE:
            self._make_room()
        return True

    def on_client_socket_readable(self, conn: _Connection, client: socket.socket) -> None:
        """Read the next request of a connection that was kept."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._expect(conn)
        self._on_readable(conn, client)

    def finish_request(self, conn: _Connection, future: Future[Any]) -> None:
        """Keep the connection after a request, or close it. Never wait for the client here."""
        kept = not future.cancelled() and future.exception() is None and future.result()
        if not kept or conn.parser.unreader.take_buffered():  # bytes are left: another end of the request was seen
            self._close(conn)
        elif len(conn.arriving):
            self._expect(conn)
            self._on_bytes(conn, b"")
        else:
            super().finish_request(conn, future)

    def enqueue_req(self, conn: _Connection) -> None:
        """Give a whole request to a thread."""
        pool = self._health if conn.arriving.asks_for(*HEALTH) else self.tpool
        conn.sock.setblocking(True)
        conn.init()
        conn.parser.unreader.unread(conn.arriving.give())
        future = pool.submit(self.handle, conn)
        future.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def murder_pending(self) -> None:
        """Close the connections whose request did not arrive in time, and those that have lingered."""
        now = time.monotonic()
        while self.pending_conns and self.pending_conns[0].timeout <= now:
            self._refuse(self.pending_conns[0], 408)
        if self._stopped_at is not None and now > self._stopped_at + LINGERS:
            for conn in [each for each in self.pending_conns if not len(each.arriving)]:
                self._refuse(conn, 408)
        while self._lingering and self._lingering[0].timeout <= now:
            self._drop(self._lingering[0], self._lingering)

    def _expect(self, conn: _Connection) -> None:
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + ARRIVES_WITHIN
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_readable, conn))

    def _on_readable(self, conn: _Connection, client: socket.socket) -> None:
        data = _received(client)
        if data:
            self._on_bytes(conn, data)
        elif data is not None:
            self._drop(conn, self.pending_conns)

    def _on_bytes(self, conn: _Connection, data: bytes) -> None:
        try:
            whole = conn.arriving.take(data)
        except TooLarge as reason:
            self._refuse(conn, reason.status)
            return
        if whole:
            self._forget(conn, self.pending_conns)
            self.enqueue_req(conn)
        elif conn.arriving.asks_to_continue():
            with suppress(OSError):
                conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refuse(self, conn: _Connection, status: int) -> None:
        """Close a connection whose request a thread will not get. If it has begun, say why."""
        self._forget(conn, self.pending_conns)
        if len(conn.arriving):
            with suppress(OSError):
                util.write_error(conn.sock, status, _REASONS[status], "")
        self._close(conn)

    def _close(self, conn: _Connection) -> None:
        """Close our side, and read on for a moment: a reset would take the answer away from the client."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(conn, None)
            return
        conn.timeout = time.monotonic() + LINGERS
        self._lingering.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_late_bytes, conn))

    def _on_late_bytes(self, conn: _Connection, client: socket.socket) -> None:
        if _received(client) == b"":
            self._drop(conn, self._lingering)

    def _make_room(self) -> None:
        for waiting in (self._lingering, self.pending_conns, self.keepalived_conns):
            if waiting:
                self._drop(waiting[0], waiting)
                return

    def _forget(self, conn: _Connection, waiting: deque[_Connection]) -> None:
        waiting.remove(conn)
        self.poller.unregister(conn.sock)

    def _drop(self, conn: _Connection, waiting: deque[_Connection] | None) -> None:
        if waiting is not None:
            self._forget(conn, waiting)
        self.nr_conns -= 1
        conn.close()


def _received(client: socket.socket) -> bytes | None:
    """Return what has arrived; nothing if the client has ended or is lost. None: nothing has arrived after all."""
    try:
        return client.recv(PIECE)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""
