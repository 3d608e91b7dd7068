"""The org client: every request that quotejob sends to an org."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import chain
from typing import Any
from urllib.parse import urlencode

from quotejob.errors import OrgClosed, OrgRefused, OrgUnreachable
from quotejob.salesforce import bulk, graphs, queries, together
from quotejob.salesforce.address import OrgAddress
from quotejob.salesforce.bulk import IngestResult
from quotejob.salesforce.connection import Connection, Watch, read_json
from quotejob.salesforce.graphs import Graph, GraphOutcome, NodeError, Part, Said
from quotejob.salesforce.guard import MAX_ANSWER
from quotejob.salesforce.translate import LOCATOR_LOST, URI_TOO_LONG, answered

MAX_HEAD_BYTES = 16_384  # address and headers together (REST API guide, statuses 414 and 431)
NOT_SERVED = "API_VERSION_NOT_SERVED"  # the org lacks this version of the API
HEADER_BYTES = 512  # our headers without the token, generously


@dataclass(frozen=True, slots=True)
class Identity:
    """The user and the org of a token."""

    user_id: str  # 18 characters, 005...
    organization_id: str  # 18 characters, 00D...
    username: str
    name: str  # for people
    permissions: frozenset[str] = frozenset()  # custom ones, if the app may see them


class OrgClient:
    """One org, for one task. The process keeps connections alive, also for later clients.

    ``connect_timeout`` and ``read_timeout`` are the seconds of each call, the second for the whole of it.
    ``retry_for``: a call that does no harm when repeated is repeated on passing faults for so many seconds, with
    growing random pauses; 0: never. ``max_answer`` is the most bytes of an answer, unpacked. ``watch`` is told
    of each call. All methods raise
    :class:`~quotejob.errors.OrgError`: OrgUnreachable, OrgExhausted, OrgRefused, OrgClosed and its kinds.
    """

    def __init__(
        self,
        address: OrgAddress,
        *,
        connect_timeout: float = 5,
        read_timeout: float = 60,
        retry_for: float = 30,
        max_answer: int = MAX_ANSWER,
        watch: Watch | None = None,
    ) -> None:
        self.address = address
        self._connection = Connection(address, (connect_timeout, read_timeout), retry_for, max_answer)
        self._connection.watch = watch

    def __repr__(self) -> str:
        return f"Org({self.address!r})"

    @property
    def calls(self) -> int:
        """The number of HTTP requests through this object so far; every try counts."""
        return self._connection.wire.calls

    @property
    def usage(self) -> tuple[int, int] | None:
        """The API calls of the org's last 24 hours and how many it may get, as its last answer said. None: not said."""
        return self._connection.wire.usage

    @property
    def now(self) -> datetime | None:
        """The time by the org's clock, in whole seconds, as its last answer said. None: not said."""
        try:
            said = parsedate_to_datetime(self._connection.wire.date)
        except (TypeError, ValueError):
            return None
        return said.replace(tzinfo=said.tzinfo or UTC)

    def whoami(self) -> Identity:
        """Return the user and the org of the token. Raises SessionExpired if the org does not accept it."""
        return self._connection.safe(self._userinfo)

    def explain(self, soql: str) -> None:
        """Ask the org to check a query; no row is read. Raises OrgRefused with the org's own code and message."""
        self._check_length("explain", soql)
        with self._served():
            self._get("query", explain=soql)

    def daily_api_calls(self) -> tuple[int, int]:
        """Return how many API calls the org may get in 24 hours, and how many are left."""
        answer = self._get("limits")
        with self.reading("its limits"):
            limit = answer["DailyApiRequests"]
            return int(limit["Max"]), int(limit["Remaining"])

    def query(self, soql: str) -> Iterator[dict[str, Any]]:
        """Yield all rows of a query, page after page. A sub-query is a plain list, empty if it has no rows.

        They are queries.Counted: the first answer says how many there are. Numbers with a fraction are Decimal; JSON
        integers stay int. Raises OrgUnreachable with code INVALID_QUERY_LOCATOR if the org no longer has the other
        rows: run the query again.
        """
        self._check_length("q", soql)
        with self._served():
            first = self._connection.safe(lambda: self._first(self._connection.salesforce.query(soql)))
        rows = queries.rows(first, self._more, queries.child_names(soql))
        count = first.get("totalSize")
        return queries.Counted(rows, count if isinstance(count, int) else 0)

    def query_together(self, soqls: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield all rows of up to five queries, one query after the other, as :meth:`query` does.

        One call gets the first page of each. Raises the error of a query as if it had been sent by itself.
        """
        for soql in soqls:
            self._check_length("q", soql)
        with self._served():
            answers = self._connection.safe(lambda: self._answers(soqls))
        return chain.from_iterable(map(self._rows_of, soqls, answers))

    def first_page(self, soql: str) -> list[dict[str, Any]]:
        """Return the rows of the first answer to a query, by one call. A sub-query is as the org answers it."""
        self._check_length("q", soql)
        with self._served():
            answer = self._connection.safe(lambda: self._first(self._connection.salesforce.query(soql)))
        found: list[dict[str, Any]] = answer["records"]
        return found

    def count(self, soql: str) -> int:
        """Return how many rows a SELECT COUNT() query finds. Raises OrgRefused."""
        self._check_length("q", soql)
        answer: Any = self._get("query", q=soql)
        with self.reading("how many rows there are"):
            return int(answer["totalSize"])

    def describe(self, object_name: str) -> dict[str, Any]:
        """Return an object's fields and relationships, as the org answers. Raises OrgRefused, NOT_FOUND without it."""
        answer: dict[str, Any] = self._get(f"sobjects/{_name(object_name)}/describe")
        return answer

    def send_graphs(self, graphs_to_send: Iterable[Graph]) -> dict[str, GraphOutcome]:
        """Write graphs, at most 75 with 500 nodes, with one try. Return the outcomes by graph id.

        They are not needed any more while the org works, so they may be made as they are asked for.

        A refused graph is an outcome, not an error. Raises OrgUnreachable if the answer was lost: the graphs may have
        been written or not. The request is not compressed: it has about 100 kB at most, and gzip would cost more.
        """
        body, created = graphs.request_of(graphs_to_send, self.address.api_version)
        if not created:
            return {}
        salesforce = self._connection.salesforce
        with self._served():
            answer = self._connection.once(lambda: salesforce.restful("composite/graph", method="POST", data=body))
        with self.reading("the outcome of every graph, and the id of every new record"):
            return graphs.outcomes_of(created, answer)

    def send_together(self, graph: Graph) -> GraphOutcome:
        """Write one graph of new records, at most 500, with one try, so that each refused record has its error.

        Raises OrgUnreachable if the answer was lost: all records may have been written, or none.
        """
        body = together.request_body(graph, self.address.api_version)
        salesforce = self._connection.salesforce
        answer = self._connection.once(lambda: salesforce.restful("composite", method="POST", data=body))
        with self.reading("the outcome of every record"):
            return together.outcome_of(graph, answer)

    def send_parts(self, parts: Sequence[Part]) -> dict[str, Said]:
        """Send a composite request whose parts succeed or fail by themselves, with one try. Return the answers by name.

        Raises OrgUnreachable if the answer was lost: each part may have been done or not.
        """
        body = graphs.parts_body(parts, self.address.api_version)
        salesforce = self._connection.salesforce
        answer = self._connection.once(lambda: salesforce.restful("composite", method="POST", data=body))
        with self.reading("the outcome of every part"):
            return graphs.answers_to_parts(answer)

    def reading(self, what: str) -> AbstractContextManager[None]:
        """Return a context for code that reads the values of an answer.

        An answer of another form is as good as a lost one: OrgUnreachable is raised, which says ``what`` is not there.
        """
        return self._connection.reading(what)

    def delete(self, object_name: str, record_id: str) -> None:
        """Delete a record. A record that is deleted already is no error: a repeat after a lost answer finds it so."""
        path = f"sobjects/{_name(object_name)}/{_name(record_id)}"
        try:
            self._connection.safe(lambda: self._connection.salesforce.restful(path, method="DELETE"))
        except OrgRefused as refused:
            if refused.code != "ENTITY_IS_DELETED":
                raise

    def delete_many(self, ids: Sequence[str]) -> dict[str, NodeError | None]:
        """Delete at most 200 records, each for itself, with one try. Return the errors by id; None: it is deleted now.

        Raises OrgUnreachable if the answer was lost: the records may have been deleted or not.
        """
        query = urlencode({"ids": ",".join(map(_name, ids)), "allOrNone": "false"})
        salesforce = self._connection.salesforce
        answer = self._connection.once(lambda: salesforce.restful(f"composite/sobjects?{query}", method="DELETE"))
        with self.reading("the outcome of every record"):
            return together.outcomes_of_deletes(ids, answer)

    def ingest(
        self,
        object_name: str,
        operation: str,
        rows: Iterable[Mapping[str, str]],
        columns: Sequence[str],
        *,
        external_id_field: str | None = None,
        **options: Any,
    ) -> IngestResult:
        """Write many rows with Bulk API 2.0; see :func:`quotejob.salesforce.bulk.ingest`, also for the options."""
        job = bulk.NewJob(_name(object_name), operation, external_id_field)
        return bulk.ingest(self._connection, job, rows, columns, **options)

    def stop_ingest(self, job_ids: Sequence[str]) -> IngestResult:
        """Abort Bulk jobs that have not ended, and return the results; see :func:`quotejob.salesforce.bulk.stop`."""
        return bulk.stop(self._connection, job_ids)

    @contextmanager
    def _served(self) -> Iterator[None]:
        """Raise OrgClosed if the org lacks a resource that every org has: it does not serve this version of the API."""
        try:
            yield
        except OrgRefused as refused:
            if refused.code != "NOT_FOUND" and refused.http_status != 410:  # Gone: the version was retired
                raise
            raise OrgClosed(
                f"{self.address.host} does not serve apiVersion {self.address.api_version}; call with one that it has",
                code=NOT_SERVED,
                http_status=refused.http_status,
            ) from refused

    def _userinfo(self) -> Identity:
        answer: Any = self._connection.salesforce.oauth2("userinfo")
        with self.reading("a user"):
            username = answer["preferred_username"]
            held = frozenset(name for name, has in (answer.get("custom_permissions") or {}).items() if has is True)
            name = answer.get("name") or username
            return Identity(answer["user_id"], answer["organization_id"], username, name, held)

    def _get(self, path: str, **params: str) -> Any:
        # Not SFType: it forgets parse_float, and an object named like a method of Salesforce would be that method.
        return self._connection.safe(lambda: self._connection.salesforce.restful(path, params=params))

    def _more(self, url: str) -> dict[str, Any]:
        salesforce = self._connection.salesforce
        return self._connection.safe(lambda: self._page(salesforce.query_more(url, identifier_is_url=True)))

    def _answers(self, soqls: Sequence[str]) -> list[queries.Answer]:
        body = queries.together_body(soqls, self.address.api_version)
        said = self._connection.raw("POST", "composite", data=body)
        answers = queries.answers_together(soqls, said.content)
        for answer in answers:
            if answer.http_status_code >= 300:
                raise answered(answer.http_status_code, read_json(answer.body), self.address.host)
        return answers

    def _rows_of(self, soql: str, answer: queries.Answer) -> Iterable[dict[str, Any]]:
        """Return the rows of one of several queries. If the org no longer has its other pages, it is sent by itself."""
        with self.reading("the rows of a query"):
            first = self._first(read_json(answer.body))
        try:
            return list(queries.rows(first, self._more, queries.child_names(soql)))
        except OrgUnreachable as lost:
            if lost.code != LOCATOR_LOST:
                raise
            return self.query(soql)

    def _first(self, answer: Any) -> dict[str, Any]:
        """Return the first page, checked. If it is said to be the only one, it has as many rows as were counted."""
        page = self._page(answer)
        if page.get("done", True) and int(page.get("totalSize") or 0) > len(page["records"]):
            raise self._connection.unexpected("all the records that it counted")
        return page

    def _page(self, answer: Any) -> dict[str, Any]:
        """Return the page, checked. Its next address is joined to the org's host, so it must be only a path."""
        if not isinstance(answer, dict) or not isinstance(answer.get("records"), list):
            raise self._connection.unexpected("records")
        if not answer.get("done", True) and not str(answer.get("nextRecordsUrl")).startswith("/services/data/"):
            raise self._connection.unexpected("the address of the next page")
        return answer

    def _check_length(self, parameter: str, soql: str) -> None:
        head = len(self._connection.salesforce.base_url) + len(urlencode({parameter: soql}))
        head += HEADER_BYTES + len(self.address.access_token)
        if head > MAX_HEAD_BYTES:
            message = (
                f"The query has {head} bytes with its headers; at most {MAX_HEAD_BYTES} are allowed: "
                "make the WHERE clause shorter."
            )
            raise OrgRefused(message, code=URI_TOO_LONG, http_status=414)


def _name(text: str) -> str:
    """Return an object's name or a record's id, checked for use in a path."""
    if not re.fullmatch(r"\w+", text, re.ASCII):
        raise ValueError(f"not a name or an id: {text!r}")
    return text
