"""Redis: the client, the key names, the scripts."""
