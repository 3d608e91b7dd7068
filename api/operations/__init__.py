"""The operations of openapi.yaml: one file a subject."""
