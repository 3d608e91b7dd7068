"""How platform events reach their subscribers: the Streaming API (CometD)."""
