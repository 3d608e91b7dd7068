"""The parts that only a test org has: faults, costs, statistics."""
