"""Every module that registers resources with calls.RESOURCES; importing this one makes them known."""

from __future__ import annotations

from localorg import changes, composite, limits, manyrows, rest, rows, tree

LOADED = (rest, rows, changes, manyrows, tree, composite, limits)
