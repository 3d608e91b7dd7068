"""A pricing function of users: what it gets, what it gives, and how a worker calls it."""
