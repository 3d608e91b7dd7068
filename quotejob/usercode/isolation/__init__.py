"""The processes that users' code runs in, so that what it breaks is only its own."""
