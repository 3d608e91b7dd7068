"""Estimates: when a job starts and ends."""
