"""Jobs: their values, their store, their lists and the flex queue."""
