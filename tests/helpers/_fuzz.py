"""Requests nobody should send: every endpoint and method with random bytes, random JSON and damaged honest bodies."""

from __future__ import annotations

import copy
import json
import random
import string
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

V = "/services/data/v66.0"
METHODS = ["GET"] * 5 + ["POST"] * 4 + ["PATCH"] * 2 + ["PUT", "DELETE", "HEAD", "OPTIONS"]
OBJECTS = ["Account", "Opportunity", "Quote", "QuoteLineItem", "Product2", "User", "Organization", "Bogus__c", "quote"]
FIELDS = [
    "Id",
    "Name",
    "AccountId",
    "Amount",
    "CloseDate",
    "StageName",
    "IsClosed",
    "OwnerId",
    "QuoteJobKey__c",
    "Bacon",
]
HOSTILE: list[Any] = [
    None, True, False, 0, -1, 1.5, 1e308, -0.0, 10**30, "", " ", "\0", "\ud800", "'", "%", "a" * 300, "é" * 90, "🤖",
    "@{a.id}", "@{a}", "@{", "@{a.b.c.d}", "1e999", "NaN", "2024-02-30", "9999-12-31", "0000-00-00", [], {}, [[]], [{}],
    {"a": {"a": {}}}, "001000000000000AAA", "001000000000000", "#N/A", "null", "true", "1970-01-01T00:00:00Z",
    {"attributes": {"type": "Account"}}, {"attributes": 1}, "../../x", "<x>&", "\n\r\t", "0" * 40, 2**63, -(2**63) - 1,
]  # fmt: skip
RESOURCES = [
    "",
    "query",
    "queryAll",
    "query/01g000000000001AAA-2000",
    "query/x",
    "sobjects",
    "limits",
    "limits/recordCount",
    "recent",
    "tabs",
    "search",
    "composite",
    "composite/graph",
    "composite/batch",
    "composite/sobjects",
    "composite/sobjects/Account",
    "composite/sobjects/Quote/QuoteJobKey__c",
    "composite/tree/Account",
    "composite/tree/Opportunity",
    "jobs/ingest",
    "jobs/ingest/7500000000000AAAAA",
    "jobs/query",
    "jobs/query/7500000000000AAAAA/results",
    "tooling/query",
    "parameterizedSearch",
    "analytics/reports",
    "chatter/users/me",
    "event/eventSchema/x",
    "async-queries",
    "support",
]
PLACES = ["describe", "updated", "deleted", "listviews", "Id", "QuoteJobKey__c/x", "Name/a b", "x/y/z", "Account"]
OUTSIDE = [
    "/",
    "/services",
    "/services/data",
    "/services/data/",
    "/services/data/v1.0/limits",
    "/services/data/v66.0x",
    "/services/oauth2/token",
    "/services/oauth2/userinfo",
    "/services/oauth2/revoke",
    "/services/oauth2/introspect",
    "/services/oauth2/authorize",
    "/services/Soap/u/66.0",
    "/services/Soap/c/66.0/x",
    "/services/apexrest/x",
    "/id/x/y",
    "/.well-known/openid-configuration",
    "//services/data",
    "/localorg/stats",
    "/localorg/users",
    "/localorg/events",
    "/localorg/clients",
    "/localorg/limits",
    "/localorg/faults",
    "/localorg/applink/authorizations/x",
    "/localorg/nothing",
]
QUERIES = [
    "SELECT Id FROM Account",
    "SELECT COUNT() FROM Quote",
    "SELECT Name, (SELECT Id FROM Quotes) FROM Opportunity LIMIT 3",
    "SELECT StageName, COUNT(Id) FROM Opportunity GROUP BY ROLLUP(StageName)",
    "SELECT FIELDS(ALL) FROM Quote LIMIT 200",
    "SELECT Id FROM Opportunity WHERE Id IN (SELECT OpportunityId FROM Quote) ORDER BY Name OFFSET 3 FOR VIEW",
]
Request = tuple[str, str, bytes, dict[str, str]]
T = TypeVar("T")


