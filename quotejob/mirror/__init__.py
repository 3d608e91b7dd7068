"""The mirror: jobs as records and events in their own org."""
