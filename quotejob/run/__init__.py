"""One run of a job: its progress, receipts, waves and leases."""
