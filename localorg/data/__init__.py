"""The org's rows: read, checked, written, totalled."""
