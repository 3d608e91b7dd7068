"""Notices: the end of a job, told to those who asked for it."""
