"""The HTTP layer that every request passes."""
