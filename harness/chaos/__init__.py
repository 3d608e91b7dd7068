"""Fault runs: jobs and schedules run while processes are killed and the org fails."""
