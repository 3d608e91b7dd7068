"""The login of the SOAP API, for clients that have a username and a password (SOAP API guide, "login").

No other part of SOAP is supported. As with OAuth, any password that is not empty is accepted.
"""

from __future__ import annotations

import re
from html import escape, unescape
from typing import Any

from aiohttp import web

from localorg.errors import not_imitated
from localorg.login.identity import url_of
from localorg.login.oauth import OAuthError, logged_in
from localorg.org import ORG, Org
from localorg.permissions import User

routes = web.RouteTableDef()

_XML = "text/xml;charset=UTF-8"
_CALL = re.compile(r"<(?:\w+:)?Body\b[^>]*>\s*<(?:\w+:)?(\w+)", re.ASCII)
_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns="urn:{kind}.soap.sforce.com" xmlns:sf="urn:fault.{kind}.soap.sforce.com" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>'
)
_KINDS = {"u": "partner", "c": "enterprise"}


@routes.post(r"/services/Soap/{kind:[uc]}/{version:[0-9]{1,3}\.[0-9]}{rest:(?:/.*)?}")
async def soap(request: web.Request) -> web.StreamResponse:
    """Open a session; refuse every other call with a SOAP fault."""
    text = (await request.read()).decode("utf-8", "replace")
    call = _CALL.search(text)
    if call is None or call[1] != "login":
        raise not_imitated("SOAP (but for its login)")
    org = request.app[ORG]
    try:
        user = logged_in(org, _value(text, "username"), _value(text, "password"))
    except OAuthError:
        message = "Invalid username, password, security token; or user locked out."
        return _fault(request, "INVALID_LOGIN", message)
    body = f"<loginResponse><result>{_elements(_result(request, org, user))}</result></loginResponse>"
    return _envelope(request, body, 200)


def _value(text: str, name: str) -> str:
    found = re.search(rf"<(?:\w+:)?{name}\b[^>]*>(.*?)</(?:\w+:)?{name}\s*>", text, re.DOTALL)
    return unescape(found[1]).strip() if found else ""


def _result(request: web.Request, org: Org, user: User) -> dict[str, Any]:
    url = f"{url_of(request)}/services/Soap/{request.match_info['kind']}/{request.match_info['version']}"
    return {
        "metadataServerUrl": f"{url_of(request)}/services/Soap/m/{request.match_info['version']}",
        "passwordExpired": "false",
        "sandbox": "false",
        "serverUrl": f"{url}/{org.organization_id[:15]}",
        "sessionId": org.sessions.open(user).token,
        "userId": user.id,
        "userInfo": {
            "currencySymbol": "$",
            "organizationId": org.organization_id,
            "organizationName": "Local Org",
            "profileId": "",
            "sessionSecondsValid": "7200",
            "userEmail": user.username,
            "userFullName": user.name,
            "userId": user.id,
            "userLanguage": "en_US",
            "userLocale": "en_US",
            "userName": user.username,
            "userTimeZone": user.time_zone.key,
            "userType": "Standard",
        },
    }


def _elements(values: dict[str, Any]) -> str:
    return "".join(
        f"<{name}>{_elements(value) if isinstance(value, dict) else escape(value)}</{name}>"
        for name, value in values.items()
    )


def _envelope(request: web.Request, body: str, status: int) -> web.Response:
    text = _ENVELOPE.format(kind=_KINDS[request.match_info["kind"]], body=body)
    return web.Response(body=text.encode(), status=status, headers={"Content-Type": _XML})


def _fault(request: web.Request, code: str, message: str) -> web.Response:
    detail = f"<sf:LoginFault><sf:exceptionCode>{code}</sf:exceptionCode>"
    detail += f"<sf:exceptionMessage>{escape(message)}</sf:exceptionMessage></sf:LoginFault>"
    body = f"<soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{code}: {escape(message)}</faultstring>"
    return _envelope(request, f"{body}<detail>{detail}</detail></soapenv:Fault>", 500)
