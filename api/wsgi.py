"""What gunicorn serves: ``gunicorn api.wsgi:app``. The environment is read here; nothing connects before a request."""

from __future__ import annotations

from api import create_app
from quotejob.settings import load, or_exit

LOAD_FAILED = 4  # with this exit code of a worker gunicorn ends, instead of starting the next one

app = create_app(or_exit(load, LOAD_FAILED))
