"""Systems of several versions, hosts or servers, for tests."""
