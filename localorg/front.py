"""The page at /: what this org is, what is in it, who can log in and how. JSON for programs.

Like /localorg/ it needs no token, is not counted, and answers only to clients on the same machine.
"""

from __future__ import annotations

from html import escape
from string import Template
from typing import Any

from aiohttp import web

from localorg.http.answers import answer
from localorg.org import ORG, Org
from localorg.versions import LATEST, OLDEST_VERSION

routes = web.RouteTableDef()

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


@routes.get("/")
async def front(request: web.Request) -> web.StreamResponse:
    """Answer with the page for a browser, and with the same as JSON for any other client."""
    org = request.app[ORG]
    about = _about(org, await org.run(_counts, org))
    if "text/html" not in request.headers.get("Accept", ""):
        return answer(about)
    return web.Response(text=_page(about), content_type="text/html", headers=_HEADERS)


def _counts(org: Org) -> dict[str, int]:
    """Return how many rows each object has, without those in the recycle bin. The fullest object comes first."""
    counts = {}
    for sobject in org.schema.objects.values():
        if not sobject.event:
            kept = ' WHERE NOT "IsDeleted"' if sobject.field("IsDeleted") else ""
            counts[sobject.name] = int(
                org.connection.execute(f'SELECT COUNT(*) FROM "{sobject.name}"{kept}').fetchone()[0]
            )
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def _about(org: Org, counts: dict[str, int]) -> dict[str, Any]:
    return {
        "name": "localorg",
        "url": org.url,
        "organizationId": org.organization_id,
        "versions": {"oldest": f"{OLDEST_VERSION}.0", "newest": LATEST},
        "objects": counts,
        "users": [{"username": user.username, "profile": user.profile.name} for user in org.users.everyone],
        "logIn": f"{org.url}/services/oauth2/token",
        "tokens": f"{org.url}/localorg/users",
        "statistics": f"{org.url}/localorg/stats",
        "faults": f"{org.url}/localorg/faults",
    }


def _page(about: dict[str, Any]) -> str:
    rows = [(name, f"{count:,}") for name, count in about["objects"].items()]
    users = [(user["username"], user["profile"]) for user in about["users"]]
    words = {name: escape(str(value)) for name, value in about.items()}
    return _PAGE.substitute(
        words,
        version=LATEST,
        objects=_rows(rows, "number"),
        users=_rows(users),
        first=escape(about["users"][0]["username"]),
    )


def _rows(rows: list[tuple[str, str]], second: str = "") -> str:
    return "\n".join(f'<tr><td>{escape(a)}</td><td class="{second}">{escape(b)}</td></tr>' for a, b in rows)


_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Local org</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
td { padding: 0.1rem 1.5rem 0.1rem 0; }
.number { text-align: right; }
pre { background: #f4f4f4; padding: 0.8rem; overflow-x: auto; }
@media (prefers-color-scheme: dark) { body { background: #1b1b1b; color: #ddd; } pre { background: #2b2b2b; }
a { color: #8ab4f8; } }
</style>
</head>
<body>
<h1>Local org</h1>
<p>A Salesforce org for this machine, at <code>$url</code>. Its id is <code>$organizationId</code>. Clients of the
platform's REST API, Bulk API 2.0 and OAuth work with it; see <code>localorg/README.md</code>.</p>
<h2>What is in it</h2>
<table>
$objects
</table>
<h2>Who can log in</h2>
<table>
$users
</table>
<h2>How to log in</h2>
<p>Any client id, client secret and password are accepted:</p>
<pre>curl $logIn \\
  -d grant_type=password -d username=$first \\
  -d password=any -d client_id=any -d client_secret=any</pre>
<p><a href="/localorg/users">/localorg/users</a> gives a fresh access token of each user. With a token in
<code>TOKEN</code>:</p>
<pre>curl -H "Authorization: Bearer $$TOKEN" \\
  "$url/services/data/v$version/query?q=SELECT+Id,Name+FROM+Opportunity+LIMIT+5"</pre>
<h2>What happens in it</h2>
<p><a href="/localorg/stats">Statistics</a> · <a href="/localorg/faults">faults</a> ·
<a href="/localorg/events">platform events</a> · <a href="/services/data">API versions</a></p>
</body>
</html>
""")
