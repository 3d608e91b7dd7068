"""The console: the pages of jobs, flex queue and schedules. It reads the request, asks quotejob, answers with HTML."""

from __future__ import annotations

from flask import Flask

from console import assets, audit, dryrun, family, health, jobs, many, overview, queue, schedules, submit, words
from console.doors import entering, link, login, tab
from console.pages import blueprint

__all__ = ["install"]


def install(app: Flask) -> None:
    """Add the pages below /console to the web application, whose settings are in app.extensions["quotejob"]."""
    words.install(app)
    app.register_blueprint(blueprint)


# Each adds its routes to the blueprint.
PAGES = (
    assets,
    audit,
    entering,
    link,
    login,
    tab,
    dryrun,
    family,
    health,
    jobs,
    many,
    overview,
    queue,
    schedules,
    submit,
)
