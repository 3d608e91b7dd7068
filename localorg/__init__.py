"""A Salesforce org for your laptop: the REST face of an org, kept in one SQLite database."""
