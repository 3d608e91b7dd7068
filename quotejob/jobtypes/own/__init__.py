"""Jobs that users write in Python: how the engine plans, decides, writes and finishes them."""
