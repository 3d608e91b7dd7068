"""The web process: the API and the console in one application. Nothing imports this package."""
