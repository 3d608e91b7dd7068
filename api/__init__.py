"""The HTTP API: read the request, make one call into quotejob, answer with JSON."""

from __future__ import annotations

from flask import Flask

from api import caller, docs, errors, health, home, metrics, middleware, openapi
from quotejob import logs, tally, tracing
from quotejob.jobtypes import registry
from quotejob.metrics import reading
from quotejob.services import Services
from quotejob.settings import Settings


def create_app(settings: Settings) -> Flask:
    """Return the web application. Does not connect to anything.

    Raises SettingsError if the modules with users' own jobs cannot be loaded.
    """
    logs.configure(settings.log_level, settings.log_format)
    tracing.start(settings.otel_endpoint, settings.otel_service)
    registry.load(settings.jobs, settings.code_version)
    app = Flask("api", static_folder=None)
    app.config.update(PROVIDE_AUTOMATIC_OPTIONS=False, PROPAGATE_EXCEPTIONS=False)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the order of the document is the order of the answer
    app.url_map.strict_slashes = app.url_map.merge_slashes = False  # no redirects: theirs are HTML
    app.extensions[caller.SETTINGS_EXTENSION] = settings
    tally.hand_to(lambda counts: reading.store(Services.connected(settings).client, counts))
    middleware.install(app)
    openapi.make(app)
    errors.install(app)  # after flask-smorest, whose own handler answers in another shape
    app.register_blueprint(health.blueprint)
    app.register_blueprint(docs.blueprint)
    app.register_blueprint(home.blueprint)
    app.register_blueprint(metrics.blueprint)
    return app
