"""`python -m localorg`: starts a local org and says where it is, in one line on stdout."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sqlite3
import sys
from pathlib import Path

from aiohttp import web

from localorg.app import make_app
from localorg.costs import PROFILES
from localorg.org import Org
from localorg.schema import Schema
from localorg.seed import add_opportunities, populate

FORCE_APP = Path(__file__).resolve().parent.parent / "force-app"
_CLOSING_SECONDS = 2.0  # what requests still running get to finish
# Long enough for the middleware to see what is too long and to say so in the platform's words (414, 431).
_LONGEST_LINE = 1024 * 1024  # bytes


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser("localorg", description="A Salesforce org for your laptop.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8025, help="port to listen on; 0 takes a free one")
    parser.add_argument("--token", help="access token to accept; the usual one follows from the seed")
    parser.add_argument("--opportunities", type=_count, default=0, metavar="N", help="Opportunities to begin with")
    parser.add_argument("--lines", type=_count, default=2, metavar="K", help="lines of each of them")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="instant", help="how long requests take")
    parser.add_argument("--db", type=Path, metavar="PATH", help="keep the org in this file; else it is forgotten")
    parser.add_argument("--seed", type=int, default=1, help="what the org holds and its ids follow from this number")
    parser.add_argument(
        "--force-app", type=Path, default=FORCE_APP, metavar="DIR", help="sfdx source with the org's custom fields"
    )
    return parser.parse_args(words)


def _count(word: str) -> int:
    number = int(word)
    if number < 0:
        raise argparse.ArgumentTypeError("must not be below 0")
    return number


def open_org(asked: argparse.Namespace) -> Org:
    """The org the command line asks for, filled."""
    extra = [asked.force_app] if asked.force_app.is_dir() else []
    org = Org(Schema.load(extra=extra), path=asked.db, seed=asked.seed, token=asked.token)
    org.costs.use(asked.profile)
    populate(org)
    add_opportunities(org, asked.opportunities, asked.lines)
    return org


async def serve(org: Org, host: str, port: int) -> None:
    """Serves the org until SIGTERM or SIGINT; raises OSError when it cannot listen there."""
    runner = web.AppRunner(
        make_app(org),
        access_log=None,
        shutdown_timeout=_CLOSING_SECONDS,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
    )
    await runner.setup()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
        org.url = _url(runner, host)
        print(f"local org {org.url} org {org.organization_id} user {org.user.id} token {org.token}", flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()


def _url(runner: web.AppRunner, host: str) -> str:
    port = runner.addresses[0][1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def main(words: list[str] | None = None) -> int:
    """The exit code: 0 after a clean stop, 1 when the org cannot be started."""
    asked = arguments(words)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(serve(open_org(asked), asked.host, asked.port))
    except OSError as error:
        print(f"localorg cannot listen on {asked.host}:{asked.port}: {error.strerror or error}", file=sys.stderr)
        return 1
    except (sqlite3.DatabaseError, ValueError) as error:
        print(f"localorg cannot open the org: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
