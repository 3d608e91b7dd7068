"""The Quote job: plan, pages, commit."""
