"""The contents of the org, read through its REST query resource; nothing here comes from quotejob."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cli.local import API_VERSION
from harness.api import ApiError, Json, LocalOrg, new_session, read_body


class OrgReader:
    """A reader of the org through its own REST API; it also prepares test data. Numbers are Decimal."""

    def __init__(self, org: LocalOrg) -> None:
        self.url = org.url
        self._data = f"/services/data/v{API_VERSION}"
        self._session = new_session()
        self._session.headers["Authorization"] = f"Bearer {org.token}"

    def query(self, soql: str) -> Iterator[Json]:
        """Yield every row of all pages. Child rows are plain lists, also with all their pages."""
        page = self._get(f"{self._data}/query", {"q": soql})
        while True:
            for row in page["records"]:
                yield {name: self._children(value) for name, value in row.items()}
            if page["done"]:
                return
            page = self._get(page["nextRecordsUrl"])

    def count(self, soql: str) -> int:
        """Return the answer to a SELECT COUNT()."""
        return int(self._get(f"{self._data}/query", {"q": soql})["totalSize"])

    def describe(self, object_name: str) -> Json:
        """Return an object's fields and relationships."""
        return self._get(f"{self._data}/sobjects/{object_name}/describe")

    def username(self) -> str:
        """Return the username of the token's user."""
        return str(self._get("/services/oauth2/userinfo")["preferred_username"])

    def create(self, object_name: str, record: Mapping[str, Any]) -> str:
        """Create one record and return its id."""
        return str(self._post(f"{self._data}/sobjects/{object_name}", record)["id"])

    def update(self, object_name: str, record_id: str, record: Mapping[str, Any]) -> None:
        """Change one record."""
        url = f"{self.url}{self._data}/sobjects/{object_name}/{record_id}"
        read_body(self._session.patch(url, json=record, timeout=60))

    def graph(self, requests_: list[Json]) -> dict[str, str]:
        """Create the records of one composite graph, all or none. Return reference id -> record id."""
        body = self._post(
            f"{self._data}/composite/graph", {"graphs": [{"graphId": "1", "compositeRequest": requests_}]}
        )
        graph = body["graphs"][0]
        if not graph["isSuccessful"]:
            raise ApiError(f"The org refused a graph: {str(graph)[:2000]}")
        return {part["referenceId"]: part["body"]["id"] for part in graph["graphResponse"]["compositeResponse"]}

    def node(self, reference: str, object_name: str, record: Mapping[str, Any]) -> Json:
        """Return one create of a graph."""
        url = f"{self._data}/sobjects/{object_name}"
        return {"method": "POST", "url": url, "referenceId": reference, "body": dict(record)}

    def stats(self) -> Json:
        """Return the counts of requests to the local org since its start or since :meth:`reset_stats`."""
        return self._get("/localorg/stats")

    def requests(self) -> list[Json]:
        """Return the requests that the local org has answered since its start or since :meth:`reset_stats`."""
        found: list[Json] = self._get("/localorg/requests")["requests"]
        return found

    def reset_stats(self) -> None:
        """Set the counts to zero."""
        self._post("/localorg/reset", None)

    def _children(self, value: Any) -> Any:
        if not (isinstance(value, dict) and "records" in value and "done" in value):
            return value
        rows = list(value["records"])
        while not value["done"]:
            value = self._get(value["nextRecordsUrl"])
            rows += value["records"]
        return rows

    def _get(self, path: str, params: Mapping[str, str] | None = None) -> Json:
        return read_body(self._session.get(self.url + path, params=params, timeout=60))

    def _post(self, path: str, body: Any) -> Json:
        return read_body(self._session.post(self.url + path, json=body, timeout=60))
