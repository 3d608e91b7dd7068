"""What every request meets on its way: the token, the refusals, the headers, the cost."""

from __future__ import annotations

import gzip
import json
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from _server import DATA, Server, Start, start_server


@pytest.fixture(scope="module")
def org() -> Iterator[Server]:
    """An org for this file."""
    running = start_server()
    yield running
    assert running.stop() == 0


def _error(answer: requests.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"
    (error,) = answer.json()
    assert error["message"]
    return answer.status_code, error["errorCode"]


# --- the token ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer nonsense", "Basic dXNlcg=="])
def test_without_a_good_token_nobody_comes_in(org: Server, header: str | None) -> None:
    """The platform's own words: 401 INVALID_SESSION_ID."""
    headers = {} if header is None else {"Authorization": header}
    answer = requests.get(f"{org.url}{DATA}/limits", headers=headers, timeout=10)
    assert _error(answer) == (401, "INVALID_SESSION_ID")
    assert answer.json()[0]["message"] == "Session expired or invalid"


def test_the_token_may_come_in_the_address(org: Server) -> None:
    """As jsforce asks for the identity."""
    where = f"{org.url}/id/{org.organization_id}/{org.user_id}"
    assert requests.get(where, params={"oauth_token": org.token}, timeout=10).json()["user_id"] == org.user_id


@pytest.mark.parametrize(
    ("header", "says"),
    [(None, "Missing_OAuth_Token"), ("Bearer", "Missing_OAuth_Token"), ("Bearer nonsense", "Bad_OAuth_Token")],
)
def test_an_identity_is_refused_in_one_word(org: Server, header: str | None, says: str) -> None:
    """403 and plain text, as clients know it."""
    for path in (f"/id/{org.organization_id}/{org.user_id}", "/services/oauth2/userinfo", "/services/oauth2/userinfo/"):
        headers = {} if header is None else {"Authorization": header}
        answer = requests.get(f"{org.url}{path}", headers=headers, timeout=10)
        assert (answer.status_code, answer.text) == (403, says)
        assert answer.headers["Content-Type"].startswith("text/plain")


def test_the_versions_need_no_token_and_count_as_no_request(org: Server) -> None:
    """Some clients ask for them before they have one."""
    answer = requests.get(f"{org.url}/services/data/", timeout=10)
    assert [answer.json()[at]["version"] for at in (0, -1)] == ["50.0", "66.0"]
    assert answer.json()[-1] == {"label": "Spring '26", "url": "/services/data/v66.0", "version": "66.0"}
    assert "Sforce-Limit-Info" not in answer.headers


def test_a_token_can_be_had_by_password_or_client_credentials(org: Server) -> None:
    """Every new token is good beside the ones before."""
    username = org.get(f"/id/{org.organization_id}/{org.user_id}").json()["username"]
    for form in (
        {"grant_type": "client_credentials", "client_id": "a", "client_secret": "b"},
        {"grant_type": "password", "client_id": "a", "client_secret": "b", "username": username, "password": "c"},
    ):
        body = requests.post(f"{org.url}/services/oauth2/token", data=form, timeout=10).json()
        assert body["instance_url"] == org.url
        assert body["access_token"] != org.token
        headers = {"Authorization": f"Bearer {body['access_token']}"}
        assert requests.get(f"{org.url}{DATA}/limits", headers=headers, timeout=10).status_code == 200
    assert org.get("limits").status_code == 200


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "magic"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "invalid_client_id"),
        ({"grant_type": "password", "client_id": "a", "username": "nobody"}, "invalid_grant"),
    ],
)
def test_a_token_is_refused_in_the_words_of_oauth(org: Server, form: dict[str, str], error: str) -> None:
    """OAuth errors are an object, not the REST array."""
    answer = requests.post(f"{org.url}/services/oauth2/token", data=form, timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_the_org_says_who_the_caller_is(org: Server) -> None:
    """The resources name the identity, which agrees with userinfo."""
    resources = org.get(f"{DATA}/").json()
    assert resources["identity"] == f"{org.url}/id/{org.organization_id}/{org.user_id}"
    assert resources["query"] == f"{DATA}/query"
    who = org.get("/services/oauth2/userinfo").json()
    assert (who["user_id"], who["organization_id"]) == (org.user_id, org.organization_id)
    assert who["preferred_username"] == org.get(resources["identity"].removeprefix(org.url)).json()["username"]
    assert _error(org.get(f"/id/{org.user_id}/{org.organization_id}")) == (404, "NOT_FOUND")


# --- Bulk API 1.0 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/services/async/66.0/nothing", "InvalidUrl"),
        ("/services/async/39.0/job/750000000000001", "InvalidVersion"),
        ("/services/async/66.0/job/750000000000001", "InvalidJob"),
    ],
)
@pytest.mark.parametrize("kind", ["application/xml", "application/json", "text/csv"])
def test_bulk_api_1_refuses_in_its_own_form(org: Server, path: str, code: str, kind: str) -> None:
    """The session is in a header of its own; the answer is JSON for a request in JSON, and else XML."""
    headers = {"X-SFDC-Session": org.token, "Content-Type": kind}
    answer = requests.get(org.url + path, headers=headers, timeout=10)
    told = answer.json() if "json" in kind else {"exceptionCode": _text(answer, "exceptionCode")}
    assert (answer.status_code, told["exceptionCode"]) == (400, code)