class Fuzz:
    """Writes requests from a seed. `ids` are rows that are there, so that some requests hit something."""

    def __init__(self, seed: int, ids: dict[str, str], jobs: list[str]) -> None:
        self.random = random.Random(seed)
        self.ids = ids
        self.jobs = jobs

    def request(self) -> Request:
        """(method, path with query, body, headers)."""
        method, path, body = self.one(METHODS), self.path(), self.body()
        headers = {"Content-Type": self.one(["application/json", "text/csv", "application/xml", "x", ""])}
        if self.random.random() < 0.3:
            path, body, headers = self.honest()
            method = self.one([method, "POST", "POST", "PUT" if path.endswith("/batches") else "PATCH"])
        if self.random.random() < 0.03:
            headers["Content-Encoding"] = self.one(["gzip", "deflate", "br", "x"])
        if self.random.random() < 0.05:
            headers["Sforce-Query-Options"] = self.one(
                ["batchSize=200", "batchSize=x", "batchSize=99999999999999", "é".encode().decode("latin-1")]
            )
        return method, path, body, headers

    def one(self, several: list[T]) -> T:
        return self.random.choice(several)

    # --- where ---

    def path(self) -> str:
        kind = self.random.random()
        if kind < 0.2:
            return self.one(OUTSIDE) + self.tail()
        if kind < 0.6:
            return f"{V}/{self.one(RESOURCES)}{self.tail()}"
        if kind < 0.7:
            return (
                f"{V}/jobs/ingest/{self.one([*self.jobs, 'x'])}{self.one(['', '/batches', '/successfulResults', '/x'])}"
            )
        name = self.one(OBJECTS)
        row = self.one([*self.ids.values(), *PLACES, quote(str(self.one(HOSTILE)), safe="", errors="replace")])
        return f"{V}/sobjects/{name}/{row}{self.tail()}"

    def tail(self) -> str:
        if self.random.random() < 0.5:
            return self.one(["", "/", "//", "/%00", "/é".encode().decode("latin-1")])
        names = ["q", "explain", "columns", "fields", "ids", "start", "end", "allOrNone", "_HttpMethod", "maxRecords",
                 "locator", "jobType", "grant_type", "updateOnly", "limit"]  # fmt: skip
        pairs = [(self.one(names), self.text()) for _ in range(self.random.randint(1, 3))]
        return "?" + urlencode(pairs, errors="replace")

    def text(self) -> str:
        kind = self.random.random()
        if kind < 0.3:
            return self.damaged(self.one(QUERIES))
        if kind < 0.6:
            return str(self.one([*HOSTILE, *self.ids.values(), *FIELDS, "Id,Name", "DELETE", "2024-01-01T00:00:00Z"]))
        return "".join(self.random.choices(string.printable, k=self.random.randint(0, 40)))

    # --- what ---

    def body(self) -> bytes:
        kind = self.random.random()
        if kind < 0.2:
            return self.random.randbytes(self.random.randint(0, 200))
        if kind < 0.3:
            return b""
        if kind < 0.4:
            return (self.one(["[", '{"a":', '"']) * self.random.randint(1, 5000)).encode()
        return self.encoded(self.json(0))

    def encoded(self, value: Any) -> bytes:
        text = json.dumps(value, ensure_ascii=self.random.random() < 0.5)
        return text.encode("utf-8", "surrogatepass")

    def json(self, depth: int) -> Any:
        kind = self.random.random()
        if depth > 4 or kind < 0.4:
            return self.one([*HOSTILE, *self.ids.values(), *FIELDS, *OBJECTS])
        if kind < 0.6:
            return [self.json(depth + 1) for _ in range(self.random.randint(0, 4))]
        return {self.key(): self.json(depth + 1) for _ in range(self.random.randint(0, 5))}

    def key(self) -> str:
        names = (
            "graphs graphId compositeRequest referenceId method url body records attributes type allOrNone "
            "batchRequests richInput object operation state query lineEnding columnDelimiter externalIdFieldName kind"
        )
        return str(self.one([*names.split(), *FIELDS]))

    # --- honest requests, damaged in one place ---

    def honest(self) -> tuple[str, bytes, dict[str, str]]:
        kinds, states, flags = ["insert", "upsert", "delete"], ["UploadComplete", "Aborted", "x"], [True, False]
        batch = [{"method": "GET", "url": "v66.0/limits"}] * 2
        job = {"object": self.one(OBJECTS), "operation": self.one(kinds), "externalIdFieldName": "QuoteJobKey__c"}
        makers: list[Callable[[], tuple[str, Any]]] = [
            lambda: (f"{V}/composite/graph", {"graphs": [{"graphId": "1", "compositeRequest": self.nodes()}]}),
            lambda: (f"{V}/composite", {"allOrNone": self.one(flags), "compositeRequest": self.nodes()}),
            lambda: (f"{V}/composite/batch", {"batchRequests": batch}),
            lambda: (f"{V}/composite/sobjects", {"allOrNone": self.one(flags), "records": self.records()}),
            lambda: (f"{V}/composite/tree/Account", {"records": self.records()}),
            lambda: (f"{V}/sobjects/{self.one(OBJECTS)}", self.fields()),
            lambda: (f"{V}/sobjects/Quote/QuoteJobKey__c/k", self.fields()),
            lambda: (f"{V}/jobs/ingest", job),
            lambda: (f"{V}/jobs/query", {"operation": "query", "query": self.one(QUERIES)}),
            lambda: (f"{V}/jobs/ingest/{self.one([*self.jobs, 'x'])}", {"state": self.one(states)}),
        ]
        path, made = self.one(makers)()
        value = copy.deepcopy(made)
        self.spoil(value)
        body = self.encoded(value)
        if self.random.random() < 0.1:
            body = body[: self.random.randint(0, len(body))]
        if self.random.random() < 0.1 and self.jobs:
            csv = "Id,Name\n" + "\n".join(self.text() for _ in range(4))
            return (
                f"{V}/jobs/ingest/{self.one(self.jobs)}/batches",
                csv.encode("utf-8", "replace"),
                {"Content-Type": "text/csv"},
            )
        return path, body, {"Content-Type": "application/json"}

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"referenceId": "a", "method": "POST", "url": f"{V}/sobjects/Account", "body": {"Name": "fuzz"}},
            {"referenceId": "b", "method": self.one(["POST", "PATCH", "GET", "DELETE"]),
             "url": f"{V}/sobjects/{self.one(OBJECTS)}/{self.one(['', '@{a.id}', *self.ids.values()])}",
             "body": self.fields()},
        ]  # fmt: skip

    def records(self) -> list[dict[str, Any]]:
        return [
            {"attributes": {"type": self.one(OBJECTS), "referenceId": f"r{n}"}, **self.fields()}
            for n in range(self.random.randint(0, 3))
        ]

    def fields(self) -> dict[str, Any]:
        return {"Name": "fuzz", **{self.one(FIELDS): self.one([*HOSTILE, *self.ids.values()]) for _ in range(3)}}

    def spoil(self, value: Any) -> None:
        """Puts something hostile into one place of a JSON value."""
        while isinstance(value, dict | list) and value:
            key = self.one(list(value)) if isinstance(value, dict) else self.random.randrange(len(value))
            if not isinstance(value[key], dict | list) or self.random.random() < 0.3:
                value[key] = self.one(HOSTILE)
                return
            value = value[key]

    def damaged(self, text: str) -> str:
        words = text.split(" ")
        at = self.random.randrange(len(words))
        words[at : at + 1] = self.one([[], [words[at]] * 2, [self.one(words)], [str(self.one(HOSTILE))]])
        return " ".join(words)
