"""The front door: HTTP in, one call into the rooms, JSON out. See README.md beside this file for what may not enter."""

from __future__ import annotations

from flask import Flask

from api import docs, errors, health, openapi
from api import middleware as conduct
from api.caller import NAME
from quotejob import logs
from quotejob.settings import Settings, load


def create_app(settings: Settings | None = None) -> Flask:
    """The web application; reads the environment when no settings are given. Connects to nothing.

    Raises SettingsError when a variable is missing or wrong.
    """
    settings = settings or load()
    logs.configure(settings.log_level)
    app = Flask("api", static_folder=None)
    app.config.update(PROVIDE_AUTOMATIC_OPTIONS=False, PROPAGATE_EXCEPTIONS=False)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the order of the document is the order of the answer
    app.url_map.strict_slashes = app.url_map.merge_slashes = False  # no redirects: theirs are HTML
    app.extensions[NAME] = settings
    conduct.install(app)
    openapi.make(app)
    errors.install(app)  # after flask-smorest, whose own handler answers in another shape
    app.register_blueprint(health.blueprint)
    app.register_blueprint(docs.blueprint)
    return app
