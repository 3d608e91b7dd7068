"""The org's rows: reading, checks, writing and totals."""
