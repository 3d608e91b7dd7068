"""The other users of an org, as clients of the same server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import requests
from _server import Server


def people(server: Server) -> dict[str, dict[str, Any]]:
    """Everyone who can log in, by profile."""
    return {user["profile"]: user for user in server.get("/localorg/users").json()["users"]}


def as_user(server: Server, profile: str) -> Server:
    """The same server, asked by the user with this profile."""
    user = people(server)[profile]
    return replace(server, token=user["accessToken"], user_id=user["id"], session=requests.Session())
