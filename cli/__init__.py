"""The command line's parts: an API client, the local org, one call. Imports nothing else of ours."""
