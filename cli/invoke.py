"""bin/invoke.sh: one request with an org's context header. Uses only the standard library and never prints the token.

The body of the answer goes to standard output, the status line to standard error. Exit code: 0 for 2xx, 1 for any other
answer, 2 when there was nothing to send.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from typing import Any, NoReturn
from urllib.parse import urlsplit

from cli.local import API_VERSION, LOCAL_HOSTS, is_address, running_systems, system_at
from cli.problems import typed

HELP = """usage: {command} ORG URL [JSON]

One call of the API with an org's context, as the AppLink mesh makes it.

  ORG   an alias that the sf command knows, or local: the local org of the bin/demo or `quotejob up` whose
        API is at URL, otherwise that of LOCAL_ORG_URL and LOCAL_ORG_TOKEN
  URL   the whole address, such as http://127.0.0.1:8000/api/jobs
  JSON  the body of a POST; '{{}}' for a POST without one. Without JSON the call is a GET

Examples:
  {command} local http://127.0.0.1:8000/api/jobs
  {command} local http://127.0.0.1:8000/api/data/delete '{{}}'

Exit codes: 0 for an answer of 2xx, 1 for any other answer, 2 when there was nothing to send."""


def main(arguments: list[str]) -> int:
    """Take ORG URL [JSON] and return the exit code."""
    command = typed("bin/invoke.sh")
    if {"-h", "--help"} & set(arguments):
        print(HELP.format(command=command))
        return 0
    if len(arguments) not in (2, 3):
        give_up(f"usage: {command} ORG URL [JSON]   (ORG: an sf alias, or local; more: {command} --help)")
    org, url, *rest = arguments
    body = rest[0].strip() if rest else ""
    if not is_address(url):
        give_up(f"{url!r} is not an http:// or https:// address: correct the second argument.")
    if body:
        try:
            json.loads(body)
        except ValueError as error:
            give_up(f"The third argument is not JSON, correct it ({error}): {body}")
    instance, token = local_org(url) if org == "local" else sf_org(org)
    return call(url, body, context(instance, token))


def local_org(api_url: str) -> tuple[str, str]:
    """Return the address and token of the local org that belongs to the API at this address.

    It is the org of the running system that has this API, otherwise that of LOCAL_ORG_URL and LOCAL_ORG_TOKEN.
    """
    running = system_at(api_url) or {}
    if "token" in running:
        return running["url"], running["token"]
    url, token = os.environ.get("LOCAL_ORG_URL", ""), os.environ.get("LOCAL_ORG_TOKEN", "")
    if not (url and token):
        give_up(no_local_org(api_url))
    return url.rstrip("/"), token


def no_local_org(api_url: str) -> str:
    """Return the reason why there is no local org for the API at this address."""
    if running := [system["web_url"] for system in running_systems()]:
        return f"No local org belongs to the API at this address: {api_url}. Running now: {', '.join(running)}."
    return (
        "No local org: start `bin/quotejob up` or bin/demo. Or start `python -m localorg`, and set LOCAL_ORG_URL and "
        "LOCAL_ORG_TOKEN to the URL and token that it prints."
    )


def sf_org(alias: str) -> tuple[str, str]:
    """Return the address and access token of an org to which the sf command is logged in."""
    if not shutil.which("sf"):
        give_up(
            f"The sf command is not on PATH: install it (https://developer.salesforce.com/tools), or use `local` "
            f"instead of {alias!r}."
        )
    shown = sf("org", "display", "--target-org", alias)
    token = str(shown.get("accessToken") or "")
    if not usable(token):  # newer versions of sf no longer show it there
        token = str(sf("org", "auth", "show-access-token", "--target-org", alias).get("accessToken") or "")
    if not usable(token):
        give_up(f"sf does not give an access token for {alias!r}. Log in again: sf org login web --alias {alias}")
    return str(shown["instanceUrl"]).rstrip("/"), token


def usable(token: str) -> bool:
    """Return whether it looks like an access token. Newer versions of sf show other text in its place."""
    return re.fullmatch(r"[!-~]{15,}", token) is not None


def sf(*words: str) -> dict[str, Any]:
    """Return the result of an sf command. When it fails, stop with sf's own message."""
    done = subprocess.run(["sf", *words, "--json"], capture_output=True, text=True)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        give_up(f"`sf {' '.join(words)} --json` did not answer with JSON (exit code {done.returncode}).")
    if done.returncode != 0 or "result" not in answer:
        give_up(f"`sf {' '.join(words)}` failed: {answer.get('message', 'no message')}")
    return dict(answer["result"])


def context(instance: str, token: str) -> str:
    """Return the x-client-context header. The org itself says which user the token belongs to."""
    request = urllib.request.Request(
        f"{instance}/services/oauth2/userinfo", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with opener(instance).open(request, timeout=30) as answer:
            user = json.load(answer)
    except urllib.error.HTTPError as error:
        give_up(_why(instance, error.code))
    except (urllib.error.URLError, TimeoutError, http.client.HTTPException) as error:
        give_up(f"The org at {instance} does not answer: {error}. Check its address, and try again.")
    except ValueError:
        give_up(f"The org at {instance} did not answer with JSON. Check that it is the address of an org.")
    parts = {
        "requestId": str(uuid.uuid4()),
        "orgId": user["organization_id"],
        "orgDomainUrl": instance,
        "apiVersion": API_VERSION,
        "namespace": "",
        "accessToken": token,
        "userContext": {"userId": user["user_id"], "username": user["preferred_username"]},
    }
    return base64.b64encode(json.dumps(parts).encode()).decode()


def _why(instance: str, status: int) -> str:
    """Return what an org's refusal to say whose token this is means, and what to do."""
    if status in (401, 403):
        return f"The org at {instance} does not accept the token ({status}). Log in again, or check --org."
    if status == 429 or status >= 500:
        return f"The org at {instance} is not available now ({status}). Try again later."
    return f"{instance} does not answer as a Salesforce org ({status}). Check its address, or --org."


def call(url: str, body: str, header: str) -> int:
    """Send the request and show the answer."""
    request = urllib.request.Request(url, data=body.encode() if body else None, method="POST" if body else "GET")
    request.add_header("x-client-context", header)
    request.add_header("x-request-id", str(uuid.uuid4()))
    if body:
        request.add_header("Content-Type", "application/json")
    try:
        with opener(url).open(request, timeout=60) as answer:
            return show(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        if not body and "POST" in error.headers.get("Allow", ""):
            print("For a POST, add a body: '{}' if there is nothing to send.", file=sys.stderr)
        return show(error.code, error.read())
    except (urllib.error.URLError, TimeoutError, http.client.HTTPException) as error:
        give_up(f"{url} does not answer: {error}")


def show(status: int, body: bytes) -> int:
    """Write the status to standard error and the body to standard output, JSON indented. Return the exit code."""
    print(status, file=sys.stderr)
    try:
        print(json.dumps(json.loads(body), indent=2, ensure_ascii=False))
    except ValueError:
        print(body.decode(errors="replace"))
    return 0 if 200 <= status < 300 else 1


def opener(url: str) -> urllib.request.OpenerDirector:
    """Return an opener that uses no proxy for addresses on this machine."""
    local = urlsplit(url).hostname in LOCAL_HOSTS
    return urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if local else []))


def give_up(reason: str) -> NoReturn:
    """Print the reason to standard error and end with exit code 2."""
    print(reason, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