def _text(answer: requests.Response, name: str) -> str | None:
    return ElementTree.fromstring(answer.content).findtext(f"{{http://www.force.com/2009/06/asyncapi/dataload}}{name}")


@pytest.mark.parametrize("headers", [{}, {"X-SFDC-Session": ""}, {"X-SFDC-Session": "00Dnonsense!x"}])
def test_bulk_api_1_refuses_a_bad_session_in_its_own_form(org: Server, headers: dict[str, str]) -> None:
    """With 400 and no other status: so an answer of the platform was captured (heroku/salesforce-bulk, issue 44)."""
    answer = requests.post(f"{org.url}/services/async/66.0/job", data=b"<jobInfo/>", headers=headers, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/xml")
    error = ElementTree.fromstring(answer.content)
    assert error.tag == "{http://www.force.com/2009/06/asyncapi/dataload}error"
    assert _text(answer, "exceptionCode") == "InvalidSessionId"
    assert _text(answer, "exceptionMessage") == "Invalid session id"
    json_too = requests.post(f"{org.url}/services/async/66.0/job", json={}, headers=headers, timeout=10)
    assert json_too.status_code == 400
    assert json_too.json() == {"exceptionCode": "InvalidSessionId", "exceptionMessage": "Invalid session id"}


def test_an_expired_session_is_expired_for_bulk_api_1_too(org: Server) -> None:
    """A session that a fault let expire by its own header; and that header is for this API alone."""
    try:
        assert org.post("/localorg/faults", {"kind": "expire_session", "match": {"resource": "*"}}).status_code < 300
        headers = {"X-SFDC-Session": org.token}
        answer = requests.get(f"{org.url}/services/async/66.0/job/1", headers=headers, timeout=10)
        assert (answer.status_code, _text(answer, "exceptionCode")) == (400, "InvalidSessionId")
        assert _error(org.get("limits")) == (401, "INVALID_SESSION_ID")
    finally:
        org.post("/localorg/faults", {"clear": True})
    alone = requests.get(f"{org.url}{DATA}/limits", headers=headers, timeout=10)
    assert _error(alone) == (401, "INVALID_SESSION_ID")


# --- digits of other scripts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/services/data/v٦٦.0/limits", (404, "NOT_FOUND")),
        ("/services/data/v６６.0/jobs/ingest", (404, "NOT_FOUND")),
        ("/services/data/v66.０/query?q=SELECT+Id+FROM+Account", (404, "NOT_FOUND")),
        (f"{DATA}/query/01g000000000000AAA-٢", (400, "INVALID_QUERY_LOCATOR")),
        (f"{DATA}/query?q=SELECT+Id+FROM+Account+LIMIT+١", (400, "MALFORMED_QUERY")),
        (
            f"{DATA}/sobjects/Account/updated?start=٢٠٢٦-01-01T00:00:00Z&end=2026-01-02T00:00:00Z",
            (400, "INVALID_REPLICATION_DATE"),
        ),
    ],
)
def test_digits_of_other_scripts_are_no_digits(org: Server, path: str, expected: tuple[int, str]) -> None:
    assert _error(org.get(path)) == expected


def test_a_limit_in_other_digits_is_no_limit(org: Server) -> None:
    job = org.post("jobs/query", {"operation": "query", "query": "SELECT Id FROM Account"}).json()
    while org.get(f"jobs/query/{job['id']}").json()["state"] != "JobComplete":
        time.sleep(0.02)
    for most in ("١", "１", "²", "+1", "1_0"):
        answer = org.get(f"jobs/query/{job['id']}/results", params={"maxRecords": most})
        assert _error(answer) == (400, "INVALID_ARGUMENT")


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/", (405, "METHOD_NOT_ALLOWED")),
        ("GET", "/nothing/here", (404, "NOT_FOUND")),
        ("GET", f"{DATA}/nothing", (404, "NOT_FOUND")),
        ("GET", "/services/data/v49.0/limits", (404, "NOT_FOUND")),
        ("GET", "/services/data/v67.0/limits", (404, "NOT_FOUND")),
        ("GET", "/services/data/v60.5/limits", (404, "NOT_FOUND")),
        ("GET", "/services/data/v99999.0/limits", (404, "NOT_FOUND")),
        ("GET", f"/services/data/v{'9' * 5000}.0/limits", (404, "NOT_FOUND")),
        ("DELETE", f"{DATA}/limits", (405, "METHOD_NOT_ALLOWED")),
        ("GET", f"{DATA}/ui-api/object-info", (501, "NOT_IMPLEMENTED")),
        ("GET", f"{DATA}/tooling/sobjects", (501, "NOT_IMPLEMENTED")),
        ("GET", "/services/oauth2/nothing", (404, "NOT_FOUND")),
        ("POST", "/services/Soap/u/66.0", (501, "NOT_IMPLEMENTED")),
    ],
)
def test_what_is_not_there_is_refused_as_the_platform_does(
    org: Server, method: str, path: str, expected: tuple[int, str]
) -> None:
    """Never HTML, never 500: clients retry those. What the platform has and this org has not is a 501."""
    assert _error(org.request(method, path)) == expected


