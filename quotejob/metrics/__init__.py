"""Metrics for operators, read from Redis: the same from every web process, and the same after a restart."""
