"""gunicorn's settings, read by `gunicorn api.wsgi:app` from the repository root.

Behind the AppLink service mesh the app listens on APP_PORT, on loopback only: the mesh owns PORT. Without it, on PORT.
"""

import json
import logging
import os
import re
import socket

import gunicorn.util

_port = os.environ.get("APP_PORT") or os.environ.get("PORT") or "8000"
_host = "127.0.0.1" if os.environ.get("APP_PORT") else "0.0.0.0"  # noqa: S104 (a dyno is reached from outside)
bind = f"{_host}:{_port}"

workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
worker_class = "api.intake.Worker"  # gthread, where no thread waits for a slow client
threads = 64  # a request waits on Redis and on one call to the org, hardly on the CPU; asking/door.py shares them out
timeout = 30
graceful_timeout = 20  # seconds; Heroku kills 30 s after SIGTERM
keepalive = 75  # seconds; longer than a router keeps its side open
limit_request_line = 8190
sendfile = False  # it would wait without end for a client that does not read
limit_request_field_size = 16_384  # the caller's context, with a JWT for a token, may pass the usual 8 KB

accesslog = None  # request lines and headers stay out of the log: a header holds the caller's token
control_socket_disable = True  # no file outside the checkout, no second way in
if os.path.isdir("/dev/shm"):  # noqa: S108 (heartbeat files in memory: a slow disk must not look like a dead worker)
    worker_tmp_dir = "/dev/shm"  # noqa: S108


def _without_the_header(record: logging.LogRecord) -> bool:
    """Keep a header that gunicorn cannot parse out of its warning: a token could be in it."""
    record.msg = re.sub(r"^(Invalid request from ip=\S*):.*", r"\1", str(record.msg), flags=re.DOTALL)
    return True


def _plain_when_not_taken(record: logging.LogRecord) -> bool:
    """Make one line of an answer that its client did not read."""
    if record.exc_info and isinstance(record.exc_info[1], BlockingIOError):
        record.msg, record.args, record.exc_info = "A client did not take its answer in time", (), None
    return True


def _error_as_json(sock: socket.socket, status: int, reason: str, message: str) -> None:  # noqa: ARG001 (it quotes the request)
    """Answer what gunicorn refuses before it reaches the API: in the API's own form instead of HTML."""
    body = {
        "code": re.sub(r"\W+", "_", reason).upper(),
        "message": _ADVICE.get(status, "The server could not read this request; it should be plain HTTP/1.1."),
        "details": [],
    }
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    gunicorn.util.write_nonblock(sock, head.encode() + b"Content-Length: %d\r\n\r\n" % len(content) + content)


_ADVICE = {
    408: "The request did not arrive in time; send it at once, as a whole.",
    413: "The body is larger than 64 KiB; send less",
    414: f"The address of the request is too long; send at most {limit_request_line} bytes.",
    431: f"A header of the request is too long; send at most {limit_request_field_size} bytes.",
    500: "Something went wrong here; try again, and tell whoever runs this service if it stays so.",
}
for _filter in (_without_the_header, _plain_when_not_taken):
    logging.getLogger("gunicorn.error").addFilter(_filter)
gunicorn.util.write_error = _error_as_json
