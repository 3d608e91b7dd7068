"""Who calls: sessions, OAuth, the SOAP login, identity."""
