"""The border: the only code that knows simple-salesforce and requests. Everything that leaves it is ours.

Errors leave it as :class:`~quotejob.errors.OrgError` and its kinds, numbers with a fraction as Decimal, sub-queries as
plain lists, and no token in any message.
"""

from quotejob.salesforce.address import OrgAddress
from quotejob.salesforce.bulk import Checkpoint, IngestResult
from quotejob.salesforce.graphs import MAX_GRAPHS, MAX_NODES, Graph, GraphOutcome, Node, NodeError
from quotejob.salesforce.org import Identity, OrgClient
from quotejob.salesforce.translate import Kind, kind_of

__all__ = [  # noqa: RUF022 - grouped by subject
    # The gateway
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
