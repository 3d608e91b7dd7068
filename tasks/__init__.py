"""The corridor: Celery tasks, each body one call into quotejob. ``celery -A tasks worker`` finds ``app`` here."""

from tasks.app import app

__all__ = ["app"]
