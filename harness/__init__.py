"""Tools that start whole systems for the demo, the tests and the fault runs."""
