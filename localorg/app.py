"""The web application of one org: all routes, behind one middleware."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from localorg import bulk, bulk_one, control, front
from localorg.events import cometd
from localorg.http import strikes
from localorg.http.middleware import conduct
from localorg.login import apps, identity, oauth, oauth_web, soap
from localorg.org import ORG, Org
from localorg.rest import batch, graph, resources
from localorg.rest import query as rest

# Limit for bodies that are read whole; Bulk uploads are streamed and have their own. REST API guide: 50 MB at most.
LARGEST_BODY = 50 * 1024 * 1024


def make_app(org: Org) -> web.Application:
    """Return the application that serves this org; when it closes, the org closes too."""
    app = web.Application(middlewares=[conduct], client_max_size=LARGEST_BODY)
    assert resources.LOADED
    app[ORG] = org
    app[oauth.GRANTS] = oauth.Grants()
    app[apps.APPS] = {}
    app[bulk.BULK_JOBS] = bulk.BulkJobs(org)
    app[bulk_one.JOBS] = bulk_one.Jobs(org)
    app[bulk.CLASSIC_JOBS] = app[bulk_one.JOBS].since
    app[strikes.BULK_OBJECTS] = lambda request: bulk.objects_of(request) | bulk_one.objects_of(request)
    for part in (front, graph, batch, rest, bulk, bulk_one, identity, oauth, oauth_web, soap, apps, cometd, control):
        app.add_routes(part.routes)
    app.cleanup_ctx.append(_open)
    app.cleanup_ctx.append(bulk.working)
    app.cleanup_ctx.append(bulk_one.working)
    app.cleanup_ctx.append(cometd.delivering)
    app.on_shutdown.append(cometd.release)
    return app


async def _open(app: web.Application) -> AsyncIterator[None]:
    """Keep the org open until everything that works on it has ended."""
    yield
    app[ORG].close()
