"""Checks of what goes into a Salesforce org, without an org: openapi.yaml, Apex, metadata, components, app.json."""
