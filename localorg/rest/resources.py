"""All modules that register resources with calls.RESOURCES; import this module to register them all."""

from __future__ import annotations

from localorg.rest import changes, composite, limits, tree
from localorg.rest import collections as manyrows
from localorg.rest import query as rest
from localorg.rest import sobjects as rows

LOADED = (rest, rows, changes, manyrows, tree, composite, limits)
