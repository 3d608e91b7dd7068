"""SOQL over SQLite: parse a statement, compile it, answer it page by page.

The way of a statement:

* `parser` makes a tree (`syntax`) of its text, by `grammar.lark`.
* `compiler` resolves its names (`names`) and conditions (`conditions`, `literals`, `functions`) into SQL with bound
  values (`plans`).
* `reader` runs the SQL and makes the rows of the answer.
* `cursors` keeps what later pages need.
"""

from localorg.soql.runner import Answer, Soql

__all__ = ["Answer", "Soql"]
