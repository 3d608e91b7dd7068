"""Requests to an org, counted ahead: by kind, and what the count follows from."""

from __future__ import annotations

from dataclasses import dataclass

ROWS = 2_000  # of one answer to a query; child rows count (REST API guide, "Query Options Header")


@dataclass(frozen=True, slots=True)
class Calls:
    """Requests to the org by kind."""

    plan: int
    read: int
    write: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.plan + self.read + self.write


@dataclass(frozen=True, slots=True)
class Shape:
    """How a job works: what the settings, the rules and the org as it stands give."""

    page_size: int
    places: int  # write requests at a time; 0: not known
    plan_calls: int  # requests of the plan beside those that read the ids
    prompt: bool = False  # the org answers at once: all batches are full
    queries: int = 1  # of one page, sent by one call
    first_wave: int | None = None  # about how many Opportunities it has; None: as usual

    @property
    def of_query(self) -> int:
        """The most Opportunities of one query."""
        return self.page_size // self.queries

    @property
    def cut_for(self) -> int:
        """The write requests at a time that batches are cut for. 0: they are all full."""
        return 0 if self.prompt else self.places
