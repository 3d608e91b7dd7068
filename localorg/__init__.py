"""A Salesforce org for your laptop: the REST API of an org, with its data in one SQLite database."""

__version__ = "1.0.0"
