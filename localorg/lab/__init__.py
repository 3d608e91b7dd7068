"""What only a test org has: faults, costs, statistics."""
