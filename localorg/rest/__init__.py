"""The REST resources, one file a resource."""
