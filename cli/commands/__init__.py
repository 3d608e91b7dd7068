"""What `quotejob` can do, one file a subject."""
