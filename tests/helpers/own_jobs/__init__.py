"""Job types for tests: in modules that a child process can import."""
