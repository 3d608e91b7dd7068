"""What jobs do: one folder or file a job type."""
