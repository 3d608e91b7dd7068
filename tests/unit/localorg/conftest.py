"""Its folder is where the tests below find soqlorg."""
