"""Histories by seed: jobs run to their end in one process, in simulated time, while a seed draws every fault."""
