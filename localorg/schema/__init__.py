"""Objects and fields: standard ones, and those read from a project or a file."""
