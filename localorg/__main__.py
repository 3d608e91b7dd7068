"""`localorg` or `python -m localorg`: start a local org and print its address, in one line on stdout."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import importlib
import logging
import os
import re
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from aiohttp import web

from localorg import __version__
from localorg.app import make_app
from localorg.http.tls import Certificate
from localorg.lab.costs import PROFILES
from localorg.numbers import whole
from localorg.org import Org
from localorg.schema.loading import load_schema
from localorg.schema.permission_sets import profiles
from localorg.seed import add_currencies, add_opportunities, populate

MODULE = "python -m localorg"
# Of the checkout that this package is in, or of the sfdx project in which an installed one is started.
_CHECKOUT = Path(__file__).resolve().parent.parent / "force-app"
FORCE_APP = _CHECKOUT if _CHECKOUT.is_dir() else Path("force-app")
_HIGHEST_PORT = 65_535
_CLOSING_SECONDS = 2.0  # time that running requests get to finish
# Large enough for the middleware to see a line that is too long, and to refuse it as the platform does (414, 431).
_LONGEST_LINE = 1024 * 1024  # bytes


def arguments(words: list[str] | None = None, name: str = MODULE) -> argparse.Namespace:
    """Read the command line. ``name``: how the command was typed."""
    parser = argparse.ArgumentParser(name, description="A Salesforce org for your laptop.")
    parser.add_argument("--version", action="version", version=f"localorg {__version__}")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=_port, default=8025, help="port to listen on; 0 takes a free one")
    parser.add_argument("--token", help="access token to accept; the usual one follows from the seed")
    parser.add_argument("--opportunities", type=_count, default=0, metavar="N", help="Opportunities to begin with")
    parser.add_argument("--lines", type=_count, default=2, metavar="K", help="lines of each of them")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="instant", help="how long requests take")
    parser.add_argument("--db", type=Path, metavar="PATH", help="keep the org in this file; else it is forgotten")
    parser.add_argument("--seed", type=int, default=1, help="what the org holds and its ids follow from this number")
    parser.add_argument(
        "--force-app", type=Path, default=FORCE_APP, metavar="DIR", help="sfdx source with the org's custom fields"
    )
    parser.add_argument(
        "--schema",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="objects and fields to add, in YAML (localorg/schema/yaml_file.py); may be given more than once",
    )
    parser.add_argument(
        "--currencies",
        type=_codes,
        default=[],
        metavar="LIST",
        help="the org has several currencies, such as USD,EUR,JPY; the first one is the user's",
    )
    parser.add_argument("--tls", action="store_true", help="speak https, with a certificate made at the start")
    parser.add_argument("--cert", type=Path, metavar="PEM", help="the certificate to use, with --key; means --tls")
    parser.add_argument("--key", type=Path, metavar="PEM", help="the private key of --cert")
    parser.add_argument(
        "--pubsub-port", type=_port, metavar="N", help="serve the Pub/Sub API (gRPC) on this port; 0 takes a free one"
    )
    parser.add_argument("--until-eof", action="store_true", help="end when standard input ends")
    asked = parser.parse_args(words)
    if (asked.cert is None) != (asked.key is None):
        parser.error("--cert and --key go together")
    if asked.force_app != FORCE_APP and not asked.force_app.is_dir():
        parser.error(f"--force-app: {asked.force_app} is no folder")
    return asked


def _codes(word: str) -> list[str]:
    codes = word.upper().split(",")
    if not all(re.fullmatch("[A-Z]{3}", code) for code in codes):
        raise argparse.ArgumentTypeError(f"{word} is not a list of currencies, such as USD,EUR,JPY")
    return codes


def _count(word: str) -> int:
    number = whole(word)
    if number is None:
        raise argparse.ArgumentTypeError(f"{word} is not a whole number from 0 on")
    return number


def _port(word: str) -> int:
    number = whole(word)
    if number is None or number > _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{word} is not a port, a whole number from 0 to {_HIGHEST_PORT}")
    return number


def open_org(asked: argparse.Namespace) -> Org:
    """Open the org for the command line, and fill it."""
    extra = [asked.force_app] if asked.force_app.is_dir() else []
    org = Org(
        load_schema(extra=extra, files=asked.schema, codes=asked.currencies),
        path=asked.db,
        seed=asked.seed,
        token=asked.token,
        profiles=[profile for folder in extra for profile in profiles(folder)],
    )
    org.costs.use(asked.profile)
    populate(org)
    add_opportunities(org, asked.opportunities, asked.lines)
    if asked.currencies:
        add_currencies(org, asked.currencies)
    return org


async def serve(
    org: Org,
    host: str,
    port: int,
    certificate: Certificate | None = None,
    *,
    until_eof: bool = False,
    pubsub_port: int | None = None,
) -> None:
    """Serve the org until SIGTERM or SIGINT, and with ``until_eof`` until standard input ends.

    Raise OSError when it cannot listen on this address.
    """
    org.certificate = certificate.public if certificate else None
    runner = web.AppRunner(
        make_app(org),
        access_log=None,
        shutdown_timeout=_CLOSING_SECONDS,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
    )
    await runner.setup()
    if (server := runner.server) is not None:
        server.request_factory = _with_one_slash(server.request_factory)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    pubsub = None
    try:
        ssl_context = certificate.context if certificate else None
        await web.TCPSite(runner, host, port, backlog=1024, ssl_context=ssl_context).start()
        org.url = _url(runner, host, "https" if certificate else "http")
        line = f"local org {org.url} org {org.organization_id} user {org.user.id} token {org.token}"
        if pubsub_port is not None:
            pubsub, port = await _pubsub().start(org, host, pubsub_port, certificate)
            line += f" pubsub {_authority(host, port)}"
        print(line, flush=True)
        if until_eof:
            threading.Thread(target=_wait_for_eof, args=(asyncio.get_running_loop(), stop), daemon=True).start()
        await stop.wait()
    finally:
        if pubsub is not None:
            await pubsub.stop(None)
        await runner.cleanup()


def _pubsub() -> ModuleType:
    """Return the module of the Pub/Sub API. Raise ValueError when what it needs is not installed."""
    try:
        return importlib.import_module("localorg.events.pubsub")
    except ImportError as error:
        needed = "--pubsub-port needs grpcio and protobuf: pip install grpcio protobuf"
        raise ValueError(f"{needed} ({error})") from None


def _wait_for_eof(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Read standard input to its end: it may be a pipe, a file or a terminal."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(stop.set)


def _with_one_slash(make: Callable[..., web.BaseRequest]) -> Callable[..., web.BaseRequest]:
    """Make requests with one leading slash in the path: the `sf` command sends two, and the platform accepts that."""

    def made(message: Any, *more: Any) -> web.BaseRequest:
        if message.path.startswith("//"):
            target = f"/{message.path.lstrip('/')}"
            path, _, query = target.partition("?")
            url = message.url.build(path=path, query_string=query, encoded=True)
            message = message._replace(path=target, url=url)
        return make(message, *more)

    return made


def _url(runner: web.AppRunner, host: str, scheme: str) -> str:
    return f"{scheme}://{_authority(host, runner.addresses[0][1])}"


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _certificate(asked: argparse.Namespace) -> Certificate | None:
    if asked.cert is not None:
        return Certificate.kept(asked.cert, asked.key)
    return Certificate.made(asked.host) if asked.tls else None


def _look_less_for_garbage() -> None:
    """Let Python look for circular garbage less often: rows and answers have no circles. It saves 3 to 8 %."""
    gc.freeze()  # what the org has at its start stays: it need not be looked at again and again
    gc.set_threshold(20_000, 20, 50)


def script() -> int:
    """Run the installed command."""
    return main(name="localorg")


def main(words: list[str] | None = None, name: str = MODULE) -> int:
    """Run the command and return its exit code: 0 after a clean stop, 1 when the org cannot be started."""
    asked = arguments(words, name)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        certificate = _certificate(asked)
        if asked.pubsub_port is not None:
            _pubsub()
        org = open_org(asked)
    except (OSError, sqlite3.DatabaseError, ValueError) as error:
        print(f"localorg cannot open the org: {error}", file=sys.stderr)
        return 1
    _look_less_for_garbage()
    try:
        asyncio.run(
            serve(
                org,
                asked.host,
                asked.port,
                certificate,
                until_eof=asked.until_eof,
                pubsub_port=asked.pubsub_port,
            )
        )
    except OSError as error:
        print(f"localorg cannot listen on {asked.host}:{asked.port}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
