"""The web-server flow of OAuth: a login page, and the way back with a code (Salesforce Help, page of this name).

The login is also the consent: there is no second page. The user-agent flow (response_type=token) is supported too.
"""

from __future__ import annotations

from html import escape
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from localorg.http.answers import answer
from localorg.login.identity import url_of
from localorg.login.oauth import CODE_SECONDS, GRANTS, Code, OAuthError, granted, logged_in, oauth_refusal, read_form
from localorg.org import ORG

routes = web.RouteTableDef()

_AUTHORIZE = "/services/oauth2/authorize{slash:/?}"
_HTML = "text/html;charset=UTF-8"
_CARRIED = ("response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method", "scope")
# Schemes to which a browser must never be redirected, whatever a client asks for.
_NO_WAY_BACK = frozenset({"", "javascript", "data", "vbscript", "file"})

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Login | Local Org</title>
<style>
body {{ font: 16px/1.5 sans-serif; background: #f3f3f3; }}
form {{ max-width: 22rem; margin: 10vh auto; padding: 2rem; background: #fff; border-radius: 4px; }}
label, input, button {{ display: block; width: 100%; box-sizing: border-box; }}
input, button {{ margin: .2rem 0 1rem; padding: .5rem; font: inherit; }}
.problem {{ color: #b00; }}
</style></head>
<body>
<form method="post" id="login">
<h1>Local Org</h1>
<p>{client} asks to act for you.</p>
{problem}
<label for="username">Username</label>
<input id="username" name="username" autocomplete="username" list="users" value="{username}">
<datalist id="users">{users}</datalist>
<label for="password">Password (any will do)</label>
<input id="password" name="pw" type="password" autocomplete="current-password">
{carried}
<button id="Login" name="Login" type="submit">Log In</button>
</form>
</body></html>
"""


@routes.get(_AUTHORIZE)
async def authorize(request: web.Request) -> web.StreamResponse:
    """Show the login page."""
    try:
        form = await read_form(request)
        _check(form)
    except OAuthError as error:
        return oauth_refusal(error)
    return _page(request, form)


@routes.post(_AUTHORIZE)
async def log_in(request: web.Request) -> web.StreamResponse:
    """Redirect the browser back with a code, or show the page again."""
    org = request.app[ORG]
    try:
        form = await read_form(request)
        _check(form)
        if "username" not in form:
            return _page(request, form)
        user = logged_in(org, form["username"], form.get("pw") or form.get("password", ""))
    except OAuthError as error:
        if error.error != "invalid_grant":
            return oauth_refusal(error)
        return _page(request, form, "Please check your username and password.")
    state = {"state": form["state"]} if "state" in form else {}
    if form["response_type"] == "token":
        session = org.sessions.open(user, form["client_id"], refreshable=True)
        return _back(form, "#", granted(request, session) | state)
    until = org.clock().timestamp() + CODE_SECONDS
    code = Code(user, form["client_id"], form["redirect_uri"], form.get("code_challenge"), until)
    return _back(form, "?", {"code": request.app[GRANTS].code(code)} | state)


def _check(form: dict[str, str]) -> None:
    if form.get("response_type") not in ("code", "token"):
        raise OAuthError("unsupported_response_type", "response type must be code or token")
    if not form.get("client_id"):
        raise OAuthError("invalid_client_id", "client identifier invalid")
    uri = form.get("redirect_uri", "")
    if _scheme(uri) in _NO_WAY_BACK or not uri.isprintable() or not uri.isascii():
        raise OAuthError("redirect_uri_missing", "redirect_uri must be an absolute address")
    if form.get("code_challenge") and form.get("code_challenge_method", "S256") != "S256":
        raise OAuthError("invalid_request", "code_challenge_method must be S256")


def _scheme(uri: str) -> str:
    try:
        return urlsplit(uri).scheme.lower()
    except ValueError:
        return ""


def _back(form: dict[str, str], mark: str, words: dict[str, str]) -> web.Response:
    uri = form["redirect_uri"]
    mark = "&" if mark == "?" and "?" in uri else mark
    return web.Response(status=302, headers={"Location": f"{uri}{mark}{urlencode(words)}"})


def _page(request: web.Request, form: dict[str, str], problem: str = "") -> web.Response:
    carried = "\n".join(
        f'<input type="hidden" name="{name}" value="{escape(form[name])}">' for name in _CARRIED if name in form
    )
    text = _PAGE.format(
        client=escape(form["client_id"]),
        problem=f'<p class="problem" id="error">{escape(problem)}</p>' if problem else "",
        username=escape(form.get("username", form.get("login_hint", ""))),
        users="".join(f'<option value="{escape(user.username)}">' for user in request.app[ORG].users.everyone),
        carried=carried,
    )
    return web.Response(body=text.encode(), headers={"Content-Type": _HTML})


@routes.get("/.well-known/openid-configuration")
async def openid_configuration(request: web.Request) -> web.StreamResponse:
    """Answer with the addresses of the OAuth resources (OpenID Connect Discovery)."""
    base = f"{url_of(request)}/services/oauth2"
    names = {"token": "token", "revocation": "revoke", "introspection": "introspect", "authorization": "authorize"}
    return answer(
        {
            "issuer": url_of(request),
            **{f"{what}_endpoint": f"{base}/{name}" for what, name in names.items()},
            "userinfo_endpoint": f"{base}/userinfo",
            "scopes_supported": ["api", "full", "refresh_token", "web"],
            "response_types_supported": ["code", "token"],
            "subject_types_supported": ["public"],
            "code_challenge_methods_supported": ["S256"],
        }
    )
