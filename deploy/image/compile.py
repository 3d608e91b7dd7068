"""Import what the processes import, so that Python keeps the compiled modules. Run when the image is built."""

from __future__ import annotations

import importlib
import os
import sys

os.environ |= {"REDIS_URL": "redis://127.0.0.1:6379/0", "QUOTEJOB_SECRET_KEY": "A" * 43 + "="}  # nothing connects
sys.path.insert(0, os.getcwd())
for name in (
    "api.wsgi", "api.intake", "gunicorn.app.wsgiapp", "gunicorn.workers.gthread",
    "tasks", "tasks.flow", "tasks.sweep", "tasks.ticks", "tasks.pool", "tasks.beat", "tasks.housekeeping",
    "celery.__main__", "celery.bin.celery", "celery.bin.worker", "celery.apps.worker", "celery.apps.beat",
    "celery.backends.redis", "kombu.transport.redis", "celery.worker.consumer", "celery.worker.state",
    "flower.command", "flower.app", "flower.views.tasks",
    "localorg.__main__", "cli.main", "rich.console", "encodings.idna",
):  # fmt: skip
    importlib.import_module(name)