@pytest.mark.parametrize("path", ["sobjects/Account", "composite", "composite/graph", "composite/sobjects"])
@pytest.mark.parametrize("depth", [300, 950, 1100])
def test_a_body_nested_too_deeply_is_refused(org: Server, path: str, depth: int) -> None:
    """Never with a 500, however deep, and whichever of the rules of a body it breaks first."""
    nested = "[" * depth + "]" * depth
    one = f'{{"referenceId": "a", "method": "POST", "url": "{DATA}/sobjects/Account", "body": {{"Name": {nested}}}}}'
    bodies = {
        "composite": f'{{"allOrNone": true, "compositeRequest": [{one}]}}',
        "composite/graph": f'{{"graphs": [{{"graphId": "g", "compositeRequest": [{one}]}}]}}',
        "composite/sobjects": f'{{"records": [{{"attributes": {{"type": "Account"}}, "Name": {nested}}}]}}',
    }
    answer = org.request("POST", path, data=bodies.get(path, f'{{"Name": {nested}}}'))
    assert answer.status_code in (200, 400)
    assert "JSON_PARSER_ERROR" in answer.text


@pytest.mark.parametrize("version", ["50.0", "58.0", "66.0"])
def test_every_version_served_answers_alike(org: Server, version: str) -> None:
    """Versions 50.0 to 66.0."""
    assert org.get(f"/services/data/v{version}/limits").json()["DailyApiRequests"]["Max"] == 1_000_000


@pytest.mark.parametrize("body", [b"{", b"", b'{"Name": }', b"\xff\xfe"])
def test_a_body_that_is_no_json_is_a_parser_error(org: Server, body: bytes) -> None:
    """400 with the place."""
    answer = org.request("POST", "sobjects/Account", data=body, headers={"Content-Type": "application/json"})
    assert _error(answer) == (400, "JSON_PARSER_ERROR")
    assert "[line:1, column:" in answer.json()[0]["message"]


def test_an_address_has_a_longest_length(org: Server) -> None:
    """16,384 bytes: 414 for the address alone, 431 together with the headers."""
    assert org.get("limits?x=" + "a" * 10_000).status_code == 200
    assert org.get("limits?x=" + "a" * 16_400).status_code == 414
    assert org.get("limits?x=" + "a" * 8_000, headers={"X-Long": "b" * 9_000}).status_code == 431


# --- headers and encodings ----------------------------------------------------------------------------------------


def test_every_answer_tells_the_requests_used(org: Server) -> None:
    """Sforce-Limit-Info, refusals included."""
    first, second = org.get("limits"), org.get("nothing")
    used = [
        int(answer.headers["Sforce-Limit-Info"].removeprefix("api-usage=").split("/")[0]) for answer in (first, second)
    ]
    assert used[1] == used[0] + 1
    assert first.headers["Sforce-Limit-Info"].endswith("/1000000")
    assert first.json()["DailyApiRequests"]["Remaining"] == 1_000_000 - used[0]


def test_long_answers_are_compressed_for_those_who_ask(org: Server) -> None:
    """Short ones never are."""
    asked = org.get("sobjects", headers={"Accept-Encoding": "gzip, deflate"})
    plain = org.get("sobjects", headers={"Accept-Encoding": "identity"})
    assert asked.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert asked.json() == plain.json()
    assert int(asked.headers["Content-Length"]) < int(plain.headers["Content-Length"])
    assert "Content-Encoding" not in org.get("limits", headers={"Accept-Encoding": "gzip"}).headers


def test_bodies_may_come_compressed(org: Server) -> None:
    """Content-Encoding: gzip; a broken one is a refusal, not a failure."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    body = gzip.compress(json.dumps({"Name": "Packed"}).encode())
    assert org.request("POST", "sobjects/Account", data=body, headers=headers).status_code == 201
    assert org.request("POST", "sobjects/Account", data=b"not gzip", headers=headers).status_code == 400


# --- costs --------------------------------------------------------------------------------------------------------


def _timed(do: Any) -> float:
    started = time.monotonic()
    do()
    return time.monotonic() - started


def test_the_seed_profile_takes_its_time_side_by_side(start: Start) -> None:
    """100 ms a request and 10 ms a row written, but twenty requests at once take less than one after the other."""
    org = start("--profile", "seed")
    assert _timed(lambda: org.get("limits")) >= 0.1
    assert _timed(lambda: org.create("Account", Name="Dear")) >= 0.11
    with ThreadPoolExecutor(20) as pool:
        twenty = _timed(lambda: list(pool.map(lambda _: requests.get(f"{org.url}{DATA}", timeout=10), range(20))))
    assert 0.1 <= twenty < 20 * 0.1
    assert org.get("/localorg/stats").json()["peakInFlight"] > 1
