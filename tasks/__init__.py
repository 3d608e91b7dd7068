"""Celery tasks. Each task calls quotejob to do its work. ``celery -A tasks worker`` finds ``app`` here."""

from tasks.app import app

__all__ = ["app"]
