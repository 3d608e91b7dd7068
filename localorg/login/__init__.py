"""Login and identity: sessions, OAuth, the SOAP login, and who the user is."""
