"""The only code that uses simple-salesforce and requests. It returns and raises only quotejob's own types.

It raises :class:`~quotejob.errors.OrgError` and its kinds. Numbers with a fraction are Decimal, sub-queries are plain
lists. No message has a token in it.
"""

from quotejob.salesforce.address import API_VERSION, OrgAddress
from quotejob.salesforce.bulk import Checkpoint, IngestResult
from quotejob.salesforce.graphs import MAX_GRAPHS, MAX_NODES, Graph, GraphOutcome, Node, NodeError
from quotejob.salesforce.org import Identity, OrgClient
from quotejob.salesforce.translate import Kind, kind_of

__all__ = [  # noqa: RUF022 - grouped by subject
    # The org client
    "API_VERSION",
    "OrgClient",
    "OrgAddress",
    "Identity",
    # Composite graph
    "Graph",
    "GraphOutcome",
    "MAX_GRAPHS",
    "MAX_NODES",
    "Node",
    "NodeError",
    # Bulk API 2.0
    "Checkpoint",
    "IngestResult",
    # What to do about an error
    "Kind",
    "kind_of",
]
