"""Jobs: their values, their store, the flex queue."""
